"""What the marks leave for every run: each value of each axis, and what is named."""

import itertools

import pytest

from tests.thin import diagonal, keeping, some


def kept(params):
    return [param.values for param in params if not param.marks]


def test_a_diagonal_has_every_value_of_every_axis_and_marks_the_rest():
    axes = "ab", range(5), [True, False, None]
    params = diagonal(*axes)
    assert [param.values for param in params] == list(itertools.product(*axes))
    assert len(kept(params)) == 5
    for axis, values in zip(axes, zip(*kept(params), strict=True), strict=True):
        assert set(values) == set(axis)
    assert {mark.name for param in params for mark in param.marks} == {"thorough"}


def test_what_also_has_to_be_kept_is():
    assert kept(diagonal("ab", "xy", also=lambda one, other: other == "y")) == [("a", "x"), ("a", "y"), ("b", "y")]


def test_some_of_many():
    assert kept(some("abcdefg", every=3, also="b")) == [("a",), ("b",), ("d",), ("g",)]
    assert kept(some([("a", 1), ("b", 2)], every=2)) == [("a", 1)]
    assert kept(keeping("abc", "cb")) == [("b",), ("c",)]


def test_params_keep_their_names_and_marks():
    first, second = some([pytest.param(1, 2, id="a"), pytest.param(3, 4, id="b", marks=pytest.mark.slow)], every=2)
    assert (first.values, first.id, first.marks) == ((1, 2), "a", [])
    assert (second.values, second.id, [mark.name for mark in second.marks]) == ((3, 4), "b", ["slow", "thorough"])


def test_a_case_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"no such cases: \['z'\]"):
        keeping("abc", "az")
    with pytest.raises(ValueError, match=r"no such cases: \['z'\]"):
        some("abc", every=2, also="z")
