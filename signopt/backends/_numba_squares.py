"""Σp² in the order of ``np.sum``, and whether g has a NaN, in one pass over memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.backends._numba_floats import compiled, element, inlined, room_for, span_at, squares_and_nan_by_eight
from signopt.backends._numba_rounding import loaded_master, rest_further

__all__ = ["AHEAD", "squares_and_nan"]

AHEAD = 4096
"""How far before its use memory is fetched, in bytes."""

LEAF = 128
"""As many elements ``np.sum`` does not cut in two any more."""


@compiled
def squares_and_nan(places: Any, size: Any, like: Any) -> Any:
    """Σp² in float64 over ``size`` elements, in the order of ``np.sum``, and whether g has a NaN.

    ``places`` are the addresses of p, of g, of something else that will be wanted soon and is fetched on the way, and
    of the low halves of p, if it has any.
    ``np.sum`` adds halves of halves: ``rests[d]`` and ``sums[d]`` are the size of the second half at depth d, and the
    sum of the first. A function that calls itself would be shorter, but Numba does not link one from its cache.
    """
    rests = span_at(room_for(64, np.int64(0)), 0, 64, np.int64(0))
    sums = span_at(room_for(64, 0.0), 0, 64, 0.0)
    depth, second_halves, start, count, has_nan = 0, 0, 0, size, False
    while True:
        while not _is_leaf_group(count):
            rests[depth] = count - _middle(count)
            count = _middle(count)
            depth += 1
        total, found_nan = _of_leaf_group(places, start, count, like)
        has_nan |= found_nan
        while second_halves >> depth & 1:
            second_halves ^= 1 << depth
            depth -= 1
            total += sums[depth]
        if depth == 0:
            return total, has_nan
        second_halves |= 1 << depth
        sums[depth - 1] = total
        start += count
        count = rests[depth - 1]


@inlined
def _is_leaf_group(size: Any) -> Any:
    """Whether ``np.sum`` cuts so many elements in none, two or four."""
    middle = _middle(size)
    rest = size - middle
    if middle <= LEAF:
        return rest <= LEAF
    return middle - _middle(middle) <= LEAF and rest - _middle(rest) <= LEAF


@inlined
def _of_leaf_group(places: Any, start: Any, size: Any, like: Any) -> Any:
    middle = start + _middle(size)
    stop = start + size
    if size <= LEAF:
        return _of_leaf(places, start, stop, like)
    if middle - start <= LEAF:
        left, left_has_nan = _of_leaf(places, start, middle, like)
        right, right_has_nan = _of_leaf(places, middle, stop, like)
        return left + right, left_has_nan | right_has_nan
    first, third = start + _middle(middle - start), middle + _middle(stop - middle)
    a, a_has_nan = _of_leaf(places, start, first, like)
    b, b_has_nan = _of_leaf(places, first, middle, like)
    c, c_has_nan = _of_leaf(places, middle, third, like)
    d, d_has_nan = _of_leaf(places, third, stop, like)
    return (a + b) + (c + d), a_has_nan | b_has_nan | c_has_nan | d_has_nan


@inlined
def _of_leaf(places: Any, start: Any, stop: Any, like: Any) -> Any:
    p, g, other = element(places[0], start, like), element(places[1], start, like), element(places[2], start, like)
    rest = rest_further(places[3], start)
    size = stop - start
    eights = size // 8 * 8
    total, has_nan = 0.0, False
    if eights:
        total, has_nan = squares_and_nan_by_eight((p, g, other, rest), eights, AHEAD, like)
    for i in range(eights, size):
        x = np.float64(loaded_master(element(p, i, like), rest_further(rest, i), like))
        d = loaded_master(element(g, i, like), None, like)
        total += x * x
        has_nan |= d != d
    return total, has_nan


@inlined
def _middle(size: Any) -> Any:
    """Where ``np.sum`` cuts so many elements in two, or 0 if it does not."""
    return size // 2 // 8 * 8 if size > LEAF else 0
