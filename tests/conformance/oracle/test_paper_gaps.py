"""Three steps of docs/acceptance.md that counting does not give, each attacked where it is nearest to false."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from signopt.conformance.oracle.bounds import Units, average_slack, move_slack
from signopt.conformance.oracle.formats import FORMATS

SINGLE_HYPER = Units.of(FORMATS["float64"], FORMATS["float32"])
UC, U = SINGLE_HYPER.uc, SINGLE_HYPER.u


def decay_first(d, signs):
    """How far p(1−d) may be off for p = 1 in the model: d by three roundings, 1 − d by a fourth, the product by one."""
    one, two, three, four, five = signs
    formed = d * (1 + one * UC) * (1 + two * UC) * (1 + three * UC)
    return abs((1 - formed) * (1 + four * UC) * (1 + five * U) - (1 - d))


def worst(d):
    return max(decay_first(d, signs) for signs in product((-1, 1), repeat=5))


@pytest.mark.parametrize("power", [-3, 0, 10, 20, 24, 30, 40])
def test_float32_hyperparameters_are_covered_in_the_model(power):
    d = Fraction(2) ** power
    bound = move_slack(Fraction(1), Fraction(0), d, UC, Fraction(1), SINGLE_HYPER)
    assert worst(d) <= bound


def test_sixteen_units_of_the_arithmetic_alone_would_not_cover_them():
    d, short = Fraction(2) ** 30, replace(SINGLE_HYPER, uc=U)
    bound = move_slack(Fraction(1), Fraction(0), d, UC, Fraction(1), SINGLE_HYPER)
    assert worst(d) > bound / SINGLE_HYPER.second_order * short.second_order


def test_an_average_with_float32_coefficients_is_covered_too():
    b, a = Fraction(9, 10), Fraction(1, 10)
    off = max(abs(b * (1 + i * UC) * (1 + j * U) - b) + abs(a * (1 + k * UC) * (1 + j * U) - a)
              for i, j, k in product((-1, 1), repeat=3))  # fmt: skip
    assert off <= average_slack(b, a, Fraction(1), Fraction(1), SINGLE_HYPER)


def rounded(dtype, value):
    return Fraction(dtype.round(value))


def complements(beta, dtype):
    """b and 1 − b as ports form them: β first or 1 − β first, back and forth up to three times."""
    b = rounded(dtype, beta)
    a = rounded(dtype, 1 - b)
    yield b, a
    for _ in range(3):
        b = rounded(dtype, 1 - a)
        a = rounded(dtype, 1 - b)
        yield b, a
    a = rounded(dtype, 1 - beta)
    for _ in range(3):
        b = rounded(dtype, 1 - a)
        yield b, a
        a = rounded(dtype, 1 - b)


def test_one_minus_beta_and_one_minus_that_stay_within_three_quarters_of_a_unit():
    dtype = FORMATS["bfloat16"]
    off = [
        max(abs(b - beta), abs(a - (1 - beta))) / dtype.unit
        for beta in (Fraction(k, 2**12) for k in range(1, 2**12))
        for b, a in complements(beta, dtype)
    ]
    assert max(off) <= Fraction(3, 4)
    assert max(off) > Fraction(5, 8)


@pytest.mark.parametrize("beta", [Fraction(k, 2**10) for k in (1, 100, 511, 512, 513, 1000, 1023)])
def test_a_difference_from_one_is_exact_above_a_half(beta):
    dtype = FORMATS["bfloat16"]
    b = rounded(dtype, beta)
    if b >= Fraction(1, 2):
        assert rounded(dtype, 1 - b) == 1 - b
    else:
        assert rounded(dtype, 1 - rounded(dtype, 1 - b)) == 1 - rounded(dtype, 1 - b)


def hurtful(count, dtype):
    """Squares that each rounding moves as far as it can: one, and then a little more than half a spacing."""
    unit = float(FORMATS[dtype].unit)
    values = np.full(count, np.sqrt(unit * (1 + 8 * unit)))
    values[0] = 1.0
    return values.astype(dtype)


@pytest.mark.parametrize(("dtype", "count"), [("float16", 600), ("float16", 4000), ("float32", 60_000)])
@pytest.mark.parametrize("order", ["forwards", "backwards", "pairs"])
def test_a_sum_of_squares_in_any_order_is_off_by_at_most_n_units(dtype, count, order):
    values, unit = hurtful(count, dtype), FORMATS[dtype].unit
    exact = sum(Fraction(float(value)) ** 2 for value in values)
    off = abs(Fraction(float(summed(values, order))) - exact) / exact
    assert off <= count * unit


def summed(values, order):
    squares = values * values
    if order == "pairs":
        while squares.size > 1:
            squares = np.append(squares[: squares.size // 2 * 2 : 2] + squares[1::2], squares[squares.size // 2 * 2 :])
        return squares[0]
    return np.add.accumulate(squares if order == "forwards" else squares[::-1], dtype=values.dtype)[-1]


def test_the_bound_is_nearly_reached():
    values, unit = hurtful(400, "float16"), FORMATS["float16"].unit
    exact = sum(Fraction(float(value)) ** 2 for value in values)
    off = abs(Fraction(float(summed(values, "forwards"))) - exact) / exact
    assert off > Fraction(1, 2) * 400 * unit
