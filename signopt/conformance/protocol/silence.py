"""Why no complete reply arrived: what the port did write, and the question that its author should ask."""

from __future__ import annotations

import json

from .child import Child
from .wire import brief

__all__ = ["question"]


def question(child: Child) -> str:
    """What was heard of a port that speaks in lines, up to closing its stdin; "" if it was computing all the time."""
    if child.unread:
        return _incomplete(child.unread)
    if child.busy:
        return ""
    late = child.heard_after_input_ended()
    if not late:
        return "nothing arrived on its stdout: does it read its stdin line by line?"
    return (
        f"nothing arrived until its stdin was closed, and then {brief(late, 120)}: does it flush stdout after each "
        "reply (a pipe is buffered in blocks), or does it read several requests before it answers the first?"
    )


def _incomplete(unread: bytes) -> str:
    shown = f"{brief(unread, 120)} arrived, {len(unread)} bytes"
    if unread.endswith(b"\r"):
        return rf"{shown} that end with \r: does each reply end with \n?"
    try:
        json.loads(unread)
    except (ValueError, RecursionError):
        return f"{shown} of an incomplete reply: is all of it written and flushed?"
    return rf"{shown}, and no newline: does each reply end with \n?"
