"""Cutting NumPy arrays of any layout into boxes that fit in cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Box", "boxes", "dense_axes", "memory_axes", "row_boxes"]

Box: TypeAlias = tuple[slice, ...]


def memory_axes(array: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """The axes from the longest stride to the shortest: the order in which NumPy keeps and sums the elements.

    >>> memory_axes(np.zeros((2, 3))), memory_axes(np.zeros((2, 3)).T[::-1])
    ((0, 1), (1, 0))
    """
    return tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))


def dense_axes(*arrays: np.ndarray[Any, Any]) -> tuple[int, ...] | None:
    """The order of axes in which every one of ``arrays`` is C-contiguous, or None.

    >>> dense_axes(np.zeros((2, 3))), dense_axes(np.zeros((2, 3)).T), dense_axes(np.zeros((2, 6))[:, ::2])
    ((0, 1), (1, 0), None)
    """
    axes = memory_axes(arrays[0])
    return axes if all(array.transpose(axes).flags.c_contiguous for array in arrays) else None


def boxes(shape: tuple[int, ...], limit: int) -> Iterator[Box]:
    """Indices that cut an array of ``shape``, with an axis or more, into boxes of up to ``limit`` elements, in C order.

    The leading axes are cut first, so a box spans whole rows of the last axis wherever a row fits. A box is contiguous
    where the array is.

    >>> [box for box in boxes((3, 4), 8)]
    [(slice(0, 2, None),), (slice(2, 3, None),)]
    """
    if count := _rows_at_once(shape, limit):
        for start in range(0, shape[0], count):
            yield (slice(start, min(start + count, shape[0])),)
        return
    for start in range(shape[0]):
        for rest in boxes(shape[1:], limit):
            yield (slice(start, start + 1), *rest)


def row_boxes(shape: tuple[int, ...], bounds: np.ndarray[Any, Any]) -> Iterator[Box]:
    """Indices that cut every row of the last axis at ``bounds``, in C order.

    >>> [box for box in row_boxes((1, 9), np.array([0, 4, 9]))]
    [(slice(0, 1, None), slice(0, 4, None)), (slice(0, 1, None), slice(4, 9, None))]
    """
    for row in np.ndindex(shape[:-1]):
        for first, last in pairwise(bounds.tolist()):
            yield (*(slice(i, i + 1) for i in row), slice(first, last))


def _rows_at_once(shape: tuple[int, ...], limit: int) -> int:
    """How many indices of the first axis one box takes, or 0 if a single one is too many."""
    return limit // math.prod(shape[1:])
