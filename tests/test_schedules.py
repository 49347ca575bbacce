"""The piecewise-linear schedule against exact arithmetic."""

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from signopt.schedules import factor_at, piecewise_linear

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
