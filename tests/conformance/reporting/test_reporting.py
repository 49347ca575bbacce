"""Every rendering of a report, also where a port has put the strangest things into it."""

import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import jsonschema
import pytest
from rich.console import Console

from signopt.conformance.report import CheckResult, Failure, Report
from signopt.conformance.reporting.common import verdict
from signopt.conformance.reporting.html import as_html
from signopt.conformance.reporting.machine import as_json, as_junit, schema
from signopt.conformance.reporting.terminal import show

ODD = "\ud800\x00\x1b[31m<script>alert(1)</script> [red] & ]]> :x: “"


def report(name="port", **changes):
    failure = Failure(
        "step/exact", "float32", "the parameter moved the wrong way", "w", (1, 2), 3, "param",
        {"p": "0x1.8p+0", "g": "-0x1p-1", "m": ["0x0p+0", "0x1p-3"], "hyper": {"lr": "0.125", "betas": "(0.5, 0.75)"}},
        "-1/4", "clear", "0x1.ap+0", "0x1.6p+0",
    )  # fmt: skip
    checks = [
        CheckResult("step/exact", "step", "float32", "One step is exact.", "failed", failures=[failure], judged=40),
        CheckResult("step/exact", "step", "float64", "One step is exact.", "passed", judged=40),
        CheckResult("decay/size", "decay", "float32", "Decay is decay.", "deviating", "by design", 8, [failure]),
        CheckResult("decay/size", "decay", "float64", "Decay is decay.", "not_run", "it broke down"),
        CheckResult("sizes/empty", "sizes", "float32", "Empty stays empty.", "not_applicable", "refuses empty arrays"),
    ]
    return Report(**{"port": name, "rule": "lion", "profile": "standard", "checks": checks, **changes})


def odd_report():
    declared = {"name": ODD, "speed": float("nan"), "of": {"light": float("inf")}, ODD: [ODD, object()]}
    failure = Failure(ODD, ODD, ODD, ODD, (0,), 0, ODD, {"p": ODD, "hyper": {ODD: ODD}}, ODD, ODD, ODD, ODD)
    checks = [CheckResult(ODD, ODD, ODD, ODD, status, ODD, 0, [failure], [ODD]) for status in ("failed", "not_run")]
    return report(
        ODD,
        port_version=ODD,
        declared=declared,
        checks=checks,
        errors=[ODD],
        obstacles=[ODD],
        notes=[ODD],
        diagnosis=[ODD],
    )


SETS = {
    "one": [report()],
    "two": [report("a"), report("b", checks=report().checks[1:2])],
    "odd": [odd_report()],
    "odd and plain": [report(), odd_report()],
    "empty": [report(checks=[], obstacles=["could not run: no such module"])],
    "none": [],
}


def printed(reports, width=100, **options):
    console = Console(file=io.StringIO(), width=width, emoji=False, highlight=False)
    show(reports, console, **options)
    return console.file.getvalue()


@pytest.mark.parametrize("name", SETS)
def test_json_follows_its_schema(name):
    text = as_json(SETS[name])
    text.encode("ascii")
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.Draft202012Validator(schema()).validate(json.loads(text, parse_constant=pytest.fail))


@pytest.mark.parametrize("name", SETS)
def test_junit_can_be_parsed_and_counts_what_it_holds(name):
    root = ET.fromstring(as_junit(SETS[name]).encode("utf-8"))
    assert len(root) == len(SETS[name])
    for suite, each in zip(root, SETS[name], strict=True):
        cases = suite.findall("testcase")
        assert len(cases) == int(suite.get("tests")) == len(each.checks) + len(each.errors) + len(each.obstacles)
        for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert len(suite.findall(f"testcase/{tag}")) == int(suite.get(attribute))


@pytest.mark.parametrize("name", SETS)
def test_html_is_one_page_without_scripts(name):
    page = as_html(SETS[name])
    page.encode("utf-8")
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"?(https?:)?//", page)
    assert page.count("<section") == page.count("</section>") == len(SETS[name])


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("width", [20, 100])
def test_the_terminal_takes_anything(name, width):
    printed(SETS[name], width).encode("utf-8")


def test_every_rendering_tells_what_is_known_of_a_failure():
    known = ["the parameter moved the wrong way", "-1/4", "clear", "0x1.ap+0", "0x1.6p+0", "lr = 0.125", "w[1, 2]"]
    for text in (as_html(SETS["one"]), as_junit(SETS["one"]), printed(SETS["one"], 200)):
        assert [part for part in known if part not in text] == []
    content = json.loads(as_json(SETS["one"]))
    (failure,) = content["checks"][0]["failures"]
    assert (failure["got"], failure["allowed"], failure["inputs"]["p"]) == ("0x1.6p+0", "0x1.ap+0", "0x1.8p+0")


def test_the_matrix_has_a_cell_for_each_check_and_dtype():
    page = as_html(SETS["one"])
    cells = re.findall(r'<td class="(\w+)">', page)
    assert cells == ["failed", "passed", "deviating", "not_run", "not_applicable"]
    lines = [line.split()[:3] for line in printed(SETS["one"], table=True).splitlines()]
    assert ["✗", "✓", "step/exact"] in lines
    assert ["~", "?", "decay/size"] in lines


LONG = "inputs/roles-parameter-layouts"


@pytest.mark.parametrize("width", range(40, 201, 20))
def test_marks_and_ids_are_whole_at_any_width(width):
    wrong = report(diagnosis=["looks like a sign that is not"])
    wrong.checks += [
        replace(wrong.checks[0], id=LONG, group="inputs"),
        replace(wrong.checks[1], id=LONG, group="inputs"),
    ]
    lines = printed([wrong], width, table=True).splitlines()
    assert max(map(len, lines)) <= width
    rows = [line.split()[:3] for line in lines]
    for identifier, marks in (("step/exact", ["✗", "✓"]), ("decay/size", ["~", "?"]), (LONG, ["✗", "✓"])):
        assert [*marks, identifier] in rows
    assert ["✗", "✓", "inputs"] in [line.split()[:3] for line in printed([wrong], width).splitlines()]


def test_the_verdict_and_the_diagnosis_come_first_and_the_counts_are_everywhere_the_same():
    wrong = report(diagnosis=["looks like a sign that is not"])
    lines = printed([wrong]).splitlines()
    assert lines[0].startswith("fail: port: lion")
    assert lines[2].strip() == "looks like a sign that is not"
    counted = "1 passed, 1 failed, 1 deviating as stated, 1 not applicable, 1 not run"
    assert lines[1].strip() == counted
    assert lines[-1] == f"fail: {counted}"
    assert counted in as_html([wrong])
    suite = ET.fromstring(as_junit([wrong]).encode())[0]
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["5", "1", "1", "2"]


def test_of_many_failing_checks_each_has_a_line_and_two_are_shown():
    wrong = report()
    wrong.checks = [replace(wrong.checks[0], id=f"step/{number}") for number in range(9)]
    text = printed([wrong])
    assert sum(line.startswith("✗ step/") and "[" not in line for line in text.splitlines()) == 9
    assert text.count("exact c") == 2


def test_a_printed_failure_names_the_bug():
    wrong = report()
    wrong.explain(["looks like a sign that is not"])
    assert "diagnosis: looks like a sign that is not" in str(wrong.failures[0])
    assert "got: 0x1.6p+0 (1.375)" in str(wrong.failures[0])


def test_no_report_is_no_pass():
    passing, unrun = report(checks=report().checks[1:2]), report(checks=report().checks[3:4])
    assert verdict([]) == "undecided"
    assert verdict([passing]) == "pass"
    assert verdict([passing, unrun]) == "undecided"
    assert verdict([passing, unrun, report()]) == "fail"
