"""JSON and JUnit: the report for other programs."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from signopt.conformance.report import CheckResult, Report
from signopt.conformance.reporting.common import readable, verdict

__all__ = ["as_json", "as_junit", "schema"]


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of what :func:`as_json` writes."""
    content: dict[str, Any] = json.loads((files(__package__) / "report.schema.json").read_text("utf-8"))
    return content


def as_json(reports: Sequence[Report]) -> str:
    """One report as one object; several as ``{"suite", "verdict", "reports"}``."""
    if len(reports) == 1:
        content = reports[0].to_dict()
    else:
        suites = sorted({report.suite for report in reports})
        content = {
            "suite": ", ".join(suites),
            "verdict": verdict(reports),
            "reports": [report.to_dict() for report in reports],
        }
    return json.dumps(_finite(content), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """The same data with NaN and infinities, which JSON lacks, as text."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def as_junit(reports: Sequence[Report]) -> str:
    """A JUnit file: a suite for each report, a case for each check and dtype."""
    root = ET.Element("testsuites", name="signopt")
    for report in reports:
        root.append(_suite(report))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(report: Report) -> ET.Element:
    counts, beside = report.counts, [*report.errors, *report.obstacles]
    suite = _element(
        "testsuite",
        name=f"{report.port} {report.rule} {report.profile}",
        tests=len(report.checks) + len(beside),
        failures=counts["failed"],
        errors=counts["not_run"] + len(beside),
        skipped=counts["not_applicable"] + counts["deviating"],
    )
    properties = ET.SubElement(suite, "properties")
    known = {"suite": report.suite, "verdict": report.verdict, "port_version": report.port_version, "seed": report.seed}
    for name, value in known.items():
        properties.append(_element("property", name=name, value=value))
    for name, lines in (("diagnosis", report.diagnosis), ("note", report.notes)):
        properties.extend(_element("property", name=name, value=line) for line in lines)
    suite.extend(_case(report, result) for result in report.checks)
    suite.extend(_suite_error(report, number, error) for number, error in enumerate(beside))
    return suite


def _case(report: Report, result: CheckResult) -> ET.Element:
    case = _element("testcase", classname=f"{report.port}.{result.group}", name=f"{result.id}[{result.dtype}]")
    if result.status == "failed":
        failure = _element("failure", message=result.failures[0].message if result.failures else result.reason)
        failure.text = readable("\n\n".join(_text(result)))
        case.append(failure)
    elif result.status == "not_run":
        case.append(_element("error", message=result.reason))
    elif result.status != "passed":
        case.append(_element("skipped", message=f"{result.status}: {result.reason}"))
    return case


def _text(result: CheckResult) -> list[str]:
    return [str(failure) for failure in result.failures]


def _suite_error(report: Report, number: int, error: str) -> ET.Element:
    case = _element("testcase", classname=f"{report.port}.suite", name=f"suite[{number}]")
    case.append(_element("error", message=error))
    return case


def _element(tag: str, **attributes: Any) -> ET.Element:
    return ET.Element(tag, {name: readable(str(value)) for name, value in attributes.items()})
