"""Philox4x32-10 on eight blocks at a time, as LLVM instructions on vectors: LLVM packs the words of a loop more slowly.

On the way the memory is fetched that the words are for: without that, the processor would wait for memory while no
words are made, and memory for the processor while they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from signopt.backends._numba_floats import loop_by_eights, prefetch

__all__ = ["WORDS_AT_ONCE", "draw_blocks"]

WORDS_AT_ONCE = 32
"""Words of 32 bits in eight blocks, which are made at a time."""

_I64 = ir.IntType(64)
_EIGHT, _SIXTEEN = ir.VectorType(_I64, 8), ir.VectorType(ir.IntType(32), 16)
_LINE = 64
_Word = tuple[Any, Any, Any, Any]


@intrinsic
def draw_blocks(typing_context: Any, room: Any, count: Any, counter: Any, key: Any, places: Any, likes: Any) -> Any:
    """Write the words of ``count`` blocks, a positive number, to ``room``, and those of the blocks that complete eight.

    ``counter`` is (c0, c1, c2, c3) of the first block, ``key`` is (k0, k1), both uint64. From block to block c0 is one
    more, and must stay below 2³². ``places`` are addresses of what has a number, like that of ``likes``, for each word
    of 16 bits if the first of ``likes`` is a bfloat16 as uint16, else for each of 32.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        (c0, *others), keys, starts = (cgutils.unpack_tuple(builder, each) for each in args[2:5])
        c1, c2, c3 = (_splat(builder, word) for word in others)
        first = builder.add(_splat(builder, c0), _numbers(range(8)))

        def body(block: Any) -> tuple[()]:
            for start, size in zip(starts, sizes, strict=True):
                _fetch(builder, builder.add(start, builder.mul(block, _number(size // 8))), size)
            counters = builder.add(first, _splat(builder, block)), c1, c2, c3
            _store(builder, builder.add(args[0], builder.mul(block, _number(16))), _philox(builder, counters, keys))
            return ()

        loop_by_eights(builder, args[1], (), body)
        return context.get_dummy_value()

    numbers = WORDS_AT_ONCE * (2 if likes[0] == types.uint16 else 1)
    sizes = [numbers * like.bitwidth // 8 for like in likes]
    return types.none(room, count, counter, key, places, likes), generate


def _number(value: int) -> Any:
    return ir.Constant(_I64, value)


def _numbers(values: Sequence[int]) -> Any:
    return ir.Constant(_EIGHT, list(values))


def _splat(builder: ir.IRBuilder, word: Any) -> Any:
    one = builder.insert_element(ir.Constant(_EIGHT, ir.Undefined), word, ir.Constant(ir.IntType(32), 0))
    return _shuffled(builder, one, one, [0] * 8)


def _shuffled(builder: ir.IRBuilder, one: Any, other: Any, places: Sequence[int]) -> Any:
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places)))


def _fetch(builder: ir.IRBuilder, start: Any, size: int) -> None:
    for line in range(0, size, _LINE):
        prefetch(builder, builder.add(start, _number(line)))


def _philox(builder: ir.IRBuilder, counter: _Word, key: Sequence[Any]) -> _Word:
    """Ten rounds. Of the 64 bits of a word the upper half is whatever a product left there, until it is multiplied."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    lower, half = _numbers([0xFFFFFFFF] * 8), _numbers([32] * 8)

    def product(word: Any, multiplier: int) -> Any:
        return builder.mul(builder.and_(word, lower), _numbers([multiplier] * 8))

    def mixed(product: Any, word: Any, key: Any) -> Any:
        return builder.xor(builder.xor(builder.lshr(product, half), word), _splat(builder, key))

    for _ in range(10):
        p0, p1 = product(c0, 0xD2511F53), product(c2, 0xCD9E8D57)
        c0, c1, c2, c3 = mixed(p1, c1, k0), p1, mixed(p0, c3, k1), p0
        k0, k1 = builder.add(k0, _number(0x9E3779B9)), builder.add(k1, _number(0xBB67AE85))
    return c0, c1, c2, c3


def _store(builder: ir.IRBuilder, room: Any, words: _Word) -> None:
    """The four words of each of eight blocks, one block after the other."""
    halves = [builder.bitcast(word, _SIXTEEN) for word in words]
    pairs = [n for i in range(8) for n in (2 * i, 16 + 2 * i)]
    one, other = (builder.bitcast(_shuffled(builder, halves[i], halves[i + 1], pairs), _EIGHT) for i in (0, 2))
    for i in (0, 4):
        place = builder.inttoptr(builder.add(room, _number(16 * i)), _EIGHT.as_pointer())
        blocks = [n for block in range(i, i + 4) for n in (block, 8 + block)]
        builder.store(_shuffled(builder, one, other, blocks), place, align=4)
