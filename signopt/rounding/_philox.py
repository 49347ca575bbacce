"""Philox4x32, the counter-based generator of Random123, and the random word of every element of a tensor."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from signopt._namespace import Array
from signopt.rounding._words import MASK, Words, words_of

__all__ = ["element_words", "philox4x32", "philox_words"]

HALF = 0xFFFF
M0, M1 = 0xD2511F53, 0xCD9E8D57
W0, W1 = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10
BLOCK_BITS = 128


def philox4x32(
    counter: tuple[Array, Array, Array, Array], key: tuple[int, int], rounds: int = ROUNDS
) -> tuple[Array, Array, Array, Array]:
    """Four random words below 2³² for a counter of four and a key of two: a bijection of the counter for every key.

    Products of 32 bits are made from halves of 16, so that no intermediate result reaches 2³² and the same lines run
    without 64-bit integers (JAX) and without unsigned arithmetic (torch).

    Parameters
    ----------
    counter : tuple of four
        Arrays that broadcast, of uint32 (torch: int64) with values below 2³², or integers.
    key : (int, int)
        Integers below 2³².
    rounds : int, default 10
        Random123 also publishes known answers for 7.

    References
    ----------
    Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC 2011, https://doi.org/10.1145/2063384.2063405

    Examples
    --------
    >>> from signopt.rounding import philox4x32
    >>> [f"{int(word):08x}" for word in philox4x32((0, 0, 0, 0), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = (np.uint32(c) if isinstance(c, int) else c for c in counter)
    k0, k1 = key
    for _ in range(rounds):
        high0, low0 = _product(c0, M0)
        high1, low1 = _product(c2, M1)
        c0, c1, c2, c3 = high1 ^ c1 ^ _beside(c1, k0), low1, high0 ^ c3 ^ _beside(c3, k1), low0
        k0, k1 = (k0 + W0) & MASK, (k1 + W1) & MASK
    return c0, c1, c2, c3


def _product(a: Array, m: int) -> tuple[Array, Array]:
    """The high and the low word of a·m."""
    a_low, a_high, m_low, m_high = a & HALF, a >> 16, m & HALF, m >> 16
    low, cross, other = a_low * m_low, a_low * m_high, a_high * m_low
    middle = (low >> 16) + (cross & HALF) + (other & HALF)
    return a_high * m_high + (cross >> 16) + (other >> 16) + (middle >> 16), ((middle & HALF) << 16) | (low & HALF)


def _beside(word: Array, value: int) -> Any:
    """``value`` as it may stand beside ``word``: JAX takes a bare Python integer for int32."""
    return getattr(word.dtype, "type", int)(value)


def philox_words(
    size: int,
    *,
    seed: int = 0,
    step: Any = 0,
    tensor: Any = 0,
    offset: Any = 0,
    bits: int = 16,
    like: Array | None = None,
) -> Array:
    """The random words of ``size`` elements of a tensor, from element ``offset`` on. With n = 128/bits::

        key     = seed mod 2³², seed div 2³²
        counter = (i div n) mod 2³², (i div n) div 2³², step, tensor
        word(i) = bits (i mod n)·bits … of the 128 that Philox4x32-10 gives, the first output lowest

    where i is the place of the element, in C order, in the *whole* tensor, from which follows that any piece of it has
    the words that the whole has.

    Parameters
    ----------
    size : int
        Number of words.
    seed : int, default 0
        Below 2⁶⁴.
    step, tensor : int or 0-d array, default 0
        Below 2³². As arrays they may be traced.
    offset : int or array, default 0
        The place of the first element, which may be traced if it is a 0-d array; or an array of the places of all.
    bits : {16, 32}, default 16
        16 for bfloat16, 32 for float16.
    like : array, optional
        An array of the library and device to use; NumPy by default.

    Returns
    -------
    array
        1-D, of uint32 (torch: int64), with values below 2**bits.

    Raises
    ------
    ValueError, TypeError
        For a number outside its range or no integer.

    Examples
    --------
    >>> from signopt.rounding import philox_words
    >>> philox_words(4).tolist(), philox_words(2, offset=2).tolist()
    ([59605, 26151, 50573, 57705], [50573, 57705])
    """
    words = words_of(np.empty(0) if like is None else like, "like")
    return element_words(
        words, _whole(size, "size", 64), like, bits, seed=seed, step=step, tensor=tensor, offset=offset
    )


def element_words(
    words: Words, size: int, like: Array | None, bits: int, *, seed: int, step: Any, tensor: Any, offset: Any
) -> Array:
    """:func:`philox_words` in the library of ``words``."""
    if bits not in (16, 32):
        raise ValueError(f"bits must be 16 or 32, got {bits!r}")
    seed = _whole(seed, "seed", 64)
    key = seed & MASK, seed >> 32
    stream = words.number(_whole(step, "step", 32)), words.number(_whole(tensor, "tensor", 32))
    offset = _whole(offset, "offset", 64)
    if not isinstance(offset, int) and offset.ndim:
        return _words_at(words, words.xp.reshape(offset, (-1,)), stream, key, bits)
    if like is not None and array_api_compat.is_dask_array(like):
        return _words_at(words, _dask_places(like, offset), stream, key, bits)
    return _words_from(words, size, offset, stream, key, bits, like)


def _words_from(words: Words, size: int, offset: Any, stream: Any, key: Any, bits: int, like: Array | None) -> Array:
    per_block = BLOCK_BITS // bits
    first, lane = offset // per_block, offset % per_block
    is_known = isinstance(offset, int)
    count = -(-(size + (lane if is_known else per_block - 1)) // per_block)
    start, high = (first & MASK, first >> 32) if is_known else (first, 0)
    start = words.number(start)
    low = (words.arange(count, like) + start) & words.number(MASK)
    carry = words.from_integers(low < start)
    step, tensor = (low - low + number for number in stream)
    out = words.xp.stack([*philox4x32((low, carry + words.number(high), step, tensor), key)], axis=-1)
    if bits == 16:
        out = words.xp.stack([out & HALF, out >> 16], axis=-1)
    out = words.xp.reshape(out, (-1,))
    return out[lane : lane + size] if is_known else words.xp.take(out, words.arange(size, like) + lane, axis=0)


def _words_at(words: Words, places: Array, stream: Any, key: Any, bits: int) -> Array:
    """The words of elements anywhere, one block for each."""
    per_block = BLOCK_BITS // bits
    block, lane = places // per_block, words.from_integers(places % per_block)
    is_wide = str(places.dtype).endswith("64")
    low = words.from_integers(block & MASK if is_wide else block)
    high = words.from_integers(block >> 32) if is_wide else low - low
    step, tensor = (low - low + number for number in stream)
    outputs = philox4x32((low, high, step, tensor), key)
    output = lane // (32 // bits)
    first, second = (words.xp.where(output % 2 == 0, outputs[i], outputs[i + 1]) for i in (0, 2))
    word = words.xp.where(output < 2, first, second)
    return word if bits == 32 else words.xp.where(lane % 2 == 0, word & HALF, word >> 16)


def _dask_places(like: Array, offset: int) -> Array:
    """The place of each element, flat and in the chunks that ``like`` has once it is flat."""
    dask = words_of(like, "like").xp
    chunks = dask.reshape(like, (-1,)).chunks
    return dask.arange(offset, offset + like.size, chunks=chunks, dtype=np.uint64)


def _whole(value: Any, name: str, bits: int) -> Any:
    """``value`` as a Python integer below 2**bits, or as it is if it is an array, which may be traced."""
    if isinstance(value, (bool, np.bool_, float, str, bytes)) or value is None:
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}: {value!r}")
    if not isinstance(value, (int, np.integer)):
        return value
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{name} must lie in [0, 2**{bits}), got {value}")
    return int(value)
