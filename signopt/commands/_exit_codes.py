"""What a command returns to the shell."""

from __future__ import annotations

__all__ = ["COULD_NOT_RUN", "FAILED", "PASSED", "of_verdict"]

PASSED, FAILED, COULD_NOT_RUN = 0, 1, 2

_CODES = {"pass": PASSED, "fail": FAILED, "undecided": COULD_NOT_RUN}


def of_verdict(verdict: str) -> int:
    """The exit code of a report's verdict."""
    return _CODES[verdict]
