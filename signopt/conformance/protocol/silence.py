"""Why no complete reply arrived: what the port did write, and the question that its author should ask."""

from __future__ import annotations

import json
from typing import NamedTuple

from .child import Child
from .wire import brief

__all__ = ["Silence", "listen"]


class Silence(NamedTuple):
    """What was heard; ``evident`` if it shows what is wrong, and not only that time was up."""

    text: str = ""
    evident: bool = False


def listen(child: Child) -> Silence:
    """What was heard of a port that speaks in lines, up to closing its stdin; nothing of one that was computing."""
    if not child.in_lines:
        return Silence()
    if child.unread:
        return _incomplete(child.unread)
    if child.busy:
        return Silence("it was computing all the time")
    late = child.heard_after_input_ended()
    if not late:
        return Silence("nothing arrived on its stdout: does it read its stdin line by line?")
    return Silence(
        f"nothing arrived until its stdin was closed, and then {brief(late, 120)}: does it flush stdout after each "
        "reply (a pipe is buffered in blocks), or does it read several requests before it answers the first?",
        evident=True,
    )


def _incomplete(unread: bytes) -> Silence:
    shown = f"{brief(unread, 120)} arrived, {len(unread)} bytes"
    if unread.endswith(b"\r"):
        return Silence(rf"{shown} that end with \r: does each reply end with \n?", evident=True)
    try:
        json.loads(unread)
    except (ValueError, RecursionError):
        return Silence(f"{shown} of an incomplete reply: is all of it written and flushed?")
    return Silence(rf"{shown}, and no newline: does each reply end with \n?", evident=True)
