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
_SMALLEST_NORMAL = 0x38800000
"""Of float16: the float32 bits of 2⁻¹⁴."""


class _Bits:
    """Arithmetic on 32-bit integers, or on vectors of them as long as ``like``."""

    def __init__(self, builder: ir.IRBuilder, like: Any) -> None:
        self.builder = builder
        self._count = like.type.count if isinstance(like.type, ir.VectorType) else 0
        self.int16, self.int32, self.float = (self.of_kind(kind) for kind in (_I16, _I32, ir.FloatType()))

    def of_kind(self, kind: Any) -> Any:
        return ir.VectorType(kind, self._count) if self._count else kind

    def number(self, value: int) -> Any:
        return ir.Constant(self.int32, [value] * self._count if self._count else value)

    def real(self, value: float) -> Any:
        return ir.Constant(self.float, [value] * self._count if self._count else value)

    def any(self, conditions: Any) -> Any:
        if not self._count:
            return conditions
        together = ir.IntType(self._count)
        return self.builder.icmp_unsigned("!=", self.builder.bitcast(conditions, together), ir.Constant(together, 0))

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
    """The bits of :func:`signopt.rounding.round_float16`, of words of 32 bits.

    What is normal in float16 drops 13 bits: the upper ones of the word are added to them, and what is left has a
    float16. Of NaN and of what is smaller there is seldom any, so that their rounding is behind a branch.
    """
    on = _Bits(builder, value)
    bits = on.of(value)
    magnitude = on.mask(bits, _MAGNITUDE)
    normal = on.mask(builder.add(bits, on.right(word, 19)), 0xFFFFE000)
    other = on.above(builder.sub(magnitude, on.number(_SMALLEST_NORMAL)), _INFINITY - _SMALLEST_NORMAL)
    before = builder.block
    with builder.if_then(on.any(other), likely=False):
        small = on.chosen(on.above(magnitude, _INFINITY), _INFINITY | _QUIET, _subnormal(on, bits, word))
        rare = builder.select(other, small, normal)
        behind = builder.block
    rounded = builder.phi(on.int32)
    rounded.add_incoming(normal, before)
    rounded.add_incoming(rare, behind)
    return builder.bitcast(builder.fptrunc(builder.bitcast(rounded, on.float), on.of_kind(ir.HalfType())), on.int16)


def _subnormal(on: _Bits, bits: Any, word: Any) -> Any:
    """Float32 bits of a multiple of 2⁻²⁴. Every operation is exact, but that f·2³² is rounded down as it is defined."""
    builder, unit = on.builder, 2.0**-24
    units = builder.fmul(builder.bitcast(on.mask(bits, _MAGNITUDE), on.float), on.real(1 / unit))
    whole = builder.sitofp(builder.fptosi(units, on.int32), on.float)
    fraction = builder.fptoui(builder.fmul(builder.fsub(units, whole), on.real(2.0**32)), on.int32)
    carries = builder.icmp_unsigned(">", fraction, builder.not_(word))
    rounded = builder.fmul(builder.select(carries, builder.fadd(whole, on.real(1.0)), whole), on.real(unit))
    return builder.or_(on.of(rounded), on.mask(bits, 1 << 31))


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
