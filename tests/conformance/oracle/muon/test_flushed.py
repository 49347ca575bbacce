"""16-bit iterations whose stored elements are flushed to zero: legal, and within the bound of one application."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from signopt.conformance.numpy_ports.muon_forms import cast_to
from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.exact import iterates
from signopt.conformance.oracle.muon.radius import local_error
from signopt.conformance.oracle.muon.units import Precision

LEAST = 2.0**-14
FLOAT16 = Precision.plain("float32", "float16")
TRIPLES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (3.4445, -4.7750, 2.0315))


def stored(x: Any) -> Any:
    x = cast_to("float16")(x)
    return np.where(np.abs(x) < LEAST, 0, x).astype(np.float32)


def plain(x: Any, a: float, b: float, c: float) -> Any:
    gram = stored(x @ x.T)
    inner = stored(stored(b * gram) + stored(c * stored(gram @ gram)))
    return stored(stored(a * x) + stored(inner @ x))


def monomials(x: Any, a: float, b: float, c: float) -> Any:
    gram = stored(x @ x.T)
    cube = stored(gram @ x)
    return stored(stored(stored(a * x) + stored(b * cube)) + stored(c * stored(gram @ cube)))


def horner(x: Any, a: float, b: float, c: float) -> Any:
    gram, one = stored(x @ x.T), np.eye(x.shape[0], dtype=np.float32)
    return stored(stored(a * one + stored(stored(b * one + stored(c * gram)) @ gram)) @ x)


@pytest.mark.parametrize("triple", TRIPLES)
@pytest.mark.parametrize("order", [plain, monomials, horner])
@pytest.mark.parametrize("size", [1e-4, 1e-3, 1e-2, 0.3])
def test_what_is_flushed_is_within_the_bound(order, triple, size):
    rng, worst = np.random.default_rng(0), 0.0
    for shape in ((1, 1), (2, 3), (4, 2), (6, 6), (8, 5)):
        for _ in range(5):
            x = stored(size * rng.standard_normal(shape))
            exact = iterates(Block.of(x), [triple])[-1].floats()
            bound = local_error(x.astype(np.float64), 0.0, triple, FLOAT16)
            worst = max(worst, float(np.linalg.norm(order(x, *triple) - exact)) / bound)
    assert worst <= 1


def test_the_bound_is_small_beside_the_matrix():
    x = np.full((12, 6), 0.1)
    assert local_error(x, 0.0, (1.0, 0.0, 0.0), FLOAT16) < 0.02 * np.linalg.norm(x)
