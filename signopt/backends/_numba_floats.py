"""Storage formats in compiled code: reading memory by address, and 16-bit floats as the bits that they are.

Compiled kernels see float32 and float64 as themselves, float16 as int16 and bfloat16 as uint16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.core.errors import RequireLiteralValue
from numba.extending import intrinsic

from signopt.backends._llvm_halves import joined_halves, nearest_bfloat16

__all__ = [
    "compiled", "element", "inlined", "loaded", "loop_by_eights", "narrowed", "pointer_to", "prefetch", "room_for",
    "span_at", "squares_and_nan_by_eight", "widened",
]  # fmt: skip

compiled = njit(nogil=True, cache=True, error_model="numpy")
"""How the kernels are compiled: no fast-math, and a division by zero is what IEEE 754 says."""

inlined = njit(nogil=True, cache=True, error_model="numpy", inline="always")
"""The same for what a kernel takes into itself."""

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_HALF, _FLOAT = ir.HalfType(), ir.FloatType()
_EIGHT_FLOATS, _EIGHT_DOUBLES = ir.VectorType(_FLOAT, 8), ir.VectorType(ir.DoubleType(), 8)
_EIGHT_ZEROS = ir.Constant(_EIGHT_DOUBLES, [0.0] * 8)
_EIGHT_FALSE = ir.Constant(ir.VectorType(ir.IntType(1), 8), [0] * 8)


@intrinsic
def element(typing_context: Any, address: Any, index: Any, like: Any) -> Any:
    """The address of element ``index`` of an array at ``address``, of the type of the number ``like``."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.add(args[0], builder.mul(args[1], ir.Constant(_I64, like.bitwidth // 8)))

    return types.int64(types.int64, types.int64, like), generate


@intrinsic
def pointer_to(typing_context: Any, address: Any, like: Any) -> Any:
    """A pointer to ``address``, an integer, whose elements have the type of the number ``like``."""
    pointer = types.CPointer(like)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(pointer))

    return pointer(types.int64, like), generate


@intrinsic
def room_for(typing_context: Any, count: Any, like: Any) -> Any:
    """The address of room on the stack for ``count`` numbers, a constant, like ``like``, until the function returns."""
    if not isinstance(count, types.IntegerLiteral):
        raise RequireLiteralValue("count")

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        room = cgutils.alloca_once(builder, context.get_value_type(like), size=count.literal_value)
        return builder.ptrtoint(room, _I64)

    return types.int64(count, like), generate


@intrinsic
def loaded(typing_context: Any, address: Any, like: Any) -> Any:
    """The number stored at ``address``, of the type of the number ``like``."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], context.get_value_type(like).as_pointer()))

    return like(types.int64, like), generate


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
def squares_and_nan_by_eight(typing_context: Any, places: Any, count: Any, ahead: Any, like: Any) -> Any:
    """Σp² in float64 over ``count`` elements, a positive multiple of 8, and whether any of as many of g is a NaN.

    ``places`` are the addresses of p, g, of something else that is fetched on the way, and of the low halves of p, or
    None if it has none; p and g are fetched ``ahead`` bytes before they are looked at. The order of the sum is NumPy's:
    element i is added to sum i mod 8, and at last the sums in pairs. It is written in vectors because LLVM, held to
    this order, leaves a loop of eight separate sums scalar.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        *addresses, rests = cgutils.unpack_tuple(builder, args[0], 4)
        size = ir.Constant(_I64, like.bitwidth // 8)

        def look(i: Any, total: Any, nans: Any) -> tuple[Any, Any]:
            p_place, g_place, other_place = (builder.add(address, builder.mul(i, size)) for address in addresses)
            for place in (builder.add(p_place, args[2]), builder.add(g_place, args[2]), other_place):
                prefetch(builder, place)
            p = _eight(builder, p_place, like) if whole else _eight_joined(builder, p_place, rests, i)
            x, d = _doubled(builder, p), _eight(builder, g_place, like)
            return builder.fadd(total, builder.fmul(x, x)), builder.or_(nans, builder.fcmp_unordered("uno", d, d))

        total, nans = loop_by_eights(builder, args[1], (_EIGHT_ZEROS, _EIGHT_FALSE), look)
        has_nan = builder.icmp_unsigned("!=", builder.bitcast(nans, _I8), ir.Constant(_I8, 0))
        return context.make_tuple(builder, signature.return_type, [_sum_in_pairs(builder, total), has_nan])

    whole = places[3] == types.none
    return types.Tuple([types.float64, types.boolean])(places, types.int64, types.int64, like), generate


def prefetch(builder: ir.IRBuilder, address: Any) -> None:
    """Have the cache line at ``address`` fetched, for reading; an address that nothing lies at is ignored."""
    place = ir.IntType(8).as_pointer()
    shape = ir.FunctionType(ir.VoidType(), [place, _I32, _I32, _I32])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", [place], shape)
    for_reading, kept_in_all_caches, data = (ir.Constant(_I32, number) for number in (0, 3, 1))
    builder.call(prefetch, [builder.inttoptr(address, place), for_reading, kept_in_all_caches, data])


def loop_by_eights(
    builder: ir.IRBuilder, stop: Any, values: tuple[Any, ...], body: Callable[..., tuple[Any, ...]]
) -> tuple[Any, ...]:
    """``values = body(i, *values)`` for i = 0, 8, 16, … below ``stop``, at least once."""
    before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    i, *current = (builder.phi(kind) for kind in (_I64, *(value.type for value in values)))
    later = body(i, *current)
    following = builder.add(i, ir.Constant(_I64, 8))
    for phi, first, next_ in zip((i, *current), (ir.Constant(_I64, 0), *values), (following, *later), strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(next_, loop)
    builder.cbranch(builder.icmp_signed("<", following, stop), loop, after)
    builder.position_at_end(after)
    return later


def _eight(builder: ir.IRBuilder, place: Any, stored: Any) -> Any:
    """Eight numbers at ``place``, in float32, or in float64 if they are."""
    element = {types.float64: ir.DoubleType(), types.float32: _FLOAT}.get(stored, _I16)
    pointer = builder.inttoptr(place, ir.VectorType(element, 8).as_pointer())
    vector = builder.load(pointer, align=stored.bitwidth // 8)
    if stored == types.int16:
        return builder.fpext(builder.bitcast(vector, ir.VectorType(_HALF, 8)), _EIGHT_FLOATS)
    if stored == types.uint16:
        eight_ints = ir.VectorType(_I32, 8)
        high = builder.shl(builder.zext(vector, eight_ints), ir.Constant(eight_ints, [16] * 8))
        return builder.bitcast(high, _EIGHT_FLOATS)
    return vector


def _eight_joined(builder: ir.IRBuilder, high_place: Any, rests: Any, i: Any) -> Any:
    """Eight numbers in float32, whose high halves are at a place and whose low ones are those from ``i`` on."""
    low_place = builder.add(rests, builder.mul(i, ir.Constant(_I64, 2)))
    pointer = ir.VectorType(_I16, 8).as_pointer()
    high, low = (builder.load(builder.inttoptr(place, pointer), align=2) for place in (high_place, low_place))
    return joined_halves(builder, high, low)


def _doubled(builder: ir.IRBuilder, eight: Any) -> Any:
    return eight if eight.type == _EIGHT_DOUBLES else builder.fpext(eight, _EIGHT_DOUBLES)


def _sum_in_pairs(builder: ir.IRBuilder, vector: Any) -> Any:
    for count in (8, 4, 2):
        places = [ir.Constant(ir.VectorType(_I32, count // 2), list(range(start, count, 2))) for start in (0, 1)]
        vector = builder.fadd(*(builder.shuffle_vector(vector, vector, every_other) for every_other in places))
    return builder.extract_element(vector, ir.Constant(_I32, 0))


@intrinsic
def narrowed(typing_context: Any, value: Any, like: Any) -> Any:
    """``value`` rounded to nearest even to the storage format of the number ``like``."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        if like == types.int16:
            return builder.bitcast(builder.fptrunc(args[0], _HALF), _I16)
        if like == types.uint16:
            return nearest_bfloat16(builder, args[0])
        return context.cast(builder, args[0], value, like)

    return like(value, like), generate


@inlined
def span_at(address: Any, first: Any, last: Any, like: Any) -> Any:
    """Elements ``first`` to ``last`` of the array at an address."""
    return carray(pointer_to(element(address, first, like), like), last - first)
