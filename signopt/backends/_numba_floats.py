"""Storage formats in compiled code: reading memory by address, and 16-bit floats as the bits that they are.

Compiled kernels see float32 and float64 as themselves, float16 as int16 and bfloat16 as uint16.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["narrowed", "pointer_to", "prefetched", "squares_by_eights", "widened"]

_I16, _I32, _I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
_HALF, _FLOAT = ir.HalfType(), ir.FloatType()
_EIGHT_DOUBLES = ir.VectorType(ir.DoubleType(), 8)
_EIGHT_ZEROS = ir.Constant(_EIGHT_DOUBLES, [0.0] * 8)


@intrinsic
def pointer_to(typing_context: Any, address: Any, like: Any) -> Any:
    """A pointer to ``address``, an integer, whose elements have the type of those of the array ``like``."""
    pointer = types.CPointer(like.dtype)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(pointer))

    return pointer(types.int64, like), generate


@intrinsic
def prefetched(typing_context: Any, address: Any) -> Any:
    """Have the cache line at ``address`` fetched, for reading; an address that nothing lies at is ignored."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        place = ir.IntType(8).as_pointer()
        shape = ir.FunctionType(ir.VoidType(), [place, _I32, _I32, _I32])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [place], shape)
        for_reading, kept_in_all_caches, data = (ir.Constant(_I32, number) for number in (0, 3, 1))
        builder.call(prefetch, [builder.inttoptr(args[0], place), for_reading, kept_in_all_caches, data])
        return context.get_dummy_value()

    return types.none(types.int64), generate


@intrinsic
def widened(typing_context: Any, stored: Any) -> Any:
    """A stored number in float32, or in float64 if it is one. Exact."""
    if stored not in (types.int16, types.uint16):
        return stored(stored), lambda context, builder, signature, args: args[0]

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        if stored == types.int16:
            return builder.fpext(builder.bitcast(args[0], _HALF), _FLOAT)
        high = builder.shl(builder.zext(args[0], _I32), ir.Constant(_I32, 16))
        return builder.bitcast(high, _FLOAT)

    return types.float32(stored), generate


@intrinsic
def squares_by_eights(typing_context: Any, address: Any, first: Any, eights: Any, like: Any) -> Any:
    """Σx² in float64 over ``first`` elements at ``address``, and over the ``eights`` elements after them, as a pair.

    ``first`` and ``eights`` are multiples of 8, and ``eights`` is the larger. The order is NumPy's: element i is added
    to sum i mod 8, and at last the sums in pairs. Two at once hide the latency of the additions. It is written in
    vectors because LLVM, held to this order, leaves a loop of eight separate sums scalar.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        address, first, eights = args[:3]
        before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
        size = like.dtype.bitwidth // 8
        offset = builder.mul(first, ir.Constant(_I64, size))
        builder.branch(loop)
        builder.position_at_end(loop)
        i, left, right = builder.phi(_I64), builder.phi(_EIGHT_DOUBLES), builder.phi(_EIGHT_DOUBLES)
        place = builder.add(address, builder.mul(i, ir.Constant(_I64, size)))
        x, y = (_eight_doubles(builder, at, like.dtype, size) for at in (place, builder.add(place, offset)))
        longer = builder.fadd(left, builder.fmul(x, x))
        new_left = builder.select(builder.icmp_signed("<", i, first), longer, left)
        new_right = builder.fadd(right, builder.fmul(y, y))
        next_i = builder.add(i, ir.Constant(_I64, 8))
        zero = ir.Constant(_I64, 0)
        for phi, start, later in ((i, zero, next_i), (left, _EIGHT_ZEROS, new_left), (right, _EIGHT_ZEROS, new_right)):
            phi.add_incoming(start, before)
            phi.add_incoming(later, loop)
        builder.cbranch(builder.icmp_signed("<", next_i, eights), loop, after)
        builder.position_at_end(after)
        sums = [_sum_in_pairs(builder, vector) for vector in (new_left, new_right)]
        return context.make_tuple(builder, signature.return_type, sums)

    return types.UniTuple(types.float64, 2)(types.int64, types.int64, types.int64, like), generate


def _eight_doubles(builder: ir.IRBuilder, place: Any, stored: Any, itemsize: int) -> Any:
    element = {types.float64: ir.DoubleType(), types.float32: _FLOAT}.get(stored, _I16)
    vector = builder.load(builder.inttoptr(place, ir.VectorType(element, 8).as_pointer()), align=itemsize)
    if stored == types.float64:
        return vector
    if stored == types.int16:
        vector = builder.bitcast(vector, ir.VectorType(_HALF, 8))
    elif stored == types.uint16:
        eight_ints = ir.VectorType(_I32, 8)
        high = builder.shl(builder.zext(vector, eight_ints), ir.Constant(eight_ints, [16] * 8))
        vector = builder.bitcast(high, ir.VectorType(_FLOAT, 8))
    return builder.fpext(vector, _EIGHT_DOUBLES)


def _sum_in_pairs(builder: ir.IRBuilder, vector: Any) -> Any:
    numbers = [builder.extract_element(vector, ir.Constant(_I32, j)) for j in range(8)]
    while len(numbers) > 1:
        numbers = [builder.fadd(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    return numbers[0]


@intrinsic
def narrowed(typing_context: Any, value: Any, like: Any) -> Any:
    """``value`` rounded to nearest even to the storage format of the array ``like``."""
    stored = like.dtype

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        if stored == types.int16:
            return builder.bitcast(builder.fptrunc(args[0], _HALF), _I16)
        if stored == types.uint16:
            return _bfloat16_bits(builder, args[0])
        return context.cast(builder, args[0], value, stored)

    return stored(value, like), generate


def _bfloat16_bits(builder: ir.IRBuilder, value: Any) -> Any:
    """Round by a carry: half a unit less one, plus the last bit that stays. A carry could end a NaN: it goes apart."""
    bits = builder.bitcast(value, _I32)
    shift = ir.Constant(_I32, 16)
    last_bit = builder.and_(builder.lshr(bits, shift), ir.Constant(_I32, 1))
    rounded = builder.add(bits, builder.add(last_bit, ir.Constant(_I32, 0x7FFF)))
    quiet_nan = builder.or_(bits, ir.Constant(_I32, 0x00400000))
    chosen = builder.select(builder.fcmp_unordered("uno", value, value), quiet_nan, rounded)
    return builder.trunc(builder.lshr(chosen, shift), _I16)
