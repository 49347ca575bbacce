"""How compiled kernels store a parameter: rounded to nearest, by random words, or in two halves.

A kernel takes a policy: None for nearest, :class:`Draws` or :class:`Rests`. Its type is known when the kernel is
compiled, so that each policy has machine code of its own. Of a piece of a tensor, ``beside`` is what the policy keeps
or makes beside p: nothing, the words of its elements, or their low halves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from signopt.backends import _llvm_halves as halves
from signopt.backends._numba_floats import compiled, element, loaded, narrowed, pointer_to, widened
from signopt.backends._numba_philox import WORDS_AT_ONCE, draw_blocks

__all__ = [
    "ROOM",
    "Draws",
    "Rests",
    "beside_piece",
    "loaded_master",
    "read",
    "rest_further",
    "rest_place",
    "stretch",
    "write",
]

DRAWN = 4096
"""For so many elements words are drawn at a time: they stay in the cache next to the processor."""

ROOM = DRAWN + 4 + WORDS_AT_ONCE
"""Words of 32 bits that there is room for: some of the first and of the last blocks are not wanted."""


class Draws(NamedTuple):
    """The key of one step's words, and the number of each tensor."""

    key_low: Any
    key_high: Any
    step: Any
    tensors: Any


class Rests(NamedTuple):
    """The address of the low halves of each tensor."""

    addresses: Any


def _is(policy: Any, kind: type) -> bool:
    return getattr(policy, "instance_class", None) is kind


def stretch(policy: Any) -> Any:
    """How many elements are updated at a time."""


def rest_place(policy: Any, t: Any, first: Any) -> Any:
    """The address of the low half of element ``first`` of tensor ``t``, or None if there is none."""


def rest_further(place: Any, count: Any) -> Any:
    """The address of the low half ``count`` elements after ``place``, or None if there is none."""


def loaded_master(place: Any, rest: Any, like: Any) -> Any:
    """The number at ``place`` in the compute dtype, whose low half is at ``rest`` unless that is None."""


def beside_piece(policy: Any, t: Any, first: Any, last: Any, room: Any, family: Any) -> Any:
    """What there is beside elements ``first`` to ``last`` of tensor ``t``; words are put into ``room``."""


def read(stored: Any, beside: Any, i: Any) -> Any:
    """Element ``i`` of a piece in the compute dtype."""


def write(stored: Any, beside: Any, i: Any, value: Any, like: Any) -> None:
    """Store the new value of element ``i`` of a piece."""


@overload(stretch, inline="always", strict=False)
def _stretch(policy: Any) -> Any:
    if _is(policy, Draws):
        return lambda policy: DRAWN
    return lambda policy: np.int64(1 << 62)


@overload(rest_place, inline="always", strict=False)
def _rest_place(policy: Any, t: Any, first: Any) -> Any:
    if _is(policy, Rests):
        return lambda policy, t, first: element(policy.addresses[t], first, np.int16(0))
    return lambda policy, t, first: None


@overload(rest_further, inline="always", strict=False)
def _rest_further(place: Any, count: Any) -> Any:
    if place == types.none:
        return lambda place, count: None
    return lambda place, count: element(place, count, np.int16(0))


@overload(loaded_master, inline="always", strict=False)
def _loaded_master(place: Any, rest: Any, like: Any) -> Any:
    if rest == types.none:
        return lambda place, rest, like: widened(loaded(place, like))
    return lambda place, rest, like: _joined(loaded(place, like), loaded(rest, np.int16(0)))


@overload(beside_piece, strict=False)
def _beside_piece(policy: Any, t: Any, first: Any, last: Any, room: Any, family: Any) -> Any:
    if _is(policy, Rests):
        return lambda policy, t, first, last, room, family: carray(
            pointer_to(element(policy.addresses[t], first, np.int16(0)), np.int16(0)), last - first
        )
    if not _is(policy, Draws):
        return lambda policy, t, first, last, room, family: None
    param_like = family.types[family.fields.index("param_like")]
    word, per_block = (np.uint16(0), 8) if param_like == types.uint16 else (np.uint32(0), 4)

    def drawn(policy: Any, t: Any, first: Any, last: Any, room: Any, family: Any) -> Any:
        block = first // per_block
        blocks = (last + per_block - 1) // per_block - block
        p_like, m_like = family.param_like, family.momentum_like
        p, m, g = family.addresses[t, 0], family.addresses[t, 1], family.addresses[t, 2]
        places = element(p, first, p_like), element(m, first, m_like), element(g, first, p_like)
        likes = p_like, m_like, p_like
        _draw(room, block, blocks, policy, policy.tensors[t], places, likes)
        return carray(pointer_to(element(room, first - block * per_block, word), word), last - first)

    return drawn


@compiled
def _draw(room: Any, first: Any, count: Any, draws: Any, tensor: Any, places: Any, likes: Any) -> None:
    """The words of blocks from ``first`` on, four of 32 bits or eight of 16 each; ``places`` is fetched meanwhile.

    They are taken in runs whose numbers have one upper half.
    """
    half, key = np.uint64(32), (np.uint64(draws.key_low), np.uint64(draws.key_high))
    last = first + count
    while first < last:
        run = min(last - first, (1 << 32) - (first & 0xFFFFFFFF))
        number = np.uint64(first)
        counter = (number & np.uint64(0xFFFFFFFF), number >> half, np.uint64(draws.step), np.uint64(tensor))
        draw_blocks(room, run, counter, key, places, likes)
        first += run
        room += 16 * run


@overload(read, inline="always", strict=False)
def _read(stored: Any, beside: Any, i: Any) -> Any:
    if getattr(beside, "dtype", None) == types.int16:
        return lambda stored, beside, i: _joined(stored[i], beside[i])
    return lambda stored, beside, i: widened(stored[i])


@overload(write, inline="always", strict=False)
def _write(stored: Any, beside: Any, i: Any, value: Any, like: Any) -> Any:
    kind = getattr(beside, "dtype", None)
    if kind is None:

        def nearest(stored: Any, beside: Any, i: Any, value: Any, like: Any) -> None:
            stored[i] = narrowed(value, like)

        return nearest
    if kind == types.int16:

        def split(stored: Any, beside: Any, i: Any, value: Any, like: Any) -> None:
            stored[i], beside[i] = _split(value)

        return split

    def stochastic(stored: Any, beside: Any, i: Any, value: Any, like: Any) -> None:
        stored[i] = _by_word(value, beside[i], like)

    return stochastic


@intrinsic
def _by_word(typing_context: Any, value: Any, word: Any, like: Any) -> Any:
    rounded = halves.stochastic_bfloat16 if like == types.uint16 else halves.stochastic_float16
    return like(value, word, like), lambda context, builder, signature, args: rounded(builder, args[0], args[1])


@intrinsic
def _split(typing_context: Any, value: Any) -> Any:
    result = types.Tuple([types.uint16, types.int16])

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return cgutils.pack_struct(builder, halves.split_halves(builder, args[0]))

    return result(value), generate


@intrinsic
def _joined(typing_context: Any, high: Any, low: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return halves.joined_halves(builder, *args)

    return types.float32(high, low), generate
