"""The child's side: ``python -m signopt.conformance.isolation.worker``, told its job by one line on stdin.

It answers in JSON lines: ``{"report": …, "plan": …}``, then ``{"result": …}`` for each check, then ``{"end":
…}``; or ``{"error": …}`` where the target cannot be had.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from signopt.conformance import diagnosis
from signopt.conformance.adapters.discovery import TargetError, resolve
from signopt.conformance.checks import Check
from signopt.conformance.declarations import Declaration
from signopt.conformance.driver import Driver
from signopt.conformance.isolation.transport import Job, write_result
from signopt.conformance.report import Report
from signopt.conformance.suite import introduce, run_check, select

__all__ = ["main"]


def main() -> None:
    """Do one job."""
    job = Job.of_line(sys.stdin.readline())
    with _private_stdout() as out:
        for message in _messages(job):
            out.write(json.dumps(message) + "\n")
            out.flush()


def _private_stdout() -> TextIO:
    """The stdout that the parent reads; whatever a port prints goes to stderr instead, and it has no stdin."""
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return private


def _messages(job: Job) -> Iterator[dict[str, Any]]:
    try:
        target = resolve(job.target, job.rule)
    except TargetError as error:
        yield {"error": str(error)}
        return
    report = Report(port=job.target, rule=job.rule or "", profile=job.profile, seed=job.seed)
    introduced = introduce(target, report)
    plan = [] if introduced is None else list(_plan(introduced[1], job))
    yield {"report": report.to_dict(), "plan": [(check.id, dtype) for check, dtype in plan]}
    if introduced is not None:
        yield from _results(plan, *introduced, report)
    yield {"end": diagnosis.explain(report) if report.verdict == "fail" else []}


def _plan(declared: Declaration, job: Job) -> Iterator[tuple[Check, str]]:
    for check in select(declared.rule, job.profile):
        for dtype in declared.dtypes:
            if (check.id, dtype) not in job.skip:
                yield check, dtype


def _results(
    plan: list[tuple[Check, str]], driver: Driver, declared: Declaration, report: Report
) -> Iterator[dict[str, Any]]:
    for check, dtype in plan:
        result = run_check(check, driver, declared, dtype, report.seed)
        report.checks.append(result)
        yield {"result": write_result(result)}


if __name__ == "__main__":
    main()
