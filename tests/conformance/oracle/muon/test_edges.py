"""Edges of Muon at which the sources leave a choice: 0/0, and tensors that are no matrices."""

from __future__ import annotations

import pytest

from signopt.conformance import check
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import RIGHT_PORTS, declaring
from signopt.conformance.numpy_ports.muon import MuonPort

ZERO, VECTORS, AXES = "iteration/zero-without-epsilon", "matrices/no-matrix", "identity/axes"


def variant(variants, key):
    return next(each for each in variants["muon"] if each.id == key)()


def only(port, *ids):
    report = check(port, dtypes=["float64"], only=list(ids), diagnose=False)
    return [(result.status, result.notes) for result in report.checks if result.id in ids]


class Halved(MuonPort):
    """Half of the matrix NaN at 0/0."""

    def normalise(self, x):
        """x over its norm."""
        x = super().normalise(x)
        if not self.divisor(x):
            x[:1] = float("nan")
        return x

    def iterate(self, x):
        """The rows go their own way."""
        return x


def test_nothing_over_nothing_is_what_the_formula_says():
    [(status, notes)] = only(variant(RIGHT_PORTS, "zero-unguarded"), ZERO)
    assert status == "passed"
    assert any("0/0" in note for note in notes)
    assert only(MuonPort(), ZERO) == [("passed", [])]


def test_a_half_guarded_matrix_is_a_fault():
    [(status, _)] = only(Halved(), ZERO)
    assert status == "failed"


def test_with_an_epsilon_a_gradient_of_zero_must_not_give_nan():
    [(status, _)] = only(variant(MUTANTS, "zero-is-nan"), "iteration/zero")
    assert status == "failed"


@pytest.mark.parametrize(("key", "check_id", "status"), [
    ("hybrid-adamw", VECTORS, "passed"),
    ("hybrid-adamw", AXES, "not_applicable"),
    ("hybrid-vectors", AXES, "passed"),
    ("hybrid-lion", VECTORS, "passed"),
    ("hybrid-lion", AXES, "not_applicable"),
    ("hybrid-declared", VECTORS, "not_applicable"),
])  # fmt: skip
def test_what_goes_to_another_rule_is_not_judged(key, check_id, status):
    [(got, _)] = only(variant(RIGHT_PORTS, key), check_id)
    assert got == status


@pytest.mark.parametrize("key", ["vectors-by-momentum", "vectors-as-columns"])
def test_a_vector_stepped_without_a_word_is_a_fault(key):
    [(status, _)] = only(variant(MUTANTS, key), VECTORS)
    assert status == "failed"


def test_a_sign_for_three_axes_alone_is_no_other_rule():
    [(status, _)] = only(variant(MUTANTS, "axes-by-sign"), AXES)
    assert status == "failed"


@pytest.mark.parametrize("declared", ["vectors", ["matrices"], 3])
def test_what_another_rule_is_for_must_be_known(declared):
    report = check(declaring(MuonPort(), other_rule=declared))
    assert "other_rule" in report.obstacles[0]
