"""The rules as compiled loops over many tensors: one pass over memory, every operation rounded by itself.

Without fast-math flags LLVM neither contracts a product and a sum into an FMA nor reorders; the tests look for both.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import carray, njit

from signopt.backends._numba_floats import narrowed, pointer_to, prefetched, squares_by_eights, widened

__all__ = ["Family", "Looked", "Scalars", "TigerTensors", "lion", "signum", "tiger", "tiger_look"]

AHEAD, LINE = 4096, 64
"""How far before its use memory is fetched, and the least that is fetched of it, in bytes."""

PIECE = 1024
"""Elements of p that are looked at before the same ones of g."""

_compiled = njit(nogil=True, cache=True, error_model="numpy")
_inlined = njit(nogil=True, cache=True, error_model="numpy", inline="always")


class Family(NamedTuple):
    """The tensors with one pair of storage dtypes.

    ``addresses`` has a row (param, momentum, grad) for each; ``ends`` is the running total of their sizes; the other
    two are empty arrays of the storage dtypes. A kernel works on elements ``start`` to ``stop``, counted through all.
    """

    addresses: Any
    ends: Any
    param_like: Any
    momentum_like: Any


class Scalars(NamedTuple):
    """Coefficients in the compute dtype: c = B1·m + A1·g and m ← B2·m + A2·g; the first two are Lion's alone."""

    B1: Any
    A1: Any
    B2: Any
    A2: Any
    lr: Any
    weight_decay: Any
    shrink: Any
    one: Any


class Looked(NamedTuple):
    """What :func:`tiger_look` reads and fills.

    Each chunk is part of one of ``tensors``, from its element ``firsts`` to its element ``lasts``; ``summed`` says for
    which tensors Σp² is wanted. ``sums`` and ``broken`` have a place for each chunk: Σp², and whether g has a NaN.
    """

    tensors: Any
    firsts: Any
    lasts: Any
    summed: Any
    sums: Any
    broken: Any


class TigerTensors(NamedTuple):
    """For each tensor: r, λ, the centre c, the length of its rows (0 where they have no meaning), and NaN seen in g.

    Rows get their r on the way. Where ``whole`` is set, a matrix is one row, and ``broken`` is found on the way too.
    """

    rates: Any
    decays: Any
    centres: Any
    columns: Any
    broken: Any
    whole: Any


@_compiled
def lion(family: Any, start: Any, stop: Any, k: Any) -> None:
    """Lion on a range of elements."""
    t = np.searchsorted(family.ends, start, side="right")
    while start < stop:
        first, last = _span(family, t, start, stop)
        p, m, g = _piece(family, t, first, last)
        _lion(family, p, m, g, k, k.lr, k.weight_decay)
        start += last - first
        t += 1


@_compiled
def signum(family: Any, start: Any, stop: Any, k: Any) -> None:
    """Signum on a range of elements."""
    t = np.searchsorted(family.ends, start, side="right")
    while start < stop:
        first, last = _span(family, t, start, stop)
        p, m, g = _piece(family, t, first, last)
        _signum(family, p, m, g, k, k.lr, k.weight_decay)
        start += last - first
        t += 1


@_compiled
def tiger(family: Any, start: Any, stop: Any, k: Any, moves: Any, tensors: Any) -> None:
    """Tiger on a range of elements, after :func:`tiger_look` has gone through all chunks.

    A tensor that is looked at here belongs whole to the range that has its first element.
    """
    t = np.searchsorted(family.ends, start, side="right")
    while start < stop:
        first, last = _span(family, t, start, stop)
        if not tensors.whole[t]:
            _tiger(family, t, first, last, k, moves, tensors, tensors.broken[t])
        elif first == 0:
            size = _span(family, t, start, family.ends[t])[1]
            broken = _has_nan(_array(family.addresses[t, 2], 0, size, family.param_like))
            _tiger(family, t, 0, size, k, moves, tensors, broken)
        start += last - first
        t += 1


@_compiled
def _tiger(family: Any, t: Any, first: Any, last: Any, k: Any, moves: Any, tensors: Any, broken: Any) -> None:
    p, m, g = _piece(family, t, first, last)
    if broken:
        _shrink(family, p, k.shrink, tensors.centres[t])
    elif not moves:
        _accumulate(family, m, g, k)
    elif tensors.columns[t]:
        _tiger_rows(family, t, first, last, k, tensors.columns[t], tensors.decays[t])
    else:
        _signum(family, p, m, g, k, tensors.rates[t], tensors.decays[t])


@_compiled
def tiger_look(family: Any, start: Any, stop: Any, looked: Any) -> None:
    """Look at chunks ``start`` to ``stop`` of the tensors too large to be looked at when they are updated."""
    for chunk in range(start, stop):
        t, first, size = looked.tensors[chunk], looked.firsts[chunk], looked.lasts[chunk] - looked.firsts[chunk]
        offset, like = first * family.param_like.itemsize, family.param_like
        p_address, g_address = family.addresses[t, 0] + offset, family.addresses[t, 2] + offset
        if looked.summed[t]:
            looked.sums[chunk], looked.broken[chunk] = _look(p_address, g_address, size, like)
        else:
            looked.broken[chunk] = _has_nan(_array(g_address, 0, size, like))


@_inlined
def _span(family: Any, t: Any, start: Any, stop: Any) -> Any:
    """The elements of tensor ``t`` in a range, from its first to its last, counted within the tensor."""
    origin = family.ends[t - 1] if t else 0
    return start - origin, min(stop, family.ends[t]) - origin


@_inlined
def _piece(family: Any, t: Any, first: Any, last: Any) -> Any:
    """Elements ``first`` to ``last`` of p, m and g of tensor ``t``."""
    p = _array(family.addresses[t, 0], first, last, family.param_like)
    m = _array(family.addresses[t, 1], first, last, family.momentum_like)
    g = _array(family.addresses[t, 2], first, last, family.param_like)
    return p, m, g


@_inlined
def _array(address: Any, first: Any, last: Any, like: Any) -> Any:
    return carray(pointer_to(address + first * like.itemsize, like), last - first)


@_inlined
def _sign(c: Any, one: Any) -> Any:
    """sign(c): the sum turns −0 into 0 and keeps NaN."""
    return one if c > 0 else (-one if c < 0 else c + (one - one))


@_compiled
def _lion(family: Any, p: Any, m: Any, g: Any, k: Any, rate: Any, weight_decay: Any) -> None:
    for i in range(len(p)):
        x, v, d = widened(p[i]), widened(m[i]), widened(g[i])
        c = k.B1 * v + k.A1 * d
        p[i] = narrowed(x - rate * (_sign(c, k.one) + weight_decay * x), family.param_like)
        m[i] = narrowed(k.B2 * v + k.A2 * d, family.momentum_like)


@_compiled
def _signum(family: Any, p: Any, m: Any, g: Any, k: Any, rate: Any, weight_decay: Any) -> None:
    """The update that Signum and Tiger share: the sign is that of the new momentum."""
    for i in range(len(p)):
        x = widened(p[i])
        v = k.B2 * widened(m[i]) + k.A2 * widened(g[i])
        p[i] = narrowed(x - rate * (_sign(v, k.one) + weight_decay * x), family.param_like)
        m[i] = narrowed(v, family.momentum_like)


@_compiled
def _tiger_rows(family: Any, t: Any, first: Any, last: Any, k: Any, columns: Any, decay: Any) -> None:
    """Tiger on the rows that start within elements ``first`` to ``last``, each with an RMS of its own."""
    for row in range(-(-first // columns), -(-last // columns)):
        p, m, g = _piece(family, t, row * columns, (row + 1) * columns)
        address = family.addresses[t, 0] + row * columns * family.param_like.itemsize
        mean = _sum_of_squares(address, columns, family.param_like) / columns
        _signum(family, p, m, g, k, k.lr * type(k.one)(math.sqrt(mean)), decay)


@_compiled
def _accumulate(family: Any, m: Any, g: Any, k: Any) -> None:
    for i in range(len(m)):
        m[i] = narrowed(k.B2 * widened(m[i]) + k.A2 * widened(g[i]), family.momentum_like)


@_compiled
def _shrink(family: Any, p: Any, factor: Any, centre: Any) -> None:
    for i in range(len(p)):
        p[i] = narrowed((widened(p[i]) - centre) * factor + centre, family.param_like)


@_compiled
def _sum_of_squares(address: Any, size: Any, like: Any) -> Any:
    """Σp² in float64 over ``size`` elements at ``address``, in the order of ``np.sum``: halves of halves of it.

    Processors see no stream in this order of reading and would wait for memory, so it is asked for beforehand.
    """
    first = size // 2 // 8 * 8 if size > 128 else 0
    if size - first > 128:
        rest = address + first * like.itemsize
        return _sum_of_squares(address, first, like) + _sum_of_squares(rest, size - first, like)
    for ahead in range(AHEAD, AHEAD + size * like.itemsize, LINE):
        prefetched(address + ahead)
    eights = (size - first) // 8 * 8
    left, right = squares_by_eights(address, first, eights, like) if eights else (0.0, 0.0)
    tail = _array(address, first + eights, size, like)
    for i in range(len(tail)):
        x = np.float64(widened(tail[i]))
        right += x * x
    return left + right


@_compiled
def _look(p_address: Any, g_address: Any, size: Any, like: Any) -> Any:
    """Σp² in the order of ``np.sum``, and whether g has a NaN; in small pieces, so that both are fetched at once."""
    if size <= PIECE:
        return _sum_of_squares(p_address, size, like), _has_nan(_array(g_address, 0, size, like))
    first = size // 2 // 8 * 8
    offset = first * like.itemsize
    left, broken_left = _look(p_address, g_address, first, like)
    right, broken_right = _look(p_address + offset, g_address + offset, size - first, like)
    return left + right, broken_left or broken_right


@_compiled
def _has_nan(g: Any) -> Any:
    count = 0
    for i in range(len(g)):
        d = widened(g[i])
        count += d != d
    return count > 0
