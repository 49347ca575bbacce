"""Check a Python port that a child process holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signopt.conformance.isolation.port import IsolatedPort
from signopt.conformance.protocol.limits import Limits
from signopt.conformance.report import Report
from signopt.conformance.suite import check

__all__ = ["check_isolated"]


def check_isolated(
    target: str,
    profile: str = "standard",
    *,
    rule: str | None = None,
    limits: Limits | None = None,
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> Report:
    """:func:`~signopt.conformance.check` of a target that stays in a process of its own.

    Parameters
    ----------
    target : str
        As of :class:`~signopt.conformance.isolation.port.IsolatedPort`, like ``rule``, ``limits`` and ``environment``.
    profile, **options
        As of :func:`~signopt.conformance.check`.

    Returns
    -------
    Report
        Also if the port hangs, crashes or leaves the process: never an exception for a bad port.
    """
    with IsolatedPort(target, rule=rule, limits=limits, environment=environment) as port:
        report = check(port, profile, rule=rule, **options)
    if not report.rule:
        report.port, report.rule = target, rule or ""
    return report
