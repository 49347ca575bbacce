"""Standard output as it is: of any encoding, and closed by its reader when that has read enough."""

from __future__ import annotations

import codecs
import os
from typing import IO

__all__ = ["discard", "make_encodable"]

_IN_ASCII = {"✓": "+", "✗": "x", "–": "-", "−": "-", "…": "...", "×": "x", "·": "*", "±": "+-"}


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """What a stream cannot encode, in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_IN_ASCII.get(each, "?") for each in error.object[error.start : error.end]), error.end


codecs.register_error("signopt", _spelled)


def make_encodable(stream: IO[str]) -> None:
    """Let a stream that cannot encode the marks of a report write others: no verdict depends on a terminal."""
    try:
        "✓".encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="signopt")


def discard(stream: IO[str]) -> None:
    """Send to nowhere what is still written to a pipe that nobody reads."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
