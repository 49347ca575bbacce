"""Rounding float32 to bfloat16 or float16 with a random word for each element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from signopt._namespace import Array, dtype_name
from signopt.rounding._philox import element_words
from signopt.rounding._words import MASK, Words, words_of

__all__ = ["round_bfloat16", "round_float16", "stochastic_bfloat16", "stochastic_float16"]

MAGNITUDE, INFINITY = 0x7FFFFFFF, 0x7F800000


def stochastic_bfloat16(x: Array, seed: int = 0, step: Any = 0, tensor: Any = 0, offset: Any = 0) -> Array:
    """Round float32 to bfloat16, up or down at random, so that the mean of the result is ``x``.

    Of the two bfloat16 numbers around an element the one further from zero is taken with the probability that is the
    element's place between them, exactly: :func:`round_bfloat16` with the words of :func:`philox_words`.

    Parameters
    ----------
    x : array
        float32, of any library but array-api-strict.
    seed, step, tensor, offset
        What the words are a function of, as in :func:`philox_words`. A model has one seed; steps count from 0; each
        tensor has a number of its own; ``offset`` is the place of ``x`` in a tensor that is sharded. An array that is
        no contiguous piece of its tensor passes an array of its shape with the place of each element.

    Returns
    -------
    array
        bfloat16, of the shape of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not float32.
    ValueError
        For a number outside its range.

    Examples
    --------
    The numbers around 1.001 are 1 and 1.0078125:

    >>> import numpy as np
    >>> import signopt
    >>> rounded = signopt.rounding.stochastic_bfloat16(np.full(100_000, 1.001, np.float32), seed=1).astype(np.float64)
    >>> np.unique(rounded), round(rounded.mean(), 4)
    (array([1.       , 1.0078125]), np.float64(1.001))
    """
    return _stochastic(x, round_bfloat16, 16, seed=seed, step=step, tensor=tensor, offset=offset)


def stochastic_float16(x: Array, seed: int = 0, step: Any = 0, tensor: Any = 0, offset: Any = 0) -> Array:
    """Round float32 to float16, up or down at random: :func:`round_float16` with words of 32 bits.

    Parameters, errors and the result are those of :func:`stochastic_bfloat16`. The mean is exact but for elements below
    2⁻³², whose probabilities are rounded down to a multiple of 2⁻³².
    """
    return _stochastic(x, round_float16, 32, seed=seed, step=step, tensor=tensor, offset=offset)


def round_bfloat16(x: Array, words: Array) -> Array:
    """Round float32 to bfloat16 with words u below 2¹⁶::

        result = sign | (|bits of x| + u) div 2¹⁶        any NaN: 0x7fc0

    So P(away from zero) = (bits of x mod 2¹⁶)/2¹⁶. The sign is kept apart, where no carry can reach it. ±0, ±Inf and
    every bfloat16 number stay as they are; above the largest one the upper neighbour is Inf, as it is in rounding to
    nearest.
    """
    return _rounded(x, words, _bfloat16_bits, "bfloat16")


def round_float16(x: Array, words: Array) -> Array:
    """Round float32 to float16 with words u below 2³²: away from zero if f·2³² + u ≥ 2³².

    f is the place of ``x`` between its two neighbours, as a multiple of 2⁻³² rounded down, which is exact down to
    magnitude 2⁻³²; any NaN becomes 0x7e00, and from 65 536 on all is Inf.
    """
    return _rounded(x, words, _float16_bits, "float16")


def _stochastic(x: Array, rounded: Callable[[Array, Array], Array], bits: int, **key: Any) -> Array:
    words = words_of(x, "x")
    if getattr(key["offset"], "ndim", 0) and tuple(key["offset"].shape) != tuple(x.shape):
        raise ValueError(f"offset has shape {tuple(key['offset'].shape)}, but x has shape {tuple(x.shape)}")
    size = 1
    for length in x.shape:
        size *= length
    return rounded(x, words.xp.reshape(element_words(words, size, x, bits, **key), tuple(x.shape)))


def _rounded(x: Array, words: Array, bits: Callable[[Words, Array, Array], Array], name: str) -> Array:
    kind = words_of(x, "x")
    if dtype_name(x) != "float32":
        raise TypeError(f"x must be float32, the dtype in which updates are computed; got {x.dtype}")
    if tuple(words.shape) != tuple(x.shape):
        raise ValueError(
            f"words has shape {tuple(words.shape)}, but x has shape {tuple(x.shape)}: one for each element"
        )
    flat = kind.from_integers(kind.xp.reshape(words, (-1,)))
    return kind.to_floats(bits(kind, kind.from_floats(x), flat), name, tuple(x.shape))


def _bfloat16_bits(kind: Words, bits: Array, words: Array) -> Array:
    magnitude = bits & MAGNITUDE
    rounded = ((magnitude + words) >> 16) | _sign(bits)
    return kind.xp.where(magnitude > INFINITY, kind.number(0x7FC0), rounded)


def _float16_bits(kind: Words, bits: Array, words: Array) -> Array:
    """A result has the bits of x above the lowest ``dropped`` of its significand, which make f."""
    xp = kind.xp
    magnitude = bits & MAGNITUDE
    exponent = magnitude >> 23
    significand = (magnitude & 0x7FFFFF) + ((exponent > 0) * kind.number(0x800000))
    dropped = 126 - xp.clip(exponent, 1, 113)
    is_normal = exponent >= 113
    below = xp.where(
        is_normal, (xp.clip(magnitude, 113 << 23, None) >> 13) - (112 << 10), significand >> xp.clip(dropped, None, 31)
    )
    near = (significand << (32 - xp.clip(dropped, None, 32))) & kind.number(MASK)
    far = significand >> xp.clip(xp.clip(dropped, 32, None) - 32, None, 31)
    fraction = xp.where(dropped <= 32, near, far)
    rounded = below + kind.from_integers(words > (fraction ^ kind.number(MASK)))
    rounded = xp.where(magnitude >= 0x47800000, kind.number(0x7C00), rounded) | _sign(bits)
    return xp.where(magnitude > INFINITY, kind.number(0x7E00), rounded)


def _sign(bits: Array) -> Array:
    return (bits >> 16) & 0x8000
