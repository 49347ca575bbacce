"""The rules as compiled loops over many tensors: one pass over memory, every operation rounded by itself.

Without fast-math flags LLVM neither contracts a product and a sum into an FMA nor reorders; the tests look for both.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from signopt.backends._numba_elements import lion_by_vectors, lion_of, rest, signum_by_vectors, signum_of
from signopt.backends._numba_floats import compiled, element, inlined, narrowed, room_for, span_at, widened
from signopt.backends._numba_rounding import (
    ROOM,
    beside_piece,
    read,
    rest_place,
    stretch,
    write,
)
from signopt.backends._numba_squares import AHEAD, squares_and_nan

__all__ = ["Family", "Looked", "Scalars", "TigerTensors", "lion", "signum", "tiger", "tiger_look"]

LINE = 64
"""Bytes of a cache line, or of half of one, and of the longest vector."""

CHUNK = 1 << 16
"""So many elements of p, m and g fit into a processor's own cache together."""


class Family(NamedTuple):
    """The tensors with one pair of storage dtypes.

    ``addresses`` has a row (param, momentum, grad) for each; ``ends`` is the running total of their sizes; the other
    two are numbers of the storage dtypes: arrays would have their owners counted at every call. A kernel works on
    elements ``start`` to ``stop``, counted through all.
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
    which tensors Σp² is wanted. ``sums`` and ``has_nan`` have a place for each chunk: Σp², and whether g has a NaN.
    """

    tensors: Any
    firsts: Any
    lasts: Any
    summed: Any
    sums: Any
    has_nan: Any


class TigerTensors(NamedTuple):
    """For each tensor: r, λ, the centre c, the length of its rows (0 if they have no meaning), and NaN seen in g.

    Rows get their r on the way. If ``whole`` is set ``has_nan`` is found on the way too, and r if ``scaled`` is.
    """

    rates: Any
    decays: Any
    centres: Any
    columns: Any
    has_nan: Any
    whole: Any
    scaled: Any


@compiled
def nothing() -> None:
    """Is compiled to see whether anything can be."""


@compiled
def lion(family: Any, start: Any, stop: Any, k: Any, policy: Any) -> None:
    """Lion on a range of elements."""
    room = room_for(ROOM, np.uint32(0))
    t = np.searchsorted(family.ends, start, side="right")
    while start < stop:
        first, last = _span(family, t, start, stop)
        middle = _line(family, t, first, last)
        for begin, end in ((first, middle), (middle, last)):
            for at in range(begin, end, stretch(policy)):
                until = min(end, at + stretch(policy))
                p, m, g = _piece(family, t, at, until)
                beside = beside_piece(policy, t, at, until, room, family)
                done = lion_by_vectors(p, m, g, beside, k, k.lr, k.weight_decay)
                _lion(family, p[done:], m[done:], g[done:], rest(beside, done), k, k.lr, k.weight_decay)
        start += last - first
        t += 1


@compiled
def signum(family: Any, start: Any, stop: Any, k: Any, policy: Any) -> None:
    """Signum on a range of elements."""
    t = np.searchsorted(family.ends, start, side="right")
    while start < stop:
        first, last = _span(family, t, start, stop)
        _signum_of_tensor(family, t, first, last, k, k.lr, k.weight_decay, policy)
        start += last - first
        t += 1


@compiled
def tiger(family: Any, start: Any, stop: Any, k: Any, moves: Any, tensors: Any, policy: Any) -> None:
    """Tiger on a range of elements, after :func:`tiger_look` has gone through all chunks.

    A tensor that is looked at here belongs whole to the range that has its first element.
    """
    t = np.searchsorted(family.ends, start, side="right")
    while start < stop:
        first, last = _span(family, t, start, stop)
        if not tensors.whole[t]:
            _tiger(family, t, first, last, k, moves, tensors, tensors.rates[t], tensors.has_nan[t], policy)
        elif first == 0:
            size = _span(family, t, start, family.ends[t])[1]
            p, g, m = _places(family, t, 0)
            soon = m if size <= CHUNK else p
            total, has_nan = squares_and_nan((p, g, soon, rest_place(policy, t, 0)), size, family.param_like)
            rate = k.lr * _root(total / size, k) if tensors.scaled[t] else tensors.rates[t]
            _tiger(family, t, first, size, k, moves, tensors, rate, has_nan, policy)  # 0 would be a type of its own
        start += last - first
        t += 1


@compiled
def _tiger(
    family: Any, t: Any, first: Any, last: Any, k: Any, moves: Any, tensors: Any, rate: Any, has_nan: Any, policy: Any
) -> None:
    if has_nan:
        _shrink(family, t, first, last, k.shrink, tensors.centres[t], policy)
    elif not moves:
        _, m, g = _piece(family, t, first, last)
        _accumulate(family, m, g, k)
    elif tensors.columns[t]:
        _tiger_rows(family, t, first, last, k, tensors.columns[t], tensors.decays[t], policy)
    else:
        _signum_of_tensor(family, t, first, last, k, rate, tensors.decays[t], policy)


@compiled
def tiger_look(family: Any, start: Any, stop: Any, looked: Any, policy: Any) -> None:
    """Look at chunks ``start`` to ``stop`` of the tensors that are not looked at when they are updated."""
    for chunk in range(start, stop):
        first, size = looked.firsts[chunk], looked.lasts[chunk] - looked.firsts[chunk]
        t = looked.tensors[chunk]
        p, g, _ = _places(family, t, first)
        if looked.summed[t]:
            found = squares_and_nan((p, g, p, rest_place(policy, t, first)), size, family.param_like)
        else:
            found = squares_and_nan((g, g, g, None), size, family.param_like)
        looked.sums[chunk], looked.has_nan[chunk] = found


@inlined
def _places(family: Any, t: Any, first: Any) -> Any:
    """The addresses of element ``first`` of p, g and m of tensor ``t``."""
    p_like, m_like = family.param_like, family.momentum_like
    p, m, g = family.addresses[t, 0], family.addresses[t, 1], family.addresses[t, 2]
    return element(p, first, p_like), element(g, first, p_like), element(m, first, m_like)


@inlined
def _span(family: Any, t: Any, start: Any, stop: Any) -> Any:
    """The elements of tensor ``t`` in a range, from its first to its last, counted within the tensor."""
    origin = family.ends[t - 1] if t else 0
    return start - origin, min(stop, family.ends[t]) - origin


@inlined
def _piece(family: Any, t: Any, first: Any, last: Any) -> Any:
    """Elements ``first`` to ``last`` of p, m and g of tensor ``t``."""
    p = span_at(family.addresses[t, 0], first, last, family.param_like)
    m = span_at(family.addresses[t, 1], first, last, family.momentum_like)
    g = span_at(family.addresses[t, 2], first, last, family.param_like)
    return p, m, g


@inlined
def _line(family: Any, t: Any, first: Any, last: Any) -> Any:
    """The first of many elements at which a cache line of p begins: vectors that lie across two are slower."""
    if last - first < CHUNK:
        return first
    address, like = family.addresses[t, 0], family.param_like
    middle = first
    while element(address, middle, like) % LINE:
        middle += 1
    return middle


@compiled
def _lion(family: Any, p: Any, m: Any, g: Any, beside: Any, k: Any, rate: Any, weight_decay: Any) -> None:
    for i in range(len(p)):
        x, v = lion_of(read(p, beside, i), widened(m[i]), widened(g[i]), k, rate, weight_decay)
        write(p, beside, i, x, family.param_like)
        m[i] = narrowed(v, family.momentum_like)


@inlined
def _signum_of_tensor(
    family: Any, t: Any, first: Any, last: Any, k: Any, rate: Any, weight_decay: Any, policy: Any
) -> None:
    middle = _line(family, t, first, last)
    for begin, end in ((first, middle), (middle, last)):
        _signum_of_span(family, t, begin, end, k, rate, weight_decay, policy)


@inlined
def _signum_of_span(
    family: Any, t: Any, first: Any, last: Any, k: Any, rate: Any, weight_decay: Any, policy: Any
) -> None:
    room = room_for(ROOM, np.uint32(0))
    for at in range(first, last, stretch(policy)):
        until = min(last, at + stretch(policy))
        p, m, g = _piece(family, t, at, until)
        beside = beside_piece(policy, t, at, until, room, family)
        done = signum_by_vectors(p, m, g, beside, k, rate, weight_decay)
        _signum(family, p[done:], m[done:], g[done:], rest(beside, done), k, rate, weight_decay)


@compiled
def _signum(family: Any, p: Any, m: Any, g: Any, beside: Any, k: Any, rate: Any, weight_decay: Any) -> None:
    """The update that Signum and Tiger share: the sign is that of the new momentum."""
    for i in range(len(p)):
        x, v = signum_of(read(p, beside, i), widened(m[i]), widened(g[i]), k, rate, weight_decay)
        write(p, beside, i, x, family.param_like)
        m[i] = narrowed(v, family.momentum_like)


@compiled
def _tiger_rows(family: Any, t: Any, first: Any, last: Any, k: Any, columns: Any, decay: Any, policy: Any) -> None:
    """Tiger on the rows that start within elements ``first`` to ``last``, each with an RMS of its own."""
    for row in range(-(-first // columns), -(-last // columns)):
        begin = row * columns
        p, g, m = _places(family, t, begin)
        total, _ = squares_and_nan((p, g, m + AHEAD, rest_place(policy, t, begin)), columns, family.param_like)
        _signum_of_span(family, t, begin, begin + columns, k, k.lr * _root(total / columns, k), decay, policy)


@inlined
def _root(mean: Any, k: Any) -> Any:
    return type(k.one)(math.sqrt(mean))


@compiled
def _accumulate(family: Any, m: Any, g: Any, k: Any) -> None:
    for i in range(len(m)):
        m[i] = narrowed(k.B2 * widened(m[i]) + k.A2 * widened(g[i]), family.momentum_like)


@compiled
def _shrink(family: Any, t: Any, first: Any, last: Any, factor: Any, centre: Any, policy: Any) -> None:
    room = room_for(ROOM, np.uint32(0))
    for at in range(first, last, stretch(policy)):
        until = min(last, at + stretch(policy))
        p, _, _ = _piece(family, t, at, until)
        beside = beside_piece(policy, t, at, until, room, family)
        for i in range(until - at):
            write(p, beside, i, (read(p, beside, i) - centre) * factor + centre, family.param_like)
