"""What can go wrong between the suite and a port, and whether it says anything about the port.

Two families, because they mean different things in a report. A :class:`PortError` is an answer: the port
understood and declined. A :class:`PortFailure` is no answer, or an unreadable one, and never counts as a
refusal. Of the failures only those that ``accuse`` make a check fail; a check that met any other did not run.
"""

from __future__ import annotations

import errno
import re
from typing import ClassVar

__all__ = [
    "PortDied", "PortError", "PortFailure", "PortHung", "PortLacks", "PortOverLimit", "PortTimeout", "PortUnavailable",
    "PortUnfinished", "ProtocolViolation", "lacking", "text_is_lacking", "words",
]  # fmt: skip


class PortError(RuntimeError):
    """The port answered with an error of its own."""


class PortFailure(RuntimeError):  # noqa: N818 (it is the port that failed)
    """The conversation with the port broke down."""

    accuses: ClassVar[bool] = False
    """Whether this is the port's fault whatever the machine."""


class PortDied(PortFailure):
    """The port's process ended in the middle of a conversation."""

    accuses = True


class ProtocolViolation(PortFailure):
    """Something other than the one expected reply: not JSON, another id, a malformed array, too long."""

    accuses = True


class PortHung(PortFailure):
    """A call within this process did not return in time."""


class PortTimeout(PortFailure):
    """No complete answer arrived in time; the process was killed."""


class PortUnfinished(PortTimeout):
    """No complete answer, and what did arrive shows why: it was not flushed, or lacks its end."""


class PortOverLimit(PortFailure):
    """The port used more memory than it was allowed; the process was killed."""


class PortLacks(PortFailure):
    """The port cannot work here: a library, memory or a device is missing."""


class PortUnavailable(PortFailure):
    """The port could not be started, or broke down so often that it is not started again."""


_OF_THE_MACHINE = (errno.ENOMEM, errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EAGAIN)
_LACKING = re.compile(
    r"ModuleNotFoundError|ImportError|ERR_MODULE_NOT_FOUND|Cannot find (module|package)|ClassNotFoundException"
    r"|NoClassDefFoundError|UnsatisfiedLinkError|error while loading shared libraries|cannot open shared object"
    r"|Library not loaded|MemoryError|OutOfMemory|bad_alloc|out of memory|Cannot allocate memory|RESOURCE_EXHAUSTED"
    r"|memory allocation of \d+ bytes failed|can't start new thread|No space left on device|Too many open files"
    r"|command not found",
    re.IGNORECASE,
)


def text_is_lacking(text: str) -> bool:
    """Whether a message of any language says that a library, memory or another resource is missing."""
    return _LACKING.search(text) is not None


def lacking(error: BaseException) -> bool:
    """Whether an exception says so: also one that was raised ``from`` such a one."""
    if isinstance(error, ImportError | MemoryError | TimeoutError):
        return True
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        return True
    if isinstance(error, RuntimeError | OSError) and text_is_lacking(f"{type(error).__name__}: {words(error)}"):
        return True
    return error.__cause__ is not None and lacking(error.__cause__)


def words(error: BaseException) -> str:
    """The message of a foreign exception, whose ``str()`` is foreign code too."""
    try:
        return str(error)
    except Exception:
        return "no message"
