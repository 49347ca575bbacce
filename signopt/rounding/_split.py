"""A float32 number in two halves of 16 bits, of which the first is a bfloat16 near it."""

from __future__ import annotations

from signopt._namespace import Array, dtype_name
from signopt.rounding._words import words_of

__all__ = ["join", "split"]

MAGNITUDE, INFINITY = 0x7FFFFFFF, 0x7F800000


def split(x: Array) -> tuple[Array, Array]:
    """A float32 array as (high, rest): the nearest bfloat16, and an int16 that holds what it lacks::

        high = sign | (|bits of x| + 2¹⁵) div 2¹⁶        rest = |bits of x| − |bits of high|·2¹⁶        NaN: 0x7fc0, 0

    Nothing is lost: :func:`join` gives ``x`` back, bit for bit (NaN as a class). A tie goes away from zero, because a
    high half that took both its ties would own 65 537 values, one more than int16 has.

    Raises
    ------
    TypeError
        If ``x`` is not float32.

    Examples
    --------
    >>> import numpy as np
    >>> import signopt
    >>> high, rest = signopt.rounding.split(np.float32([1.001, -3.0]))
    >>> high.astype(np.float32), rest, signopt.rounding.join(high, rest)
    (array([ 1., -3.], dtype=float32), array([8389,    0], dtype=int16), array([ 1.001, -3.   ], dtype=float32))
    """
    kind = words_of(x, "x")
    if dtype_name(x) != "float32":
        raise TypeError(f"x must be float32, got {x.dtype}")
    bits = kind.from_floats(x)
    magnitude = bits & MAGNITUDE
    is_nan = magnitude > INFINITY
    high = ((magnitude + 0x8000) >> 16) | ((bits >> 16) & 0x8000)
    shape = tuple(x.shape)
    high = kind.to_floats(kind.xp.where(is_nan, kind.number(0x7FC0), high), "bfloat16", shape)
    return high, kind.to_floats(kind.xp.where(is_nan, kind.number(0), magnitude & 0xFFFF), "int16", shape)


def join(high: Array, rest: Array) -> Array:
    """The float32 array of which :func:`split` gives ``high`` and ``rest``.

    A pair that no number splits into comes from a ``high`` that was assigned to. It gives the nearest number there is:
    0 for a zero with a negative rest, Inf for an infinity with a positive one, and NaN for every NaN.

    Raises
    ------
    TypeError
        If ``high`` is not bfloat16 or ``rest`` not int16.
    ValueError
        If their shapes differ.
    """
    kind = words_of(high, "high")
    if dtype_name(high) != "bfloat16" or dtype_name(rest) != "int16":
        raise TypeError(f"high must be bfloat16 and rest int16; got {high.dtype} and {rest.dtype}")
    if tuple(high.shape) != tuple(rest.shape):
        raise ValueError(f"high has shape {tuple(high.shape)}, but rest has shape {tuple(rest.shape)}")
    xp, top, low = kind.xp, kind.from_floats(high), kind.from_floats(rest)
    magnitude, is_negative = top & 0x7FFF, low >> 15
    below_zero = (magnitude == 0) & (is_negative == 1)
    joined = ((xp.where(below_zero, kind.number(1), magnitude) - is_negative) << 16) | low
    joined = xp.where(below_zero, kind.number(0), xp.where(joined > INFINITY, kind.number(INFINITY), joined))
    joined = xp.where(magnitude > INFINITY >> 16, kind.number(0x7FC00000), joined)
    return kind.to_floats(joined | ((top & 0x8000) << 16), "float32", tuple(high.shape))
