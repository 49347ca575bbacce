"""What a run does with numbers of extreme size leaks no warning: pytest makes an error of one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from signopt.conformance import check
from signopt.conformance.numpy_ports import BASES, hide_momentum, unsettable
from signopt.conformance.oracle.rules.lion import LION

HYPER = LION.settings(lr=0.1, betas=(0.9, 0.99), weight_decay=0.25)


def test_a_momentum_that_is_not_finite_gives_gradients_without_a_warning():
    momentum = np.array([math.inf, -math.inf, 1e308, 0.0])
    near = LION.near_zero(HYPER, 0, momentum, np.array([0.5, -1.0, 1.0, 0.0]))
    assert near.shape == (4,)


def test_a_momentum_at_the_end_of_the_range_is_approached_without_a_warning():
    p, m = {"w": np.array([1e308, 1.0])}, {"w": np.array([1e308, -1e308])}
    approach = LION.approach(LION.habits(), HYPER, p, m)
    assert np.isinf(approach.grads["w"]).all()


@pytest.mark.parametrize("wrap", [hide_momentum, unsettable])
def test_checks_of_extreme_numbers_leak_none(wrap):
    report = check(wrap(BASES["signum"]()), only=["magnitude", "nonfinite", "subnormal"], dtypes=["float32"])
    assert report.counts["failed"] == 0
