"""What all renderings share: the matrix of checks and dtypes, and the marks and words for how a check ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from signopt.conformance.report import CheckResult, Report

__all__ = ["SIGNS", "WORDS", "dtypes", "readable", "rows", "summary", "verdict"]

SIGNS = {"passed": "✓", "failed": "✗", "deviating": "~", "not_applicable": "–", "not_run": "?"}
"""How a check ended, in one character."""

WORDS = {
    "passed": "passed",
    "failed": "failed",
    "deviating": "deviating as stated",
    "not_applicable": "not applicable",
    "not_run": "not run",
}
"""How a check ended, in words."""


def dtypes(report: Report) -> list[str]:
    """The dtypes of the report, in the order in which they were checked."""
    return list(dict.fromkeys(result.dtype for result in report.checks))


def rows(report: Report) -> Iterator[tuple[str, str, Mapping[str, CheckResult]]]:
    """For each check its id, what it proves, and its result by dtype."""
    found: dict[str, dict[str, CheckResult]] = {}
    for result in report.checks:
        found.setdefault(result.id, {})[result.dtype] = result
    for identifier, by_dtype in found.items():
        yield identifier, next(iter(by_dtype.values())).proves, by_dtype


def verdict(reports: Sequence[Report]) -> str:
    """ "fail" if one of the reports fails, "pass" if there are some and all pass, else "undecided"."""
    verdicts = {report.verdict for report in reports}
    if "fail" in verdicts:
        return "fail"
    return "pass" if verdicts == {"pass"} else "undecided"


def summary(report: Report) -> str:
    """The counts as a phrase: ``"41 passed, 2 failed, 1 not applicable"``."""
    counted = [f"{count} {WORDS[status]}" for status, count in report.counts.items() if count]
    return ", ".join(counted) or "no check ran"


def readable(text: str) -> str:
    """Text without control characters and lone surrogates: a port chooses its own names."""
    return "".join(c if c in "\t\n" or (c.isprintable() and not "\ud800" <= c <= "\udfff") else "�" for c in text)
