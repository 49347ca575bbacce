"""The schedules against exact arithmetic."""

import copy
import pickle
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signopt.schedules import Cosine, factor_at, piecewise_linear

points = st.dictionaries(st.integers(0, 50), st.floats(0, 100), min_size=1, max_size=6)


def test_before_between_and_after_the_keys():
    schedule = {10: 1.0, 20: 0.5}
    assert [piecewise_linear(schedule, step) for step in (0, 5, 10, 15, 20, 21, 10**9)] == [
        0,
        0.5,
        1,
        0.75,
        0.5,
        0.5,
        0.5,
    ]


def test_a_first_key_of_zero_starts_where_it_says():
    assert [piecewise_linear({0: 1.0, 2: 0.0}, step) for step in (0, 1, 2, 3)] == [1.0, 0.5, 0.0, 0.0]
    assert piecewise_linear({0: 0.25}, 7) == 0.25


def test_without_a_schedule_the_factor_is_one():
    assert factor_at(None, 12) == 1.0


@given(points, st.integers(0, 60))
def test_every_factor_is_the_float_nearest_to_the_polyline(schedule, step):
    knots = sorted(({0: 0.0} | schedule).items())
    exact = Fraction(knots[-1][1])
    for (left, low), (right, high) in pairwise(knots):
        if left <= step < right:
            weight = Fraction(step - left, right - left)
            exact = Fraction(low) * (1 - weight) + Fraction(high) * weight
    assert piecewise_linear(schedule, step) == float(exact)


def cosine_of_pi(x):
    """cos(πx) to some seventy digits, by the series in decimal arithmetic; π by Machin's formula."""
    with localcontext() as context:
        context.prec = 90

        def arctan_of_inverse(n):
            return sum(Decimal((-1) ** k) / ((2 * k + 1) * Decimal(n) ** (2 * k + 1)) for k in range(70))

        angle = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239)) * x.numerator / x.denominator
        terms = accumulate(range(1, 50), lambda term, k: -term * angle**2 / ((2 * k - 1) * (2 * k)), initial=Decimal(1))
        return Fraction(round(sum(terms), 70))


@settings(max_examples=60)
@given(st.integers(1, 10**6), st.integers(0, 10**6), st.floats(0, 2), st.data())
def test_every_factor_is_the_float_nearest_to_the_cosine(length, warmup, final, data):
    schedule = Cosine(warmup + length, warmup_steps=warmup, final=final)
    step = data.draw(st.integers(0, warmup + length))
    if step < warmup:
        assert schedule(step) == step / warmup
    else:
        exact = Fraction(final) + (1 - Fraction(final)) * (1 + cosine_of_pi(Fraction(step - warmup, length))) / 2
        assert schedule(step) == float(exact)


def test_a_cosine_begins_at_one_and_ends_at_its_last_value():
    assert [Cosine(6)(step) for step in (0, 2, 3, 4, 6, 7, 10**18)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0]
    assert [Cosine(10, warmup_steps=4, final=0.5)(step) for step in (0, 1, 4, 7, 10)] == [0.0, 0.25, 1.0, 0.75, 0.5]


def test_a_cosine_is_a_value():
    assert Cosine(5) == Cosine(5, warmup_steps=0, final=0) != Cosine(6)
    assert hash(Cosine(5)) == hash(Cosine(np.int64(5)))
    assert copy.deepcopy(Cosine(5)) == pickle.loads(pickle.dumps(Cosine(5))) == Cosine(5)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0,), ValueError),
        ((2.5,), TypeError),
        ((5, 5), ValueError),
        ((5, -1), ValueError),
        ((5, 1, -0.5), ValueError),
        ((5, 1, float("nan")), ValueError),
        ((5, 1, "low"), TypeError),
    ],
)
def test_a_cosine_of_other_numbers_is_refused(arguments, error):
    with pytest.raises(error):
        Cosine(*arguments)
