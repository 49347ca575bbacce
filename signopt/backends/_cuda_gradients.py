"""What the gradients of a step look like and where they are, gathered from all of them at once.

Gradients are new arrays at every step, hundreds of them. One property of all arrays, gathered in one go and compared as
a whole, takes a fraction of the time that a look at one array after another takes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from signopt._identity import SameArrays
from signopt._namespace import Array

__all__ = ["Layout", "Location", "Recogniser"]

Layout = list[tuple[int, ...]]
"""The strides of every gradient, in bytes."""

_LOOKS: tuple[Callable[[Any], Any], ...] = (
    type,  # the first, because only arrays have what follows
    operator.attrgetter("dtype"),
    operator.attrgetter("shape"),
    operator.attrgetter("data.device_id"),
)
_STRIDES = operator.attrgetter("strides")
_ADDRESS = operator.attrgetter("data.ptr")
_TENSOR_STEPS, _TENSOR_ADDRESS = operator.methodcaller("stride"), operator.methodcaller("data_ptr")


@dataclass(frozen=True)
class Location:
    """Where the gradients of one step are: the address of the first element of each, and their strides."""

    addresses: np.ndarray[Any, Any]
    layout: Layout


class Recogniser:
    """Recognises the gradients of one optimizer, and knows where they are."""

    def __init__(self, params: Sequence[Array], momenta: Sequence[Array]) -> None:
        self._wanted = [[*map(look, params)] for look in _LOOKS]
        self._written = _Ranges([*params, *momenta])
        self._layout: Layout = [*map(_STRIDES, params)]
        self._extents = _extents(params, self._layout)
        self._same = SameArrays()
        self._tensors = _Tensors()
        self._location: Location | None = None

    def recognises(self, grads: Sequence[Any]) -> bool:
        """A quick yes, or unknown, to whether ``grads`` may be used for a step.

        They are what was seen last, or have the types, dtypes, shapes and device of the parameters, the strides of the
        gradients before them, and lie apart from every array that is written.
        """
        if self._same.are(grads):
            return True
        if any([*map(look, grads)] != wanted for look, wanted in zip(_LOOKS, self._wanted, strict=True)):
            return False
        location = _location_of(grads)
        if location.layout != self._layout or not self._written.are_apart_from(location.addresses, *self._extents):
            return False
        self._keep(grads, location)
        return True

    def look_at(self, grads: Sequence[Array], *, unchanged: bool = False) -> Location:
        """Where ``grads``, already checked, are; the very object of the last call if they are the same arrays.

        They may be torch's tensors, for which nothing but this method serves.
        """
        if is_torch_array(grads[0]):
            self._location = self._tensors.location_of(grads)
            return self._location
        if self._location is None or not (unchanged or self._same.are(grads)):
            location = _location_of(grads)
            if location.layout != self._layout:
                self._layout, self._extents = location.layout, _extents(grads, location.layout)
            return self._keep(grads, location)
        return self._location

    def _keep(self, grads: Sequence[Array], location: Location) -> Location:
        self._same.forget()
        self._location = location
        self._same.remember(grads)
        return location


def _location_of(grads: Sequence[Array]) -> Location:
    return Location(np.array([*map(_ADDRESS, grads)], dtype=np.int64), [*map(_STRIDES, grads)])


class _Tensors:
    """Where torch tensors are. To ask them costs less than to know them again, or to make arrays of them."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, ...]] = []
        self._last = Location(np.empty(0, np.int64), [])

    def location_of(self, tensors: Sequence[Array]) -> Location:
        """That of ``tensors``; the very object of the last call if they are in the same places."""
        steps = [*map(_TENSOR_STEPS, tensors)]
        addresses = np.array([*map(_TENSOR_ADDRESS, tensors)], dtype=np.int64)
        if steps != self._steps:
            self._steps = steps
            layout = [
                tuple(step * tensor.element_size() for step in own) for own, tensor in zip(steps, tensors, strict=True)
            ]
            self._last = Location(addresses, layout)
        elif not np.array_equal(addresses, self._last.addresses):
            self._last = Location(addresses, self._last.layout)
        return self._last


class _Ranges:
    """The addresses, from the first to past the last byte, of some arrays."""

    def __init__(self, arrays: Sequence[Array]) -> None:
        lowest, past = _extents(arrays, [*map(_STRIDES, arrays)])
        addresses = np.array([*map(_ADDRESS, arrays)], dtype=np.int64)
        merged: list[list[int]] = []
        for start, end in sorted(zip((addresses + lowest).tolist(), (addresses + past).tolist(), strict=True)):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(end, merged[-1][1])
            else:
                merged.append([start, end])
        self._starts = np.array([*(start for start, _ in merged), np.iinfo(np.int64).max])
        self._ends = np.array([end for _, end in merged])

    def are_apart_from(self, addresses: np.ndarray[Any, Any], lowest: Any, past: Any) -> bool:
        """Whether all arrays at ``addresses`` lie outside, given how far each extends from there."""
        next_one = np.searchsorted(self._ends, addresses + lowest, side="right")
        return bool((self._starts[next_one] >= addresses + past).all())


def _extents(arrays: Iterable[Array], layout: Layout) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """How far before its address each array begins (0 or negative), and how far past it the array ends, in bytes."""
    extents = [_extent(array, strides) for array, strides in zip(arrays, layout, strict=True)]
    lowest, past = np.array(extents, dtype=np.int64).T
    return lowest, past


def _extent(array: Array, strides: tuple[int, ...]) -> tuple[int, int]:
    if not array.size:
        return 0, 0
    steps = [stride * (length - 1) for stride, length in zip(strides, array.shape, strict=True)]
    return sum(min(step, 0) for step in steps), sum(max(step, 0) for step in steps) + array.itemsize
