"""The published page: made by the reports beside it, and by nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from docs.field.findings import load
from docs.field.page import compose

FIELD = Path(__file__).parents[3] / "docs" / "field"
RESULTS = [json.loads(path.read_text("utf-8")) for path in sorted((FIELD / "reports").glob("*.json"))]


def test_the_page_is_the_one_that_the_reports_make() -> None:
    assert compose(RESULTS, load()) == (FIELD / "compatibility.md").read_text("utf-8")


def test_at_least_fifteen_ports_of_today_ran_and_each_rule_has_one() -> None:
    ran = [each for each in RESULTS if "report" in each and not each["past"]]
    assert len(ran) >= 15
    assert {each["rule"] for each in ran} == {"lion", "signum", "tiger", "muon"}


def test_no_check_of_a_published_row_was_left_out() -> None:
    for each in RESULTS:
        if "report" in each:
            assert each["report"]["counts"]["not_run"] == 0, each["name"]
            assert not each["report"]["errors"], each["name"]


def test_every_finding_is_on_the_page() -> None:
    rows = {(f"{each['rule']}/{each['name']}", each.get("version")) for each in RESULTS}
    for finding in load():
        named = {(port, version) for port in finding.ports for version in finding.versions}
        assert named & rows, finding.title
