"""The child's side of arrays that a port is handed: memory as the suite describes it, watched for changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.isolation.lender import ALIGNMENT
from signopt.conformance.isolation.packets import dtype_of

__all__ = ["Borrower"]

Array = np.ndarray[Any, Any]


class Borrower:
    """Builds the arrays that a :class:`~signopt.conformance.isolation.lender.Lender` spells."""

    def __init__(self) -> None:
        self._bytes: dict[int, Array] = {}
        self._known: dict[int, bytes] = {}

    def forget(self, number: int) -> None:
        """Watch it no longer; a port may still hold it."""
        self._bytes.pop(number, None)
        self._known.pop(number, None)

    def enter(self, number: int, misalignment: int, content: memoryview) -> None:
        """New memory."""
        room = np.empty(len(content) + 2 * ALIGNMENT, np.uint8)
        start = (misalignment - room.ctypes.data) % ALIGNMENT
        self._bytes[number] = room[start : start + len(content)]
        self.update(number, content)

    def update(self, number: int, content: memoryview) -> None:
        """What the suite has changed."""
        self._bytes[number][...] = np.frombuffer(content, np.uint8)
        self._known[number] = bytes(content)

    def array(self, spelled: list[Any]) -> Array:
        """An array in this memory; one that is all of it becomes an array of its own."""
        number, offset, name, shape, strides, writeable, whole = spelled
        dtype = dtype_of(name)
        view: Array = np.ndarray(shape, dtype, self._bytes[number], offset if view_fits(shape) else 0, strides)
        if whole:
            view = view.copy(order="K")
            self._bytes[number] = _as_bytes(view)
        view.flags.writeable = writeable
        return view

    def changes(self) -> list[tuple[int, bytes]]:
        """What was changed in place since the last message, by number."""
        changed = []
        for number, content in self._bytes.items():
            now = content.tobytes()
            if now != self._known[number]:
                self._known[number] = now
                changed.append((number, now))
        return changed


def view_fits(shape: list[int]) -> bool:
    """Whether an array of this shape has elements, and so an offset that means something."""
    return 0 not in shape


def _as_bytes(array: Array) -> Array:
    flat = array if array.flags.c_contiguous else array.T
    return flat.reshape(-1).view(np.uint8)
