"""What can go wrong between the suite and a port in another process.

Two families, because they mean different things in a report. A :class:`PortError` is an answer: the port
understood and declined. A :class:`PortFailure` is no answer, or an unreadable one, and never counts as a
refusal.
"""

from __future__ import annotations

__all__ = ["PortDied", "PortError", "PortFailure", "PortHung", "PortTimeout", "PortUnavailable", "ProtocolViolation"]


class PortError(RuntimeError):
    """The port answered with an error of its own."""


class PortFailure(RuntimeError):  # noqa: N818 (it is the port that failed)
    """The conversation with the port broke down."""


class PortDied(PortFailure):
    """The port's process ended in the middle of a conversation."""


class PortHung(PortFailure):
    """A call within this process did not return in time."""


class PortTimeout(PortFailure):
    """No complete answer arrived in time; the process was killed."""


class PortUnavailable(PortFailure):
    """The port could not be started, or broke down so often that it is not started again."""


class ProtocolViolation(PortFailure):
    """Something other than the one expected reply: not JSON, another id, a malformed array, too long."""
