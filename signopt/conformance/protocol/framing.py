"""Where one message ends and the next begins: at a newline, or after as many bytes as were announced."""

from __future__ import annotations

from typing import Protocol

from signopt.conformance.errors import ProtocolViolation

__all__ = ["Frames", "Framing", "Lines", "framed"]

_HEAD = 8


class Framing(Protocol):
    """Cuts messages off the front of what has been read."""

    def cut(self, unread: bytearray) -> bytes | None:
        """The first message, removed from ``unread``; None while it is incomplete."""
        ...


class Lines:
    """Messages that end with a newline, which is not part of them.

    Parameters
    ----------
    most : int
        Bytes that a message may have, and everything that may lie unread after it.
    """

    def __init__(self, most: int) -> None:
        self._most, self._searched = most, 0

    def cut(self, unread: bytearray) -> bytes | None:
        """As :class:`Framing`; ProtocolViolation past the limit."""
        end = unread.find(b"\n", self._searched)
        if len(unread) > self._most:
            raise ProtocolViolation(f"a reply has more than {self._most} bytes")
        if end < 0:
            self._searched = len(unread)
            return None
        self._searched = 0
        line = bytes(unread[:end])
        del unread[: end + 1]
        return line


class Frames:
    """Messages of any bytes, each after its length in 8 bytes, most significant first."""

    def __init__(self, most: int) -> None:
        self._most = most

    def cut(self, unread: bytearray) -> bytes | None:
        """As :class:`Framing`; ProtocolViolation past the limit."""
        if len(unread) < _HEAD:
            return None
        size = int.from_bytes(unread[:_HEAD], "big")
        if size > self._most:
            raise ProtocolViolation(f"a reply announces {size} bytes; {self._most} are allowed")
        if len(unread) < _HEAD + size:
            return None
        content = bytes(unread[_HEAD : _HEAD + size])
        del unread[: _HEAD + size]
        return content


def framed(content: bytes) -> bytes:
    """A message as :class:`Frames` reads it."""
    return len(content).to_bytes(_HEAD, "big") + content
