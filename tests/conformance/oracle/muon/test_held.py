"""Where 16 bits need not round: every number of every order of evaluation is one of theirs."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from signopt.conformance import check
from signopt.conformance.checks.muon.trajectory import EXACT, SIGNS
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports.muon_forms import cast_to, narrow
from signopt.conformance.oracle.formats import FORMATS
from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.exact import normalised
from signopt.conformance.oracle.muon.held import grid_of
from signopt.conformance.oracle.muon.radius import enclose
from signopt.conformance.oracle.muon.units import Precision

HALVES = ("bfloat16", "float16")
EPS = 1e-7


class Kept:
    """Numbers as a format would store them: it notes when one is changed by that."""

    def __init__(self, dtype: str) -> None:
        self._cast, self.rounded = cast_to(dtype), False

    def __call__(self, x: Any) -> Any:
        x = np.asarray(x, np.float64)
        stored = self._cast(x).astype(np.float64)
        self.rounded |= not np.array_equal(stored, x)
        return stored


def plain(k: Kept, x: Any, a: float, b: float, c: float) -> Any:
    gram = k(x @ x.T)
    inner = k(k(b * gram) + k(c * k(gram @ gram)))
    return k(k(a * x) + k(inner @ x))


def monomials(k: Kept, x: Any, a: float, b: float, c: float) -> Any:
    cube = k(k(x @ x.T) @ x)
    return k(k(k(a * x) + k(b * cube)) + k(c * k(k(x @ x.T) @ cube)))


def other_side(k: Kept, x: Any, a: float, b: float, c: float) -> Any:
    return plain(k, x.T, a, b, c).T


def horner(k: Kept, x: Any, a: float, b: float, c: float) -> Any:
    gram, one = k(x @ x.T), np.eye(x.shape[0])
    return k(k(k(a * one) + k(k(k(b * one) + k(c * gram)) @ gram)) @ x)


def one_matrix(k: Kept, x: Any, a: float, b: float, c: float) -> Any:
    gram, one = k(x @ x.T), np.eye(x.shape[0])
    return k(k(k(k(a * one) + k(b * gram)) + k(c * k(gram @ gram))) @ x)


ORDERS = (plain, monomials, other_side, horner, one_matrix)


@np.errstate(all="ignore")
def rounds(u: Any, steps: Any, dtype: str, order: Any) -> bool:
    """Whether a format changes anything on the way, or the end if all is a·X and no product of X with itself counts."""
    k = Kept(dtype)
    x = k(k(u) / k(np.linalg.norm(k(u))))
    for triple in steps:
        x = order(k, x, *map(float, k(triple)))
    if any(b or c for _, b, c in steps):
        return k.rounded
    return not np.array_equal(x, u / np.linalg.norm(u) * np.prod([a for a, _, _ in steps]))


def grid(u: Any, steps: Any, dtype: str, eps: float = EPS) -> float:
    block = Block.of(np.asarray(u, np.float64))
    return grid_of(block, normalised(block, eps, "add")[1], eps, steps, FORMATS[dtype])


def some_signs(rng: np.random.Generator) -> Any:
    shape = [(1, 1), (2, 2), (1, 4), (4, 1), (2, 3), (4, 4), (3, 6), (8, 8), (5, 4)][rng.integers(9)]
    u = rng.choice((-1.0, 1.0), shape)
    filled = 4 ** int(np.log(u.size) / np.log(4) + 1e-9)
    u.flat[rng.permutation(u.size)[filled:]] = 0.0
    return u * 2.0 ** rng.integers(2, 6)


def some_steps(rng: np.random.Generator) -> Any:
    def digits(count: int) -> tuple[float, ...]:
        return tuple(float(each) for each in rng.integers(-12, 13, count) / 2.0 ** rng.integers(0, 5))

    if rng.random() < 0.3:
        return [(digits(1)[0], 0.0, 0.0)] * int(rng.integers(1, 13))
    a, b, c = digits(3)
    return [(a, b, c * float(rng.random() < 0.5))] * int(rng.integers(1, 3))


@pytest.mark.parametrize("dtype", HALVES)
def test_nothing_is_rounded_in_any_order(dtype):
    rng, held, found = np.random.default_rng(1), 0, 0
    for _ in range(600):
        u, steps = some_signs(rng), some_steps(rng)
        if grid(u, steps, dtype):
            held += 1
            assert not any(rounds(u, steps, dtype, order) for order in ORDERS), (u, steps)
        else:
            found += any(rounds(u, steps, dtype, order) for order in ORDERS)
    assert held >= 60
    assert found >= 60


@pytest.mark.parametrize("dtype", HALVES)
def test_no_number_is_nearer_to_another_than_the_grid_says(dtype):
    rng = np.random.default_rng(2)
    for _ in range(400):
        u, steps = some_signs(rng), some_steps(rng)[:1]
        spacing = grid(u, steps, dtype)
        if spacing and (steps[0][1] or steps[0][2]):
            x = plain(Kept(dtype), u / np.linalg.norm(u), *steps[0])
            assert np.array_equal(x / spacing, np.round(x / spacing))


@pytest.mark.parametrize(
    ("u", "steps", "eps"),
    [
        ([[24.0, 8.0, 8.0, 8.0], [8.0, 8.0, 8.0, 8.0]], [(1.0, 0.0, 0.0)], EPS),
        ([[8.0, 8.0, 8.0]], [(1.0, 0.0, 0.0)], EPS),
        ([[12.0]], [(1.0, 0.0, 0.0)], EPS),
        ([[4.0]], [(3.4445, 0.0, 0.0)], EPS),
        ([[4.0]], [(1.0, 1.0, 0.0)] * 2, EPS),
        ([[4.0]], [(1.0, 0.0, 0.0)], 1e-5),
        (np.full((4, 4), 4.0), [(0.0, 0.0, 1.0)], EPS),
        ([[4.0]], [(0.0, 0.0, 0.0)], EPS),
        ([[2.0**-10]], [(1.0, 0.0, 0.0)], 0.0),
    ],
    ids=["sizes", "norm", "odd", "digits", "two", "epsilon", "fifth", "zero", "small"],
)
def test_what_may_have_to_be_rounded_is_not_called_held(u, steps, eps):
    dtype = "float16" if np.max(u) < 1 else "bfloat16"
    assert grid(u, steps, dtype, eps) == 0.0


@pytest.mark.parametrize("dtype", HALVES)
def test_the_radius_is_that_of_float32_there_and_not_beside(dtype):
    precision, wide = Precision.plain("float32", dtype), Precision.plain("float32")
    for u in (4.0 * signs for signs in SIGNS if signs.size < 16):
        for triple, count in EXACT:
            steps = [triple] * count
            if u.size > 1 and (dtype, triple) == ("float16", (2.0, -1.5, 0.5)):
                continue
            radius = enclose(Block.of(u), 1e-6, steps, EPS, "add", precision).radius
            assert radius <= 1.1 * enclose(Block.of(u), 1e-6, steps, EPS, "add", wide).radius + EPS
            other = enclose(Block.of(u * 1.25), 1e-6, steps, EPS, "add", precision).radius
            assert other > 50 * radius


def test_a_momentum_known_to_too_little_excuses_rounding():
    precision, steps = Precision.plain("float32", "bfloat16"), [(1.0, 0.0, 0.0)]
    u = Block.of(np.full((2, 2), 4.0))
    assert enclose(u, 1e-5, steps, EPS, "add", precision).held
    assert not enclose(u, 0.05, steps, EPS, "add", precision).held


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    "key", ["norm-safety", "steps-capped", "steps-capped-early", "steps-late-one-less", "x-with-zero-column"]
)
def test_what_16_bits_would_excuse_is_caught(key, dtype):
    mutant = next(each for each in MUTANTS["muon"] if each.id == key)
    report = check(narrow(mutant(), dtype), dtypes=["float32"], only=["trajectory/exact"], diagnose=False)
    assert report.verdict == "fail"


def test_a_power_of_two_is_one_of_either_side_of_one():
    block = Block.of(np.array([[Fraction(1, 8)]], np.float64))
    assert grid_of(block, Fraction(1, 8), 0.0, [(1.0, 0.0, 0.0)], FORMATS["bfloat16"]) == 1.0
