"""The table of checks: one matrix for all rules, or one for each."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from signopt.conformance.evidence.grid import matrix_picture
from signopt.conformance.evidence.kill_matrix import Matrix, Row
from signopt.conformance.numpy_ports import Variant

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def table():
    spec = importlib.util.spec_from_file_location("checks_table", ROOT / "docs" / "checks_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def matrix(rule, check, caught, **changes):
    row = {"id": "wrong", "rule": rule, "right": False, "failed": {check: 1} if caught else {}}
    right = {"id": "plain", "rule": rule, "right": True, "failed": {}}
    return {"suite": "1", "profile": "standard", "dtypes": ["float32"], "checks": {rule: [check]},
            "rows": [row, right], **changes}  # fmt: skip


def test_a_matrix_for_each_rule_gives_one_page(table):
    one, two = matrix("muon", "identity/norm", True), matrix("signum", "step/sign", False)
    rounding = matrix("stochastic-rounding", "rounding/nan", True)
    page = "\n".join(table.lines(table.joined([one, two, rounding])))
    assert "3 mutants and 3 right ports of muon, signum, stochastic-rounding." in page
    assert "| `rounding/nan` |" in page
    assert "| `identity/norm` |" in page
    assert "only it: `muon/wrong`" in page


def test_matrices_that_do_not_belong_together_are_refused(table):
    one = matrix("muon", "identity/norm", True)
    with pytest.raises(SystemExit, match="differ in profile"):
        table.joined([one, matrix("signum", "step/sign", True, profile="core")])
    with pytest.raises(SystemExit, match="two matrices"):
        table.joined([one, one])


def test_the_picture_is_the_one_of_the_run(table):
    """From the data of a matrix the same is drawn as from the matrix."""
    one = Row(Variant("wrong", "lion", "", {}), False, 1, 1, Counter({"step/exact": 1}), {"step/many"})
    two = Row(Variant("fine", "lion", "", {}), True, 1, 1, Counter({"step/many": 1}))
    whole = Matrix("standard", ["float32"], [0], {"lion": ["step/exact", "step/many"]}, rows=[one, two])
    assert table.picture(table.joined([whole.to_dict()])) == matrix_picture(whole)
