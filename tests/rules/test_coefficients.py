"""Coefficients are formed in binary64 and rounded once to the compute dtype."""

import numpy as np
import pytest

from signopt.rules.lion import LionCoefficients
from signopt.rules.signum import SignumCoefficients
from signopt.rules.tiger import TigerCoefficients

LION = {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.3}
TIGER = {"lr": 0.1, "beta": 0.9, "weight_decay": 0.3, "accumulation_steps": 3, "shrink": 0.99}


def f32(value):
    return float(np.float32(value))


def test_float64_keeps_binary64():
    exact = LionCoefficients(lr=0.1, B1=0.9, A1=1 - 0.9, B2=0.99, A2=1 - 0.99, weight_decay=0.3)
    assert LionCoefficients.of(**LION).rounded("float64") == exact


def test_float32_rounds_one_minus_beta_once():
    rounded = LionCoefficients.of(**LION).rounded("float32")
    assert rounded.A2 == f32(1 - 0.99) != 1 - f32(0.99)
    assert rounded == LionCoefficients(
        lr=f32(0.1), B1=f32(0.9), A1=f32(1 - 0.9), B2=f32(0.99), A2=f32(1 - 0.99), weight_decay=f32(0.3)
    )
    signum = SignumCoefficients.of(lr=0.1, beta=0.9, weight_decay=0.3).rounded("float32")
    assert signum == SignumCoefficients(lr=f32(0.1), B=f32(0.9), A=f32(1 - 0.9), weight_decay=f32(0.3))


@pytest.mark.parametrize(("step", "b1", "moves"), [(0, 0.9, False), (1, 1.0, False), (2, 1.0, True), (3, 0.9, False)])
def test_the_window_is_not_a_number_to_round(step, b1, moves):
    rounded = TigerCoefficients.of(step=step, schedule={0: 1.0, 7: 0.3}, **TIGER).rounded("float32")
    factor = float(1 + (0.3 - 1) * step / 7)
    assert (rounded.b1, rounded.b2, rounded.shrink) == (f32(b1), f32((1 - 0.9) / 3), f32(0.99))
    assert rounded.lr == pytest.approx(0.1 * factor, rel=1e-7)
    assert rounded.moves is moves


def test_rounding_beyond_float32_is_silent():
    rounded = LionCoefficients.of(lr=1e300, betas=(1e-320, 0.0), weight_decay=1e-50).rounded("float32")
    assert (rounded.lr, rounded.B1, rounded.weight_decay) == (np.inf, 0.0, 0.0)
