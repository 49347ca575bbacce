"""What one port in another process may use, and how its process ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Ending", "Limits", "exit_text"]


@dataclass(frozen=True)
class Limits:
    """What one port may use. Seconds are those of :class:`~signopt.conformance.protocol.clock.PortClock`.

    Attributes
    ----------
    message_seconds:
        From a request to its complete reply, counted anew whenever a byte moves; on the wall at most twenty times this.
    total_seconds:
        Of waiting for replies, over the whole check.
    line_bytes:
        Length of one reply, and of everything that may lie unread after it.
    memory_bytes:
        Resident memory of the process and of those it started.
    exit_seconds:
        Between the end of the conversation and the end of the process.
    restarts:
        How often a port that broke down is started again.
    """

    message_seconds: float = 60.0
    total_seconds: float = 3600.0
    line_bytes: int = 64 << 20
    memory_bytes: int = 8 << 30
    exit_seconds: float = 5.0
    restarts: int = 2


class Ending(NamedTuple):
    """How a process ended after the conversation: what was wrong, and what is only remarkable; both may be empty."""

    fault: str = ""
    remark: str = ""


def exit_text(code: int | None) -> str:
    """How a process ended, by its exit code, as a part of a sentence."""
    if code is None:
        return "it is still running"
    if code == -signal.SIGKILL:
        return "it was ended by SIGKILL, as when a system runs out of memory"
    if code < 0:
        return f"it was ended by {_signal_name(-code)}"
    return f"it exited with code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
