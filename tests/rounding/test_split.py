"""Two halves hold all of a float32 number, and training in halves is training in float32."""

import ml_dtypes
import numpy as np
import pytest

import signopt
from signopt.rounding import join, split
from tests.bits import assert_same_bits
from tests.rounding.libraries import LIBRARIES

BFLOAT16 = ml_dtypes.bfloat16


@pytest.mark.parametrize("high", [0, 1, 0x7F, 0x80, 0x3F80, 0x4049, 0x7F7F, 0x7F80, 0x7FFF])
@pytest.mark.parametrize("sign", [0, 0x8000])
def test_nothing_is_lost(high, sign):
    x = ((high | sign) << 16 | np.arange(2**16, dtype=np.uint32)).astype(np.uint32).view(np.float32)
    p, rest = split(x)
    assert (p.dtype, rest.dtype) == (BFLOAT16, np.int16)
    assert_same_bits(join(p, rest), x)


def test_the_high_half_is_the_nearest_bfloat16():
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32)
    bits = bits[(bits & 0xFFFF) != 0x8000]
    x = bits.view(np.float32)
    with np.errstate(all="ignore"):
        assert_same_bits(split(x)[0], x.astype(BFLOAT16))


def test_a_tie_goes_away_from_zero():
    x = np.array([0x3F808000, 0xBF808000, 0x3F818000], np.uint32).view(np.float32)
    high, rest = split(x)
    assert high.view(np.uint16).tolist() == [0x3F81, 0xBF81, 0x3F82]
    assert rest.tolist() == [-(2**15)] * 3


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_library_gives_the_same_bits(library):
    into, out_of = LIBRARIES[library]
    x = np.random.default_rng(1).integers(0, 2**32, (41, 23), dtype=np.uint32).view(np.float32)
    halves = split(into(x))
    for actual, expected in zip(halves, split(x), strict=True):
        assert_same_bits(out_of(actual), expected)
    assert_same_bits(out_of(join(*halves)), x)


@pytest.mark.parametrize(
    ("high", "rest", "joined"),
    [(0.0, -5, 0.0), (-0.0, -5, -0.0), (np.inf, 7, np.inf), (-np.inf, 7, -np.inf), (np.nan, 7, np.nan)],
)
def test_an_assigned_high_half_does_no_harm(high, rest, joined):
    result = join(np.array([high], BFLOAT16), np.array([rest], np.int16))
    assert_same_bits(result, np.array([joined], np.float32))


def test_lion_in_halves_is_lion_in_float32():
    rng = np.random.default_rng(2)
    whole = rng.standard_normal(5000).astype(np.float32)
    halves, momentum, other = split(whole), np.zeros(5000, np.float32), np.zeros(5000, np.float32)
    for _ in range(100):
        grad = rng.standard_normal(5000).astype(np.float32)
        whole, momentum = signopt.lion(whole, grad, momentum, weight_decay=0.1)
        stepped, other = signopt.lion(join(*halves), grad, other, weight_decay=0.1)
        halves = split(stepped)
    assert_same_bits(join(*halves), whole)


def test_bad_arguments():
    with pytest.raises(TypeError, match="float32"):
        split(np.ones(3))
    with pytest.raises(TypeError, match="bfloat16 and rest int16"):
        join(np.ones(3, np.float32), np.ones(3, np.int16))
    with pytest.raises(ValueError, match="shape"):
        join(np.ones(3, BFLOAT16), np.ones(4, np.int16))
