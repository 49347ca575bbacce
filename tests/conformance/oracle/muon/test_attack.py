"""The radius of Muon attacked: roundings chosen to hurt, in every order of evaluation, stay inside it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.radius import enclose
from signopt.conformance.oracle.muon.units import Precision
from tests.thin import diagonal

from .directed import NORMS, ORDERS, horner, plain_norm, polynomial, worst

JORDAN = (3.4445, -4.7750, 2.0315)
SHAPES = ((1, 1), (1, 4), (4, 1), (2, 2), (3, 3), (5, 3), (3, 5))
SINGLE = Precision.plain("float32")
HALF = Precision.plain("float32", "bfloat16")


def matrix(shape: tuple[int, int], spread: float, seed: int) -> np.ndarray:
    """Singular values from 1 to 10^-spread."""
    rng, short = np.random.default_rng(seed), min(shape)
    left = np.linalg.qr(rng.standard_normal((shape[0], short)))[0]
    right = np.linalg.qr(rng.standard_normal((shape[1], short)))[0]
    return np.asarray(left * np.logspace(0, -spread, short) @ right.T).astype(np.float32).astype(np.float64)


def ratio(u: np.ndarray, steps, precision: Precision, norm=plain_norm, order=polynomial, eps: float = 1e-7) -> float:
    """The furthest that the attack gets, over the radius."""
    found = enclose(Block.of(u), 0.0, steps, eps, "add", precision)
    assert math.isfinite(found.radius)
    unit, inner = precision.unit, precision.inner
    exact, start = torch.from_numpy(found.x.floats()), torch.from_numpy(u)
    return worst(start, exact, steps, eps, norm, order, unit, inner) / found.radius


@pytest.mark.parametrize(
    ("order", "steps"),
    diagonal(ORDERS, [1, 2, 5], also=lambda order, steps: steps == 1),
    ids=lambda value: getattr(value, "__name__", value),
)
@pytest.mark.one_in(4)
def test_no_order_of_evaluation_leaves_the_radius(order, steps):
    for index, shape in enumerate(SHAPES):
        for spread in (0.0, 2.0):
            found = ratio(matrix(shape, spread, index), [JORDAN] * steps, SINGLE, order=order)
            assert found <= 1, (shape, spread, found)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
def test_no_order_leaves_it_where_matrices_are_stored_in_16_bits(order):
    for index, shape in enumerate(SHAPES):
        found = ratio(matrix(shape, 1.0, index), [JORDAN], HALF, order=order)
        assert found <= 1, (shape, found)


@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: norm.__name__)
def test_no_norm_leaves_it(norm):
    for index, shape in enumerate(SHAPES):
        for eps in (1e-7, 0.5):
            for precision in (SINGLE, HALF):
                found = ratio(matrix(shape, 1.0, index), [(1.0, 0.0, 0.0)], precision, norm=norm, eps=eps)
                assert found <= 1, (shape, eps, found)


@pytest.mark.parametrize("triple", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (2.0, -1.5, 0.5)])
@pytest.mark.one_in(4)
def test_other_coefficients(triple):
    for index, shape in enumerate(SHAPES):
        for order in (horner, ORDERS[3], ORDERS[4]):
            found = ratio(matrix(shape, 0.5, index), [triple] * 2, SINGLE, order=order)
            assert found <= 1, (shape, order.__name__, found)


def test_nearly_singular_matrices():
    for spread in (6.0, 30.0):
        found = ratio(matrix((3, 3), spread, 7), [JORDAN] * 5, SINGLE)
        assert found <= 1, (spread, found)


def test_the_radius_is_not_far_above_what_the_attack_reaches():
    reached = [ratio(matrix(shape, 0.0, 1), [JORDAN], SINGLE, order=ORDERS[4]) for shape in SHAPES]
    assert max(reached) > 0.2, reached
