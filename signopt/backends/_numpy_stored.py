"""Putting computed blocks back into a parameter: rounded to nearest, by random words, or in two halves."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from signopt._namespace import dtype_name, ready_to_round
from signopt.backends._layout import Box
from signopt.backends._numpy_blocks import Floats
from signopt.backends._storage import Storage
from signopt.rounding import split, stochastic_bfloat16, stochastic_float16
from signopt.rules.coefficients import Draw

__all__ = ["Place", "StoredBlocks", "put", "ready_to_put_back"]


def put(new: Floats, old: Floats) -> None:
    """Convert ``new`` into ``old``, and try again if there is no memory.

    NumPy takes a few bytes before it converts to or from bfloat16. Blocks that have been written cannot be taken back,
    and few bytes may be there again.
    """
    try:
        old[...] = new
    except MemoryError:
        old[...] = new


def ready_to_put_back(old: Floats, new: Floats) -> list[tuple[Floats, Floats]]:
    """``old`` and what NumPy's conversion then rounds to nearest into it; nothing if they are one memory."""
    return [] if np.may_share_memory(old, new) else [(old, ready_to_round(new, old.dtype).reshape(old.shape))]


class Place(NamedTuple):
    """A box of an array of shape ``frame``; by default all of it."""

    box: Box = ()
    frame: tuple[int, ...] = ()


WHOLE = Place()


class StoredBlocks:
    """One parameter as it is stored, seen with its axes in the order ``axes``.

    Attributes
    ----------
    number : int or None
        The number of the parameter among those that are rounded stochastically.
    rest : ndarray or None
        The low halves of a split parameter.
    """

    def __init__(self, param: Floats, index: int, storage: Storage, axes: tuple[int, ...]) -> None:
        rounding = storage.of(param)
        self.number = storage.number(index) if rounding == "stochastic" else None
        self.rest: Floats | None = storage.rest(index) if rounding == "split" else None
        self._by_words = stochastic_bfloat16 if dtype_name(param) == "bfloat16" else stochastic_float16
        self._is_upright = axes == tuple(range(param.ndim))
        strides = [math.prod(param.shape[axis + 1 :]) for axis in range(param.ndim)]
        self._strides = [strides[axis] for axis in axes]

    def ready(
        self, old: Floats, rest: Floats | None, new: Floats, draw: Draw, place: Place = WHOLE
    ) -> list[tuple[Floats, Floats]]:
        """What is to be put into ``old``, the parameter at ``place``, and into ``rest``, its low halves there."""
        if rest is not None:
            return list(zip((old, rest), split(new.reshape(old.shape)), strict=True))
        if self.number is None:
            return ready_to_put_back(old, new)
        offset = self._run(place) if self._is_upright else self._each(place, old.shape)
        return [(old, self._by_words(new.reshape(old.shape), draw.seed, draw.step, self.number, offset))]

    def _run(self, place: Place) -> int:
        """Where the run of elements that a box is in C order begins."""
        return sum(part.start * math.prod(place.frame[axis + 1 :]) for axis, part in enumerate(place.box))

    def _each(self, place: Place, shape: tuple[int, ...]) -> Floats:
        """Where each element of a box lies in C order."""
        places = np.zeros(shape, np.int64)
        for axis, stride in enumerate(self._strides):
            first = place.box[axis].start if axis < len(place.box) else 0
            steps = (np.arange(shape[axis]) + first) * stride
            places += steps.reshape(-1, *(1,) * (len(shape) - axis - 1))
        return places
