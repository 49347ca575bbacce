"""Numba's loops over words of 16 bits: whole vectors and what is left over, and the words themselves."""

import ml_dtypes
import numpy as np
import pytest

import signopt
from signopt.backends._numba_rounding import Draws, _draw
from signopt.rounding import philox_words
from signopt.rules.coefficients import Coefficients
from tests.bits import assert_same_bits

BFLOAT16 = ml_dtypes.bfloat16
EDGES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -3e-41, 3.39e38]


def numbers(size, seed):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(size) * 10.0 ** rng.integers(-6, 6, size)
    chosen = rng.integers(0, 32, size)
    for place, edge in enumerate(EDGES):
        values[chosen == place] = edge
    return values.astype(np.float32).astype(BFLOAT16)


def stepped(size, first, backend, momentum_dtype):
    """Parameter and momentum after two steps, whose element 0 is ``first`` places after an even address."""
    room = np.zeros(size + 8, BFLOAT16)
    room[first : first + size] = numbers(size, 1)
    opt = signopt.Lion(
        {"w": room[first : first + size]},
        lr=0.01,
        rounding="stochastic",
        seed=11,
        momentum_dtype=momentum_dtype,
        backend=backend,
    )
    with np.errstate(all="ignore"):
        for step in range(2):
            opt.step({"w": numbers(size, 5 + step)})
    assert not room[:first].any()
    assert not room[first + size :].any()
    return opt.params["w"], opt.momentum["w"]


@pytest.mark.parametrize("momentum_dtype", [None, "float32"])
def test_sizes_that_are_no_whole_vectors_at_odd_addresses(momentum_dtype):
    for size in (1, 31, 32, 33, 95, 4095, 4097, 4133, 9001):
        for first in (0, 1):
            wanted = stepped(size, first, "portable", momentum_dtype)
            got = stepped(size, first, "numba", momentum_dtype)
            for one, other in zip(got, wanted, strict=True):
                assert_same_bits(one, other)


@pytest.mark.parametrize("first", [0, 5, (1 << 32) - 3, (1 << 32) - 11, (1 << 33) - 8])
def test_words_on_both_sides_of_a_carry_of_the_block_number(first):
    room, fetched = np.zeros(4 * (21 + 8), np.uint32), np.zeros(1024, np.uint16)
    draws = Draws(np.uint32(5), np.uint32(7), np.uint32(3), np.zeros(1, np.int64))
    _draw(room.ctypes.data, first, 21, draws, 2, (fetched.ctypes.data,) * 3, (np.uint16(0),) * 3)
    for bits, words in ((32, room), (16, room.view(np.uint16))):
        per_block = 128 // bits
        wanted = philox_words(21 * per_block, seed=(7 << 32) | 5, step=3, tensor=2, offset=first * per_block, bits=bits)
        np.testing.assert_array_equal(words[: wanted.size], wanted)


def test_the_numbers_of_a_steady_run_are_rounded_once(monkeypatch):
    formed = []
    rounded = Coefficients.rounded
    monkeypatch.setattr(Coefficients, "rounded", lambda self, compute: formed.append(1) or rounded(self, compute))
    opt = signopt.Lion({"w": np.ones(64, BFLOAT16)}, rounding="stochastic", backend="numba")
    for _ in range(3):
        opt.step({"w": np.ones(64, BFLOAT16)})
    assert len(formed) == 1
    opt.lr = 0.5
    opt.step({"w": np.ones(64, BFLOAT16)})
    assert len(formed) == 2
