"""What is known of array objects (where they lie, shape, strides, dtype, whether writable), and if it still holds."""

from __future__ import annotations

import operator
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeAlias

import numpy as np
from array_api_compat import is_cupy_array, is_torch_array

from signopt._namespace import Array

__all__ = ["Facts", "addresses_of", "facts_of"]

Words: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]
Look: TypeAlias = Callable[[Any], Any]


class Facts(Protocol):
    """What some array objects were like when the facts were gathered."""

    def hold(self, arrays: Sequence[Array]) -> bool:
        """Whether they are so still; ``arrays`` are the same objects, in the same order."""
        ...


def facts_of(arrays: Sequence[Array]) -> Facts:
    """Facts of arrays of one library."""
    first = arrays[0]
    if isinstance(first, np.ndarray):
        return _StructFacts(arrays) if _structs_are_known() else _AttributeFacts(arrays, _NUMPY)
    if is_torch_array(first):
        return _AttributeFacts(arrays, _TORCH)
    return _AttributeFacts(arrays, _CUPY if is_cupy_array(first) else _ANY)


def addresses_of(arrays: Sequence[Array]) -> Words:
    """Where the first elements of NumPy arrays are."""
    if _structs_are_known():
        return _structs(arrays).values[:, _DATA]
    return np.array([array.__array_interface__["data"][0] for array in arrays], np.intp)


_NUMPY: tuple[Look, ...] = (
    operator.attrgetter("dtype", "shape", "strides", "flags.num"),
    lambda array: array.__array_interface__["data"][0],
)
_TORCH: tuple[Look, ...] = (
    operator.methodcaller("data_ptr"),
    operator.methodcaller("stride"),
    operator.attrgetter("shape"),
    operator.attrgetter("dtype"),
)
_CUPY: tuple[Look, ...] = (operator.attrgetter("shape"),)
"""CuPy lets nobody assign another memory, dtype or strides to an array."""
_ANY: tuple[Look, ...] = (operator.attrgetter("shape", "dtype"),)


class _AttributeFacts(Facts):
    """Facts that the arrays' own attributes give."""

    def __init__(self, arrays: Sequence[Array], looks: Sequence[Look]) -> None:
        self._looks = looks
        self._seen = [[*map(look, arrays)] for look in looks]

    def hold(self, arrays: Sequence[Array]) -> bool:
        return all([*map(look, arrays)] == seen for look, seen in zip(self._looks, self._seen, strict=True))


@dataclass(frozen=True)
class _Memory:
    """Presents addresses to NumPy as an array."""

    __array_interface__: Mapping[str, Any]


class _Words:
    """The machine words at some addresses, and what they were."""

    def __init__(self, addresses: Words) -> None:
        start = int(addresses.min(initial=np.iinfo(np.intp).max))
        stop = int(addresses.max(initial=start)) + addresses.itemsize
        interface = {"shape": ((stop - start) // addresses.itemsize,), "typestr": addresses.dtype.str, "version": 3}
        self._memory = np.asarray(_Memory(interface | {"data": (start, True)})) if addresses.size else addresses
        self._places = (addresses - start) // addresses.itemsize
        self.values: Words = self._memory[self._places]
        self._as_bytes = self.values.tobytes()

    def are_unchanged(self) -> bool:
        return bool(self._memory.take(self._places).tobytes() == self._as_bytes)


_DATA, _NDIM, _DIMENSIONS, _DTYPE, _FLAGS = range(5)
_FIELDS = np.array([0, 1, 2, 5, 6], np.intp)
"""Where these fields of NumPy's ``PyArrayObject`` are, in words after the object's head.

Word 3 points to the strides, which lie behind the shape in the same block; word 4 is ``base``.
"""

_C_CONTIGUOUS = 1
"""A bit of the flags, which NumPy sets anew whenever it sets strides."""


class _StructFacts(Facts):
    """Facts that are read in the structs of NumPy's arrays, of all of them at once.

    To ask a thousand arrays for their shape and flags takes as long as a step of compiled code on them. The struct is
    part of the binary interface that every extension module is compiled against; that it is as expected here is tried
    before it is relied on (:func:`_structs_are_known`). It is read while the arrays live, and the shape that it points
    to only if the pointer is the same as before.

    Shapes and strides lie apart, a place for each array, and to fetch them takes longer than all the rest. Those of a
    contiguous array of one axis are left where they are: only ``resize`` could change its length, which NumPy refuses
    if an array has a weak reference, and other strides would clear its flag.
    """

    def __init__(self, arrays: Sequence[Array]) -> None:
        self._dtypes = [array.dtype for array in arrays]  # an address is not given to another while its owner lives
        self._pins = [*map(weakref.ref, arrays)]
        self._structs = _structs(arrays)
        ndims, flags = (self._structs.values[:, field] & 0xFFFFFFFF for field in (_NDIM, _FLAGS))
        counts = np.where((ndims == 1) & (flags & _C_CONTIGUOUS != 0), 0, 2 * ndims)
        ends = np.cumsum(counts)
        within = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
        self._axes = _Words(np.repeat(self._structs.values[:, _DIMENSIONS], counts) + within * _FIELDS.itemsize)

    def hold(self, arrays: Sequence[Array]) -> bool:
        return self._structs.are_unchanged() and self._axes.are_unchanged()


def _structs(arrays: Sequence[Array]) -> _Words:
    heads = np.array([*map(id, arrays)], np.intp) + object.__basicsize__
    return _Words(heads[:, None] + _FIELDS * _FIELDS.itemsize)


@cache
def _structs_are_known() -> bool:
    """Whether the struct of an array has what it should have where it should be."""
    if sys.implementation.name != "cpython" or np.ndarray.__basicsize__ < object.__basicsize__ + 8 * _FIELDS.itemsize:
        return False
    array = np.empty((3, 5), np.float32).T
    fields = _structs([array]).values[0].tolist()
    seen = fields[_DATA], fields[_DTYPE], fields[_NDIM] & 0xFFFFFFFF, fields[_FLAGS] & 0xFFFFFFFF
    if seen != (array.__array_interface__["data"][0], id(array.dtype), array.ndim, array.flags.num):
        return False
    if not _can_be_pinned():
        return False
    axes = _Words(fields[_DIMENSIONS] + np.arange(2 * array.ndim) * _FIELDS.itemsize)
    return bool(axes.values.tolist() == [*array.shape, *array.strides])


def _can_be_pinned() -> bool:
    """Whether an array that has a weak reference keeps its size."""
    array = np.empty(3)
    pin = weakref.ref(array)
    try:
        array.resize((5,), refcheck=False)
    except ValueError:
        return pin() is array
    return False
