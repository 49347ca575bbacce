"""What all renderings share: the matrix of checks and dtypes, and the words for how a check ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from signopt.conformance.report import CheckResult, Failure, Report

__all__ = ["WORDS", "details", "dtypes", "readable", "rows", "summary", "verdict"]

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
    """ "pass" if there is a report and every one of them passes."""
    return "pass" if reports and all(report.verdict == "pass" for report in reports) else "fail"


def summary(report: Report) -> str:
    """The counts as a phrase: ``"41 passed, 2 failed, 1 not applicable"``."""
    counted = [f"{count} {WORDS[status]}" for status, count in report.counts.items() if count]
    return ", ".join(counted) or "no check ran"


def details(failure: Failure) -> list[tuple[str, str]]:
    """What is known of a failure, by label, without what is empty."""
    inputs: Mapping[str, Any] = failure.inputs
    hyper = inputs.get("hyper") or {}
    known = [
        ("where", _place(failure)),
        ("parameter p", _number(inputs.get("p"))),
        ("gradient g", _number(inputs.get("g"))),
        ("momentum m", _number(inputs.get("m"))),
        ("hyperparameters", ", ".join(f"{key} = {value}" for key, value in hyper.items())),
        ("exact c", failure.direction),
        ("region", failure.region),
        ("allowed", failure.allowed),
        ("got", _number(failure.got)),
    ]
    return [(label, text) for label, text in known if text]


def readable(text: str) -> str:
    """Text without control characters and lone surrogates: a port chooses its own names."""
    return "".join(c if c in "\t\n" or (c.isprintable() and not "\ud800" <= c <= "\udfff") else "�" for c in text)


def _place(failure: Failure) -> str:
    if not failure.tensor:
        return ""
    index = ", ".join(map(str, failure.index))
    what = f" ({failure.quantity})" if failure.quantity else ""
    return f"{failure.tensor}[{index}]{what}, step {failure.step}"


def _number(text: Any) -> str:
    """A hexadecimal float with its decimal value beside it; of an interval, both ends."""
    if isinstance(text, list | tuple):
        return " … ".join(map(_number, text))
    if not text:
        return ""
    try:
        return f"{text} ({float.fromhex(text):.9g})"
    except (ValueError, OverflowError):
        return str(text)
