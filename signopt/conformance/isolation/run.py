"""The parent's side: start a child, collect its results, and go on with another one where it breaks down."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from signopt.conformance.checks import REGISTRY
from signopt.conformance.isolation.transport import Job, Pair, read_report, read_result
from signopt.conformance.protocol.child import Child, Limits
from signopt.conformance.protocol.errors import PortFailure, PortTimeout
from signopt.conformance.report import CheckResult, Failure, Report

__all__ = ["DEFAULT_LIMITS", "check_isolated"]

DEFAULT_LIMITS = Limits(message_seconds=60.0, total_seconds=600.0, memory_bytes=8 << 30, restarts=2)
"""A minute for one check, half as long after each hang, ten in all; 8 GiB; two breakdowns to recover from."""

_WORKER = (sys.executable, "-m", "signopt.conformance.isolation.worker")
_START_SECONDS = 120.0

Progress = Callable[[CheckResult], None]


def check_isolated(
    target: str,
    profile: str = "standard",
    *,
    rule: str | None = None,
    seed: int = 0,
    limits: Limits = DEFAULT_LIMITS,
    environment: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check a Python port in a child process.

    Parameters
    ----------
    target : str
        ``"package.module:attribute"`` or the name of a published port; a string, because a process cannot be
        handed an object.
    profile, seed, progress
        As in :func:`~signopt.conformance.check`.
    rule : str, optional
        What the port must implement.
    limits : Limits
        ``message_seconds`` bounds one check, ``total_seconds`` all of them.
    environment : mapping, optional
        Variables for the child beside those of this process.

    Returns
    -------
    Report
        Also where the port hangs, crashes or leaves the process: never an exception for a bad port.
    """
    run = _Run(Job(target, rule, profile, seed), limits, dict(environment or {}), progress)
    report = run.to_end()
    if rule is not None and report.rule not in ("", rule):
        report.errors.append(f"asked for {rule}, and the port implements {report.rule}")
    return report


class _Run:
    """One check over as many children as it takes."""

    def __init__(self, job: Job, limits: Limits, environment: dict[str, str], progress: Progress | None) -> None:
        self._job, self._limits, self._progress = job, limits, progress
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
        self._report = Report(port=job.target, rule=job.rule or "", profile=job.profile, seed=job.seed)
        self._plan: list[Pair] = []
        self._patience = limits.message_seconds
        self._deadline = time.monotonic() + limits.total_seconds

    def to_end(self) -> Report:
        """Start children until one ends in order, or too many have broken down."""
        for _ in range(self._limits.restarts + 1):
            if time.monotonic() >= self._deadline:
                break
            failure = self._one_child()
            if failure is None:
                return self._report
            if not self._plan:
                self._report.errors.append(f"could not run: {failure}")
                return self._report
            self._blame(failure)
            if not self._plan:
                return self._report
        for pair in self._plan:
            self._add(_result(pair, "not_run", "the port broke down too often, or took too long in all"))
        return self._report

    def _one_child(self) -> str | None:
        """Run one child; what went wrong with it, or None."""
        child = Child(_WORKER, self._limits, self._environment)
        try:
            job = Job(**{**vars(self._job), "skip": tuple((r.id, r.dtype) for r in self._report.checks)})
            message = json.loads(child.exchange(job.to_line(), self._seconds(_START_SECONDS)))
            while "end" not in message and "error" not in message:
                self._take(message)
                message = json.loads(child.receive(self._seconds(self._patience)))
        except (PortFailure, ValueError) as failure:
            self._patience /= 2 if isinstance(failure, PortTimeout) else 1
            return str(failure)
        finally:
            child.kill()
        if "error" in message:
            self._report.errors.append(f"could not run: {message['error']}")
        self._report.diagnosis.extend(message.get("end", []))
        return None

    def _seconds(self, most: float) -> float:
        return min(most, max(self._deadline - time.monotonic(), 0.0))

    def _take(self, message: Mapping[str, Any]) -> None:
        if "result" in message:
            self._add(read_result(message["result"]))
            self._plan.pop(0)
            return
        checks = self._report.checks
        self._report = read_report(message["report"])
        self._report.checks = checks
        self._plan = [(identifier, dtype) for identifier, dtype in message["plan"]]

    def _blame(self, failure: str) -> None:
        """The check at which the child broke down has failed."""
        pair = self._plan.pop(0)
        result = _result(pair, "failed", failure)
        result.failures.append(Failure(result.id, result.dtype, f"the port broke down: {failure}"))
        self._add(result)

    def _add(self, result: CheckResult) -> None:
        self._report.checks.append(result)
        if self._progress:
            self._progress(result)


def _result(pair: Pair, status: str, reason: str) -> CheckResult:
    identifier, dtype = pair
    check = REGISTRY[identifier]
    return CheckResult(identifier, check.group, dtype, check.proves, status, reason)
