"""The verdicts that the compatibility page publishes, for a run elsewhere to say whether it sees the same.

``published.json`` holds, for each ``"rule/name"``, the version that was judged and its verdict under the standard
profile. ``python -m docs.field publish`` writes it from the reports.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from signopt.conformance.report import Report

__all__ = ["Published", "load", "surprises", "write"]

_FILE = "published.json"


@dataclass(frozen=True)
class Published:
    """What was published of one port."""

    version: str
    verdict: str


def load() -> dict[str, Published]:
    """The published verdicts by ``"rule/name"``."""
    text = files(__package__).joinpath(_FILE).read_text("utf-8")
    return {name: Published(**entry) for name, entry in json.loads(text).items()}


def surprises(reports: Sequence[Report]) -> list[str]:
    """One sentence for each report that is not as published; this library's own optimizers must pass.

    Of another version than the published one a pass is no surprise, nor is it under other checks than those of the
    standard profile, and neither is what did not run.
    """
    published, found = load(), []
    for report in reports:
        known = published.get(f"{report.rule}/{report.port}")
        expected = "pass" if known is None else known.verdict
        partial = bool(report.selection) or report.profile == "core"
        other = known is not None and (partial or known.version != report.port_version)
        if report.verdict in (expected, "undecided") or (other and report.verdict == "pass"):
            continue
        against = "which nothing was published of" if known is None else f"published as {expected} at {known.version}"
        version = f" {report.port_version}" if report.port_version else ""
        found.append(f"{report.port}{version}, {report.rule}: {report.verdict}, {against}")
    return found


def write(results: Sequence[dict[str, Any]]) -> None:
    """Write the file from the rows of the matrix: releases of the past and rows that did not run are left out."""
    entries = {
        f"{row['rule']}/{row['name']}": {"version": row["version"], "verdict": row["report"]["verdict"]}
        for row in results
        if "report" in row and not row["past"]
    }
    path = Path(__file__).with_name(_FILE)
    path.write_text(json.dumps(dict(sorted(entries.items())), indent=1) + "\n", "utf-8")
