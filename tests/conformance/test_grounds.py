"""What a Muon was judged by: a proof, or a claim of statistics that the report states as one."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest
from rich.console import Console

from signopt.conformance import check
from signopt.conformance.numpy_ports import RIGHT_PORTS
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.oracle.muon.spread import FALSE_ALARMS, MISSES
from signopt.conformance.report import Report
from signopt.conformance.reporting.html import as_html
from signopt.conformance.reporting.machine import as_json, as_junit, schema
from signopt.conformance.reporting.terminal import show

PAGE = Path(__file__).resolve().parents[2] / "docs" / "muon.md"


def report(key: str, *only: str) -> Report:
    port = next(each for each in RIGHT_PORTS["muon"] if each.id == key)
    return check(port(), dtypes=["float32"], only=only)


def by(report: Report) -> dict[str, dict[str, int]]:
    return {each["id"]: each["judged_by"] for each in json.loads(as_json([report]))["checks"]}


def printed(report: Report) -> str:
    console = Console(file=io.StringIO(), width=100)
    show([report], console)
    return " ".join(console.file.getvalue().split())


def test_a_fixed_number_of_16_bit_applications_is_judged_by_the_spread_and_the_report_says_so():
    fixed = report("bfloat16-fixed", "iteration/default", "iteration/vectors")
    assert by(fixed)["iteration/default"].keys() == {"spread"}
    jsonschema.Draft202012Validator(schema()).validate(json.loads(as_json([fixed])))
    for shown in (printed(fixed), as_html([fixed]), as_junit([fixed]), as_json([fixed])):
        assert "a claim of statistics" in shown
        assert f"{FALSE_ALARMS[0]} alarms in {FALSE_ALARMS[1]} right iterations" in shown
        assert f"{MISSES['bfloat16'][0]} to {MISSES['bfloat16'][1]} %" in shown
        assert "iteration/default, iteration/vectors" in shown


def test_a_trajectory_is_a_proof():
    local = report("bfloat16", "trajectory/local")
    assert by(local)["trajectory/local"].keys() == {"radius", "trajectory"}
    assert not local.notes


def test_one_application_in_16_bits_has_a_proven_radius():
    one = report("bfloat16", "polynomial/monomials")
    assert by(one)["polynomial/monomials"].keys() == {"radius"}
    assert not one.notes


class OneMore(MuonPort):
    """Runs of more than two applications have one too many: their iterates do not follow from one another."""

    declared: ClassVar[Mapping[str, Any]] = {"ns_dtype": "bfloat16"}

    def steps(self) -> int:
        """How often the polynomial is applied."""
        count = super().steps()
        return count + (count == 3)


def test_iterates_that_do_not_follow_are_held_to_the_spread():
    port: Any = OneMore()
    local = check(port, dtypes=["float32"], only=["trajectory/local"], diagnose=False)
    assert "spread" in by(local)["trajectory/local"]
    assert "a claim of statistics" in printed(local)


def test_32_bits_are_judged_by_the_radius_alone():
    plain = report("plain", "iteration/default", "spreading/nan-gradient", "matrices/empty")
    assert all(each.keys() == {"radius"} for each in by(plain).values())
    assert not plain.notes


@pytest.mark.parametrize(("key", "only"), [("svd", "iteration/plain"), ("spectral-svd", "decaying/alone")])
def test_what_no_polynomial_gives_is_held_to_units_that_nobody_proved(key, only):
    counted = report(key, only)
    assert "units" in by(counted)[only]
    assert "counted, not proven" in printed(counted)


def test_what_no_bound_is_known_for_is_said_to_be_unjudged():
    ill = report("svd", "iteration/small-values")
    assert "nothing" in by(ill)["iteration/small-values"]
    assert "could not be judged" in printed(ill)


def test_the_rates_in_the_report_are_those_of_the_page():
    """The table of docs/muon.md: kind, then trajectory and spread in bfloat16, and in float16."""
    rows = re.findall(r"^\| .+ \| (right|wrong) \| \d+ \| (\d+) \| \d+ \| (\d+) \|$", PAGE.read_text("utf-8"), re.M)
    matrices = int(re.search(r"In percent of (\d+) random matrices", PAGE.read_text("utf-8"))[1])
    right = [int(each) for kind, *both in rows if kind == "right" for each in both]
    assert (sum(right) * matrices // 100, len(right) * matrices) == FALSE_ALARMS
    for column, dtype in enumerate(("bfloat16", "float16")):
        missed = [100 - int(both[column]) for kind, *both in rows if kind == "wrong"]
        assert MISSES[dtype] == (min(missed), max(missed))
