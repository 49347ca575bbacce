"""Sixteen float32 numbers as one in compiled code, which the rules' formulas take like a number.

For loops that round by random words, which are slower if LLVM makes the vectors: it widens bfloat16 by permuting, and
permutes again to narrow it, and it takes every branch of the rounding of float16 for every element. Here 32 bits of
memory are a pair of bfloat16, of which a shift and a mask give the two, and put them together: a vector has the even
elements of thirty-two, another the odd ones. Of float16, which processors convert, each has sixteen in a row.
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
_ALL_FLOATS, _ALL_HALVES = ir.VectorType(ir.FloatType(), AT_ONCE), ir.VectorType(ir.HalfType(), AT_ONCE)
_ALL_WORDS = ir.VectorType(_I32, AT_ONCE)
_KINDS = {types.uint16: _PAIRS, types.int16: _ALL_HALVES, types.float32: _ALL_FLOATS}
"""What thirty-two stored numbers are loaded as."""


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


def taken(stored: Any, i: Any, param: Any) -> Any:
    """Elements 32·i to 32·i + 31 in float32: the even and the odd ones if ``param`` is bfloat16, else half and half."""


def put(stored: Any, i: Any, one: Any, other: Any, param: Any) -> None:
    """Store elements 32·i to 32·i + 31, which :func:`taken` gave, rounded to nearest even."""


def put_by_words(param: Any, words: Any, i: Any, one: Any, other: Any) -> None:
    """Store elements 32·i to 32·i + 31 of the parameter, rounded by the words of these places."""


@overload(taken, inline="always", strict=False)
def _taken(stored: Any, i: Any, param: Any) -> Any:
    return lambda stored, i, param: _load(stored, i, param)


@overload(put, inline="always", strict=False)
def _put(stored: Any, i: Any, one: Any, other: Any, param: Any) -> Any:
    return lambda stored, i, one, other, param: _store(stored, i, one, other, param)


@overload(put_by_words, inline="always", strict=False)
def _put_by_words(param: Any, words: Any, i: Any, one: Any, other: Any) -> Any:
    return lambda param, words, i, one, other: _store_by_words(param, words, i, one, other)


def _place(context: Any, builder: ir.IRBuilder, array: Any, value: Any, i: Any, kind: Any) -> Any:
    data = context.make_array(array)(context, builder, value).data
    return builder.gep(builder.bitcast(data, kind.as_pointer()), [i])


def _pairs_at(context: Any, builder: ir.IRBuilder, array: Any, value: Any, i: Any) -> Any:
    return builder.load(_place(context, builder, array, value, i, _PAIRS), align=2)


def _halved(builder: ir.IRBuilder, vector: Any) -> tuple[Any, Any]:
    return _shuffled(builder, vector, list(range(_COUNT))), _shuffled(builder, vector, list(range(_COUNT, AT_ONCE)))


def _row(builder: ir.IRBuilder, one: Any, other: Any) -> Any:
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_I32, AT_ONCE), list(range(AT_ONCE))))


@intrinsic
def _load(typing_context: Any, stored: Any, i: Any, param: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        at = _place(context, builder, stored, args[0], args[1], _KINDS[stored.dtype])
        if stored.dtype == types.uint16:
            two = halves.widened_pair(builder, builder.load(at, align=2))
        elif stored.dtype == types.int16:
            two = tuple(builder.fpext(half, _FLOATS) for half in _halved(builder, builder.load(at, align=2)))
        else:
            floats = builder.load(at, align=4)
            apart = [list(range(first, AT_ONCE, 2)) for first in (0, 1)]
            is_apart = param.dtype == types.uint16
            two = tuple(_shuffled(builder, floats, its) for its in apart) if is_apart else _halved(builder, floats)
        return context.make_tuple(builder, signature.return_type, two)

    return _TWO(stored, types.int64, param), generate


@intrinsic
def _store(typing_context: Any, stored: Any, i: Any, one: Any, other: Any, param: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        array, i, one, other, _ = args
        if stored.dtype == types.uint16:
            values = halves.nearest_pair(builder, one, other)
        elif stored.dtype == types.int16:
            values = builder.fptrunc(_row(builder, one, other), _ALL_HALVES)
        elif param.dtype == types.uint16:
            in_turn = [n for place in range(_COUNT) for n in (place, _COUNT + place)]
            values = builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_I32, AT_ONCE), in_turn))
        else:
            values = _row(builder, one, other)
        at = _place(context, builder, stored, array, i, _KINDS[stored.dtype])
        builder.store(values, at, align=stored.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(stored, types.int64, _SIXTEEN, _SIXTEEN, param), generate


@intrinsic
def _store_by_words(typing_context: Any, param: Any, words: Any, i: Any, one: Any, other: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        array, words_array, i, one, other = args
        if param.dtype == types.uint16:
            drawn = _pairs_at(context, builder, words, words_array, i)
            values = halves.stochastic_pair(builder, one, other, drawn)
        else:
            drawn = builder.load(_place(context, builder, words, words_array, i, _ALL_WORDS), align=4)
            rounded = [
                halves.stochastic_float16(builder, value, its)
                for value, its in zip((one, other), _halved(builder, drawn), strict=True)
            ]
            values = builder.bitcast(_row(builder, *rounded), _ALL_HALVES)
        builder.store(values, _place(context, builder, param, array, i, values.type), align=2)
        return context.get_dummy_value()

    return types.none(param, words, types.int64, _SIXTEEN, _SIXTEEN), generate


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
