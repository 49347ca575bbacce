"""The terminal: where tables go, and where progress goes."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.status import Status

from signopt.conformance.report import CheckResult

__all__ = ["make_console", "reporter"]


def make_console(*, stderr: bool = False) -> Console:
    """A console that takes text as it is: ports choose their own names."""
    return Console(stderr=stderr, emoji=False, highlight=False)


def reporter(status: Status, port: str) -> Callable[[CheckResult], None]:
    """Shows on ``status`` which check of ``port`` has just ended."""
    done = 0

    def report(result: CheckResult) -> None:
        nonlocal done
        done += 1
        status.update(f"{port}: {done} checks, last {result.id} {result.dtype}".replace("[", "\\["))

    return report
