"""Stochastic rounding is what its definition says, on every library, for every piece of a tensor."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from signopt.rounding import (
    philox_words,
    round_bfloat16,
    round_float16,
    stochastic_bfloat16,
    stochastic_float16,
)
from tests.bits import assert_same_bits
from tests.rounding.libraries import LIBRARIES
from tests.thin import diagonal

BFLOAT16 = ml_dtypes.bfloat16
FORMATS = {"bfloat16": (stochastic_bfloat16, BFLOAT16), "float16": (stochastic_float16, np.float16)}
STREAM = {"seed": 0x0123456789ABCDEF, "step": 7, "tensor": 3}


def patterns(size, seed=0):
    """Random bit patterns, among them every kind of number."""
    bits = np.random.default_rng(seed).integers(0, 2**32, size, dtype=np.uint32)
    bits.flat[: len(SPECIAL)] = SPECIAL
    return bits.view(np.float32)


SPECIAL = np.array(
    [0, 1, 0x007FFFFF, 0x00800000, 0x3F800000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF], np.uint32
)
SPECIAL = np.concatenate([SPECIAL, SPECIAL | np.uint32(0x80000000)])


@pytest.mark.parametrize("high", [0x0000, 0x007F, 0x3F80, 0x7F7F, 0xBF80, 0x8000, 0xFF7F])
@pytest.mark.parametrize("low", [0, 1, 2, 0x7FFF, 0x8000, 0x8001, 0xABCD, 0xFFFF])
def test_of_all_words_exactly_low_go_away_from_zero(high, low):
    words = np.arange(2**16, dtype=np.uint32)
    x = np.full(2**16, high << 16 | low, np.uint32).view(np.float32)
    result = round_bfloat16(x, words).view(np.uint16)
    assert (result == high + 1).sum() == low
    assert (result == high).sum() == 2**16 - low


@pytest.mark.parametrize("word", [0, 1, 0x7FFF, 0xFFFF])
def test_what_bfloat16_has_stays(word):
    high = np.arange(2**16, dtype=np.uint32)
    result = round_bfloat16((high << 16).view(np.float32), np.full_like(high, word)).view(np.uint16)
    is_nan = (high & 0x7FFF) > 0x7F80
    np.testing.assert_array_equal(result, np.where(is_nan, 0x7FC0, high))


@pytest.mark.parametrize("pattern", [0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 0xFF800001, 0x7FC00000])
def test_no_word_ends_a_nan(pattern):
    words = np.arange(2**16, dtype=np.uint32)
    x = np.full(2**16, pattern, np.uint32).view(np.float32)
    assert (round_bfloat16(x, words).view(np.uint16) == 0x7FC0).all()
    assert (round_float16(x, words * 65537).view(np.uint16) == 0x7E00).all()


def expected_float16(x, word):
    """The definition in exact arithmetic."""
    if np.isnan(x):
        return 0x7E00
    sign, magnitude = 0x8000 * bool(np.signbit(x)), abs(float(x))
    if magnitude >= 65536:
        return 0x7C00 | sign
    below = int(np.searchsorted(HALVES, magnitude, side="right")) - 1
    low, high = (Fraction(float(HALVES[i])) for i in (below, below + 1))
    fraction = int((Fraction(magnitude) - low) / (high - low) * 2**32)
    return below + (fraction + int(word) >= 2**32) | sign


HALVES = np.append(np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64), 65536.0)


def test_float16_is_its_definition():
    rng = np.random.default_rng(4)
    sizes = (10.0 ** rng.integers(-14, 5, 2000)).astype(np.float32)
    x = np.concatenate([patterns(1000), rng.standard_normal(2000, np.float32) * sizes])
    for words in (rng.integers(0, 2**32, x.size, dtype=np.uint32), np.full(x.size, 2**32 - 1, np.uint32)):
        expected = [expected_float16(number, word) for number, word in zip(x, words, strict=True)]
        np.testing.assert_array_equal(round_float16(x, words).view(np.uint16), expected)


@pytest.mark.parametrize(
    ("name", "library"), diagonal(FORMATS, LIBRARIES, also=lambda name, library: library != "dask")
)
@pytest.mark.one_in(4)
def test_every_library_gives_the_same_bits(name, library):
    function, dtype = FORMATS[name]
    into, out_of = LIBRARIES[library]
    x = patterns((41, 23))
    rounded = {"bfloat16": round_bfloat16, "float16": round_float16}[name]
    words = philox_words(x.size, bits=16 if name == "bfloat16" else 32, **STREAM).reshape(x.shape)
    result = out_of(function(into(x), **STREAM))
    assert result.dtype == dtype
    assert_same_bits(result, rounded(x, words))


@pytest.mark.parametrize("name", FORMATS)
def test_any_cut_gives_the_bits_of_the_whole(name):
    function, _ = FORMATS[name]
    x = patterns(10_007)
    whole = function(x, **STREAM)
    cuts = np.sort(np.random.default_rng(1).integers(0, x.size, 37))
    starts = [0, *cuts.tolist()]
    pieces = [function(piece, offset=start, **STREAM) for piece, start in zip(np.split(x, cuts), starts, strict=True)]
    assert_same_bits(np.concatenate(pieces), whole)


def test_a_shard_of_columns_has_the_bits_of_the_whole():
    x = patterns((40, 30))
    places = np.arange(x.size).reshape(x.shape)
    shard = stochastic_bfloat16(x[:, 10:20], offset=places[:, 10:20], **STREAM)
    assert_same_bits(shard, stochastic_bfloat16(x, **STREAM)[:, 10:20])


def test_the_mean_is_the_number():
    x = np.full(1 << 20, 1.001, np.float32)
    up = (stochastic_bfloat16(x, seed=3).astype(np.float32) > 1).sum()
    probability = (int(x[:1].view(np.uint32)[0]) & 0xFFFF) / 2**16
    assert abs(up - x.size * probability) < 8 * (x.size * probability * (1 - probability)) ** 0.5


@pytest.mark.parametrize("shape", [(), (0, 3), (2, 0)])
def test_shapes(shape):
    assert stochastic_bfloat16(np.ones(shape, np.float32)).shape == shape
    assert stochastic_float16(np.ones(shape, np.float32)).shape == shape


@pytest.mark.parametrize("function", [stochastic_bfloat16, stochastic_float16])
def test_the_input_stays_as_it_was(function):
    x = patterns((7, 5))
    x.flags.writeable = False
    before = x.copy()
    assert not np.shares_memory(function(x), x)
    assert_same_bits(x, before)


def test_bad_arguments():
    with pytest.raises(TypeError, match="float32"):
        stochastic_bfloat16(np.ones(3))
    with pytest.raises(ValueError, match="one for each element"):
        round_bfloat16(np.ones(3, np.float32), np.zeros(4, np.uint32))
    with pytest.raises(ValueError, match="offset has shape"):
        stochastic_bfloat16(np.ones(3, np.float32), offset=np.zeros(4, np.int64))
