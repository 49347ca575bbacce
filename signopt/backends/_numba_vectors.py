"""Sixteen float32 numbers as one in compiled code, which the rules' formulas take like a number.

For loops that round by words of 16 bits, which are slower if LLVM makes the vectors: it widens 16-bit numbers by
permuting them, and permutes again to narrow them. Here 32 bits of memory are a pair, of which a shift and a mask give
the two, and put them together: a vector has the even elements of thirty-two, another the odd ones.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

from signopt.backends import _llvm_halves as halves

__all__ = ["AT_ONCE", "Sixteen", "put", "put_by_words", "sign", "taken"]

AT_ONCE = 32
"""Elements in two vectors."""

_COUNT = 16
_I32 = ir.IntType(32)
_PAIRS, _FLOATS = ir.VectorType(_I32, _COUNT), ir.VectorType(ir.FloatType(), _COUNT)
_ALL_FLOATS = ir.VectorType(ir.FloatType(), AT_ONCE)


class Sixteen(types.Type):  # type: ignore[misc]
    """Sixteen float32 numbers."""

    def __init__(self) -> None:
        super().__init__(name="Sixteen")


_SIXTEEN = Sixteen()
_TWO = types.UniTuple(_SIXTEEN, 2)


@register_model(Sixteen)
class _SixteenModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


def _operator(instruction: str) -> Any:
    @intrinsic
    def compute(typing_context: Any, one: Any, other: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            return getattr(builder, instruction)(*(_spread(builder, arg) for arg in args))

        return _SIXTEEN(one, other), generate

    def chosen(one: Any, other: Any) -> Any:
        if _SIXTEEN in (one, other) and {one, other} <= {_SIXTEEN, types.float32}:
            return lambda one, other: compute(one, other)
        return None

    return chosen


for _function, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    overload(_function, inline="always", strict=False)(_operator(_instruction))


def _spread(builder: ir.IRBuilder, number: Any) -> Any:
    if number.type == _FLOATS:
        return number
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), number, ir.Constant(_I32, 0))
    return _shuffled(builder, one, [0] * _COUNT)


def _shuffled(builder: ir.IRBuilder, vector: Any, places: list[int]) -> Any:
    return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_I32, len(places)), places))


def sign(c: Any, one: Any) -> Any:
    """1, −1, 0 or NaN, of a number or of each of sixteen; ``one`` is 1 in the dtype of c."""


def taken(stored: Any, i: Any) -> Any:
    """The even and the odd ones of elements 32·i to 32·i + 31 of a bfloat16 or float32 array, in float32."""


def put(stored: Any, i: Any, even: Any, odd: Any) -> None:
    """Store elements 32·i to 32·i + 31, rounded to nearest even."""


def put_by_words(stored: Any, words: Any, i: Any, even: Any, odd: Any) -> None:
    """Store elements 32·i to 32·i + 31 as bfloat16, rounded by the words of these places."""


@overload(taken, inline="always", strict=False)
def _taken(stored: Any, i: Any) -> Any:
    return lambda stored, i: _load(stored, i)


@overload(put, inline="always", strict=False)
def _put(stored: Any, i: Any, even: Any, odd: Any) -> Any:
    return lambda stored, i, even, odd: _store(stored, i, even, odd)


@overload(put_by_words, inline="always", strict=False)
def _put_by_words(stored: Any, words: Any, i: Any, even: Any, odd: Any) -> Any:
    return lambda stored, words, i, even, odd: _store_by_words(stored, words, i, even, odd)


def _place(context: Any, builder: ir.IRBuilder, array: Any, value: Any, i: Any, kind: Any) -> Any:
    data = context.make_array(array)(context, builder, value).data
    return builder.gep(builder.bitcast(data, kind.as_pointer()), [i])


def _pairs_at(context: Any, builder: ir.IRBuilder, array: Any, value: Any, i: Any) -> Any:
    return builder.load(_place(context, builder, array, value, i, _PAIRS), align=2)


@intrinsic
def _load(typing_context: Any, stored: Any, i: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        if stored.dtype == types.uint16:
            two = halves.widened_pair(builder, _pairs_at(context, builder, stored, *args))
        else:
            floats = builder.load(_place(context, builder, stored, args[0], args[1], _ALL_FLOATS), align=4)
            two = tuple(_shuffled(builder, floats, list(range(first, AT_ONCE, 2))) for first in (0, 1))
        return context.make_tuple(builder, signature.return_type, two)

    return _TWO(stored, types.int64), generate


@intrinsic
def _store(typing_context: Any, stored: Any, i: Any, even: Any, odd: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        array, i, *two = args
        if stored.dtype == types.uint16:
            place = _place(context, builder, stored, array, i, _PAIRS)
            builder.store(halves.nearest_pair(builder, *two), place, align=2)
        else:
            in_turn = [n for place in range(_COUNT) for n in (place, _COUNT + place)]
            both = builder.shuffle_vector(*two, ir.Constant(ir.VectorType(_I32, AT_ONCE), in_turn))
            builder.store(both, _place(context, builder, stored, array, i, _ALL_FLOATS), align=4)
        return context.get_dummy_value()

    return types.none(stored, types.int64, _SIXTEEN, _SIXTEEN), generate


@intrinsic
def _store_by_words(typing_context: Any, stored: Any, words: Any, i: Any, even: Any, odd: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        array, words_array, i, even, odd = args
        drawn = _pairs_at(context, builder, words, words_array, i)
        place = _place(context, builder, stored, array, i, _PAIRS)
        builder.store(halves.stochastic_pair(builder, even, odd, drawn), place, align=2)
        return context.get_dummy_value()

    return types.none(stored, words, types.int64, _SIXTEEN, _SIXTEEN), generate


@intrinsic
def _sign(typing_context: Any, c: Any, one: Any) -> Any:
    """1 with the sign of c, or c + 0 if c is 0 or NaN."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        c, one = (builder.bitcast(_spread(builder, arg), _PAIRS) for arg in args)
        zero, sign_bit = ir.Constant(_FLOATS, [0.0] * _COUNT), ir.Constant(_PAIRS, [1 << 31] * _COUNT)
        signed = builder.bitcast(builder.or_(builder.and_(c, sign_bit), one), _FLOATS)
        return builder.select(builder.fcmp_unordered("==", args[0], zero), builder.fadd(args[0], zero), signed)

    return _SIXTEEN(c, one), generate


@overload(sign, inline="always", strict=False)
def _sign_of(c: Any, one: Any) -> Any:
    if c == _SIXTEEN:
        return lambda c, one: _sign(c, one)
    return lambda c, one: one if c > 0 else (-one if c < 0 else c + (one - one))
