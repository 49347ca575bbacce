"""The conformance suite: is this port of Lion, Signum, Tiger or Muon right?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from signopt.conformance.port import Port
from signopt.conformance.report import CheckResult, Failure, Report

if TYPE_CHECKING:
    from signopt.conformance.pytest_marks import parametrize
    from signopt.conformance.suite import check

__all__ = ["CheckResult", "Failure", "Port", "Report", "check", "parametrize"]

_JUDGES = {"check": "suite", "parametrize": "pytest_marks"}
"""Imported when they are asked for: the process that holds a port imports this package, and needs no judge."""


def __getattr__(name: str) -> Any:
    if name not in _JUDGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"{__name__}.{_JUDGES[name]}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
