"""The terminal: where reports go, and where progress goes."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from signopt.commands._streams import discard
from signopt.conformance.report import CheckResult
from signopt.conformance.reporting.common import readable

__all__ = ["make_console", "reporter"]


class _Console(Console):
    """One whose reader may leave: the verdict is the exit code all the same."""

    def on_broken_pipe(self) -> None:
        """Write to nowhere from now on."""
        self.quiet = True
        discard(self.file)


def make_console(*, stderr: bool = False) -> Console:
    """A console that takes text as it is: ports choose their own names."""
    return _Console(stderr=stderr, emoji=False, highlight=False)


def reporter(status: Status, port: str) -> Callable[[CheckResult, int, int], None]:
    """Shows on ``status`` how many checks of ``port`` are done, of how many, and which was the last."""

    def report(result: CheckResult, done: int, planned: int) -> None:
        status.update(escape(readable(f"{port}: {done} of {planned}, {result.id} {result.dtype}")))

    return report
