"""A record of everything that was said, which a shell can play again.

Each line is one message: ``> `` what the suite sent, ``< `` what the port answered, ``! `` what the suite
concluded. ``sed -n 's/^> //p' traffic.txt | ./my_port`` asks the port the same questions once more.
"""

from __future__ import annotations

from typing import BinaryIO

__all__ = ["Replay"]


class Replay:
    """Writes the record to ``file``, or nowhere if that is None."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file

    def sent(self, line: bytes) -> None:
        """A request, with its newline."""
        self._write(b"> ", line)

    def received(self, line: bytes) -> None:
        """A reply, without its newline."""
        self._write(b"< ", line + b"\n")

    def noted(self, text: str) -> None:
        """A start, an end, or what broke down."""
        self._write(b"! ", text.replace("\n", " ").encode("utf-8", "backslashreplace") + b"\n")

    def _write(self, prefix: bytes, line: bytes) -> None:
        if self._file is not None:
            self._file.write(prefix + line)
            self._file.flush()
