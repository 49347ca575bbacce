"""What an exception of foreign code says, and whether it says that something is missing on this machine."""

from __future__ import annotations

import errno
import os
import re

__all__ = ["lacking", "message_of", "place_of", "text_is_lacking"]

_SUITE = os.path.dirname(os.path.abspath(__file__)) + os.sep

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
    if isinstance(error, RuntimeError | OSError) and text_is_lacking(f"{type(error).__name__}: {message_of(error)}"):
        return True
    return error.__cause__ is not None and lacking(error.__cause__)


def message_of(error: BaseException) -> str:
    """The message of a foreign exception, whose ``str()`` is foreign code too."""
    try:
        return str(error)
    except Exception:
        return "no message"


def place_of(error: BaseException) -> str:
    """The last line outside of the suite that ran, as ``" (port.py, line 12)"``; empty if there was none."""
    place, trace = "", error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if not os.path.abspath(path).startswith(_SUITE):
            place = f" ({os.path.basename(path)}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place
