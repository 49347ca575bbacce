"""The suite's side of arrays that a port is handed: what it lends, and keeps equal on both sides.

An array is handed over as the memory that it lies in, with its strides; two that share memory here share it there. As
long as the suite keeps such an array, its later changes go along with the next message, and changes that the port makes
in place come back with the next answer.
"""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from signopt.conformance.errors import ProtocolViolation

__all__ = ["ALIGNMENT", "Lender"]

Array = np.ndarray[Any, Any]

ALIGNMENT = 64
"""An array starts as many bytes behind a multiple of this there as here."""


@dataclass
class _Memory:
    """The memory of one array, of which the child has a copy; ``known`` is what both sides had last."""

    number: int
    owner: weakref.ref[Array]
    address: int
    known: bytes

    def now(self) -> bytes:
        return ctypes.string_at(self.address, len(self.known))


class Lender:
    """Spells arrays for one child, and remembers what it lent."""

    def __init__(self) -> None:
        self._lent: dict[int, _Memory] = {}
        self._next = 0

    def forget(self) -> list[int]:
        """The numbers of what the suite has not kept."""
        gone = [number for number, memory in self._lent.items() if memory.owner() is None]
        for number in gone:
            del self._lent[number]
        return gone

    def update(self) -> list[tuple[int, bytes]]:
        """What the suite has changed since, by number."""
        changed = [memory for memory in self._lent.values() if memory.now() != memory.known]
        for memory in changed:
            memory.known = memory.now()
        return [(memory.number, memory.known) for memory in changed]

    def lend(self, array: Array, new: list[tuple[int, int, bytes]]) -> list[Any]:
        """The spelling of an array in what is lent; ``new`` gets its memory if that goes along for the first time.

        The parts of ``new`` are number, misalignment and content.
        """
        memory = self._find(_owner(array))
        if memory is None:
            memory = self._enter(_owner(array))
            new.append((memory.number, memory.address % ALIGNMENT, memory.known))
        return _spelled(array, memory)

    def _find(self, owner: Array) -> _Memory | None:
        return next((memory for memory in self._lent.values() if memory.owner() is owner), None)

    def _enter(self, owner: Array) -> _Memory:
        low, high = byte_bounds(owner) if owner.size else (owner.ctypes.data,) * 2
        self._next += 1
        memory = _Memory(self._next, weakref.ref(owner), low, ctypes.string_at(low, high - low))
        self._lent[self._next] = memory
        return memory

    def take_back(self, number: int, content: memoryview) -> None:
        """Write what the child changed in place into the array that was lent.

        Raises
        ------
        ProtocolViolation
            If nothing of this number and size was lent.
        """
        memory = self._lent.get(number)
        if memory is None or len(content) != len(memory.known):
            raise ProtocolViolation(f"a change of memory that was not lent: {number}, {len(content)} bytes")
        memory.known = bytes(content)
        if memory.owner() is not None:
            ctypes.memmove(memory.address, memory.known, len(memory.known))


def _owner(array: Array) -> Array:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _spelled(array: Array, memory: _Memory) -> list[Any]:
    """Number, offset, dtype, shape, strides, whether it may be written, and whether it is all of its memory."""
    flags = array.flags
    whole = bool(flags.owndata and (flags.c_contiguous or flags.f_contiguous))
    offset = array.ctypes.data - memory.address if array.size else 0
    shape, strides = list(array.shape), list(array.strides)
    return [memory.number, offset, array.dtype.name, shape, strides, bool(flags.writeable), whole]
