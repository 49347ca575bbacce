"""Float32 to 16 bits, to nearest, by random words, and in two halves, as LLVM instructions on scalars or vectors."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

__all__ = [
    "joined_halves", "nearest_bfloat16", "nearest_pair", "split_halves", "stochastic_bfloat16", "stochastic_float16",
    "stochastic_pair", "widened_pair",
]  # fmt: skip

_I16, _I32 = ir.IntType(16), ir.IntType(32)
_MAGNITUDE, _INFINITY, _QUIET, _UPPER = 0x7FFFFFFF, 0x7F800000, 0x00400000, 0xFFFF0000


class _Bits:
    """Arithmetic on 32-bit integers, or on vectors of them as long as ``like``."""

    def __init__(self, builder: ir.IRBuilder, like: Any) -> None:
        self.builder = builder
        self._count = like.type.count if isinstance(like.type, ir.VectorType) else 0
        self.int16, self.int32, self.float = (self._typed(kind) for kind in (_I16, _I32, ir.FloatType()))

    def _typed(self, kind: Any) -> Any:
        return ir.VectorType(kind, self._count) if self._count else kind

    def number(self, value: int) -> Any:
        return ir.Constant(self.int32, [value] * self._count if self._count else value)

    def of(self, floats: Any) -> Any:
        return self.builder.bitcast(floats, self.int32)

    def wide(self, halves: Any) -> Any:
        return self.builder.zext(halves, self.int32) if halves.type == self.int16 else halves

    def half(self, bits: Any) -> Any:
        return self.builder.trunc(bits, self.int16)

    def upper_half(self, bits: Any) -> Any:
        return self.half(self.right(bits, 16))

    def mask(self, bits: Any, value: int) -> Any:
        return self.builder.and_(bits, self.number(value))

    def right(self, bits: Any, count: int) -> Any:
        return self.builder.lshr(bits, self.number(count))

    def left(self, bits: Any, count: int) -> Any:
        return self.builder.shl(bits, self.number(count))

    def above(self, bits: Any, value: int) -> Any:
        return self.builder.icmp_unsigned(">", bits, self.number(value))

    def at_most(self, bits: Any, value: int) -> Any:
        return self.builder.select(self.above(bits, value), self.number(value), bits)

    def chosen(self, condition: Any, value: int, other: Any) -> Any:
        return self.builder.select(condition, self.number(value), other)

    def unless_nan(self, floats: Any, nan: Any, other: Any) -> Any:
        """``other``, of which the carry of a sum may have reached the sign only where ``floats`` has a NaN."""
        nan = self.number(nan) if isinstance(nan, int) else nan
        return self.builder.select(self.builder.fcmp_unordered("uno", floats, floats), nan, other)

    def sign(self, bits: Any) -> Any:
        """The sign of a float32 where the sign of a half is."""
        return self.mask(self.right(bits, 16), 0x8000)


def _nearest(on: _Bits, value: Any) -> Any:
    """Bits whose upper half is the nearest bfloat16: half a unit less one is added, and the last bit that stays."""
    bits = on.of(value)
    carry = on.builder.add(on.mask(on.right(bits, 16), 1), on.number(0x7FFF))
    return on.unless_nan(value, on.builder.or_(bits, on.number(_QUIET)), on.builder.add(bits, carry))


def _stochastic(on: _Bits, value: Any, word: Any) -> Any:
    """Bits whose upper half is the bfloat16 that a word of 16 bits, in 32, chooses."""
    return on.unless_nan(value, _INFINITY | _QUIET, on.builder.add(on.of(value), word))


def nearest_bfloat16(builder: ir.IRBuilder, value: Any) -> Any:
    """The bits of the nearest bfloat16, ties to even; a NaN keeps what it can of its payload."""
    on = _Bits(builder, value)
    return on.upper_half(_nearest(on, value))


def stochastic_bfloat16(builder: ir.IRBuilder, value: Any, word: Any) -> Any:
    """The bits of :func:`signopt.rounding.round_bfloat16`."""
    on = _Bits(builder, value)
    return on.upper_half(_stochastic(on, value, on.wide(word)))


def _pair(on: _Bits, first: Any, second: Any) -> Any:
    """Two upper halves in 32 bits, the first in the lower half, since it has the lower address."""
    return on.builder.or_(on.right(first, 16), on.mask(second, _UPPER))


def nearest_pair(builder: ir.IRBuilder, first: Any, second: Any) -> Any:
    """The bits of the nearest bfloat16 of two numbers that are neighbours in memory."""
    on = _Bits(builder, first)
    return _pair(on, _nearest(on, first), _nearest(on, second))


def stochastic_pair(builder: ir.IRBuilder, first: Any, second: Any, words: Any) -> Any:
    """:func:`stochastic_bfloat16` of two numbers that are neighbours in memory, as their words are."""
    on = _Bits(builder, first)
    return _pair(on, _stochastic(on, first, on.mask(words, 0xFFFF)), _stochastic(on, second, on.right(words, 16)))


def widened_pair(builder: ir.IRBuilder, bits: Any) -> tuple[Any, Any]:
    """Two bfloat16 that are neighbours in memory, in float32."""
    on = _Bits(builder, bits)
    return tuple(builder.bitcast(half, on.float) for half in (on.left(bits, 16), on.mask(bits, _UPPER)))


def stochastic_float16(builder: ir.IRBuilder, value: Any, word: Any) -> Any:
    """The bits of :func:`signopt.rounding.round_float16`."""
    on = _Bits(builder, value)
    bits = on.of(value)
    magnitude = on.mask(bits, _MAGNITUDE)
    exponent = on.right(magnitude, 23)
    leading = on.chosen(on.above(exponent, 0), 0x800000, on.number(0))
    significand = builder.or_(on.mask(magnitude, 0x7FFFFF), leading)
    lowest = on.at_most(on.chosen(on.above(exponent, 0), 0, on.number(1)), 1)
    dropped = builder.sub(on.number(126), on.at_most(builder.add(exponent, lowest), 113))
    normal = builder.sub(on.right(magnitude, 13), on.number(112 << 10))
    subnormal = builder.lshr(significand, on.at_most(dropped, 31))
    below = builder.select(on.above(exponent, 112), normal, subnormal)
    is_far = on.above(dropped, 32)
    near = builder.shl(significand, on.chosen(is_far, 0, builder.sub(on.number(32), dropped)))
    distance = on.at_most(builder.sub(dropped, on.number(32)), 31)
    far = builder.lshr(significand, builder.select(is_far, distance, on.number(0)))
    carries = builder.icmp_unsigned(">", word, builder.not_(builder.select(is_far, far, near)))
    rounded = builder.add(below, builder.zext(carries, on.int32))
    rounded = builder.or_(on.chosen(on.above(magnitude, 0x477FFFFF), 0x7C00, rounded), on.sign(bits))
    return on.half(on.chosen(on.above(magnitude, _INFINITY), 0x7E00, rounded))


def split_halves(builder: ir.IRBuilder, value: Any) -> tuple[Any, Any]:
    """The bits of :func:`signopt.rounding.split`."""
    on = _Bits(builder, value)
    bits = on.of(value)
    high = on.right(builder.add(bits, on.number(0x8000)), 16)
    return on.half(on.unless_nan(value, 0x7FC0, high)), on.half(on.unless_nan(value, 0, bits))


def joined_halves(builder: ir.IRBuilder, high: Any, low: Any) -> Any:
    """The float32 of :func:`signopt.rounding.join`."""
    on = _Bits(builder, high)
    top, rest = on.wide(high), on.wide(low)
    magnitude, is_negative = on.mask(top, 0x7FFF), on.right(rest, 15)
    bits = builder.or_(on.left(builder.sub(magnitude, is_negative), 16), rest)
    is_zero = builder.icmp_unsigned("<", magnitude, is_negative)
    bits = on.chosen(is_zero, 0, on.at_most(bits, _INFINITY))
    bits = on.chosen(on.above(magnitude, _INFINITY >> 16), 0x7FC00000, bits)
    return builder.bitcast(builder.or_(bits, on.left(on.mask(top, 0x8000), 16)), on.float)
