"""Results as JSON and back: what crosses from the child process to its parent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signopt.conformance.report import CheckResult, Failure, Report

__all__ = ["Job", "Pair", "read_report", "read_result", "write_result"]

Pair = tuple[str, str]
"""A check's id and a dtype."""


@dataclass(frozen=True)
class Job:
    """What a child is asked to do: everything of the profile but ``skip``, which earlier children have done."""

    target: str
    rule: str | None
    profile: str
    seed: int = 0
    skip: tuple[Pair, ...] = field(default=())

    def to_line(self) -> bytes:
        """The job as one line."""
        return json.dumps(vars(self)).encode() + b"\n"

    @classmethod
    def of_line(cls, line: str) -> Job:
        """The inverse of :meth:`to_line`."""
        content = json.loads(line)
        return cls(**{**content, "skip": tuple((identifier, dtype) for identifier, dtype in content["skip"])})


def write_result(result: CheckResult) -> dict[str, Any]:
    """A result as plain data; its traces stay behind."""
    return result.to_dict()


def read_result(content: Mapping[str, Any]) -> CheckResult:
    """The inverse of :func:`write_result`."""
    failures = [Failure(**{**failure, "index": tuple(failure["index"])}) for failure in content["failures"]]
    return CheckResult(**{**content, "failures": failures})


def read_report(content: Mapping[str, Any]) -> Report:
    """A report without its checks from what ``Report.to_dict`` wrote."""
    kept = ("port", "rule", "profile", "seed", "port_version", "declared", "errors", "diagnosis", "suite")
    return Report(**{key: content[key] for key in kept})
