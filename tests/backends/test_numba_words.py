"""Numba's loops over random words: whole vectors and what is left over, and the words themselves."""

import ml_dtypes
import numba
import numpy as np
import pytest

import signopt
from signopt.backends._numba_kernels import CHUNK
from signopt.backends._numba_rounding import Draws, _draw, write
from signopt.backends._numba_vectors import AT_ONCE, put_by_words, taken
from signopt.rounding import philox_words, round_bfloat16, round_float16
from signopt.rules.coefficients import Coefficients
from tests.bits import assert_same_bits

BFLOAT16 = ml_dtypes.bfloat16
EDGES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -3e-41, 3.39e38]


def numbers(size, seed, dtype):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(size) * 10.0 ** rng.integers(-6, 6, size)
    chosen = rng.integers(0, 32, size)
    for place, edge in enumerate(EDGES):
        values[chosen == place] = edge
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(dtype)


def stepped(size, first, backend, dtype, momentum_dtype):
    """Parameter and momentum after two steps, whose element 0 is ``first`` places after an even address."""
    room = np.zeros(size + 8, dtype)
    room[first : first + size] = numbers(size, 1, dtype)
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
            opt.step({"w": numbers(size, 5 + step, dtype)})
    assert not room[:first].any()
    assert not room[first + size :].any()
    return opt.params["w"], opt.momentum["w"]


@pytest.mark.parametrize("momentum_dtype", [None, "float32"])
@pytest.mark.parametrize("dtype", [BFLOAT16, np.float16])
@pytest.mark.one_in(4)
def test_sizes_that_are_no_whole_vectors_at_odd_addresses(dtype, momentum_dtype):
    for size in (1, 31, 32, 33, 95, 4095, 4097, 4133, 9001, CHUNK + 37):
        for first in (0, 1):
            wanted = stepped(size, first, "portable", dtype, momentum_dtype)
            got = stepped(size, first, "numba", dtype, momentum_dtype)
            for one, other in zip(got, wanted, strict=True):
                assert_same_bits(one, other)


ROUNDED = {"bfloat16": (round_bfloat16, np.uint16), "float16": (round_float16, np.uint32)}
WORDS, TURN = 16, 2
"""So many words for each number, of which the first from whose next one on it goes away from zero has this place."""
STORED = {"bfloat16": np.uint16, "float16": np.int16}


@numba.njit(error_model="numpy")
def stored_in_vectors(room, words, x):
    for i in range(len(room) // AT_ONCE):
        one, other = taken(x, i, room)
        put_by_words(room, words, i, one, other)


@numba.njit(error_model="numpy")
def stored_one_by_one(room, words, x, like):
    for i in range(len(room)):
        write(room, words, i, x[i], like)


def numbers_and_words(name):
    """Numbers of every exponent and sign, each with the words at which its rounding turns, and with others."""
    low = np.array([0, 1, 0xFFF, 0x1000, 0x1FFF, 0x2000, 0x8000, 0x8001, 0x2A5A5A, 0x7FE000, 0x7FFFFF], np.uint32)
    bits = (np.arange(512, dtype=np.uint32)[:, None] << 23 | low).ravel()
    x, width = bits.view(np.float32), 16 if name == "bfloat16" else 32
    turns = 2**width - 1 - rest(np.where(np.isfinite(x), np.abs(x), 0).astype(np.float64), name, width)
    random = np.random.default_rng(3).integers(0, 2**width, (bits.size, WORDS - 7))
    near, ends = turns[:, None] + np.arange(-TURN, 3), np.full((bits.size, 2), [0, 2**width - 1])
    words = np.concatenate([near, random, ends], axis=1)
    return np.repeat(x, WORDS), words.clip(0, 2**width - 1).ravel()


def rest(magnitude, name, width):
    """By how many units of 2**-width of the spacing a number is above the neighbour that is nearer to zero."""
    digits, least = (8, -133) if name == "bfloat16" else (11, -24)
    spacing = np.ldexp(1.0, np.maximum(np.frexp(magnitude)[1] - digits, least))
    return np.floor(magnitude / spacing % 1 * 2.0**width).astype(np.int64)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_vectors_and_elements_are_rounded_as_defined_at_every_turn_of_a_word(name):
    x, words = numbers_and_words(name)
    function, kind = ROUNDED[name]
    wanted = function(x, words.astype(np.uint32)).view(STORED[name])
    turned = np.diff(wanted.reshape(-1, WORDS)[:, TURN : TURN + 2].astype(np.int64))[:, 0] == 1
    within = np.abs(x[::WORDS]) < (65536 if name == "float16" else np.inf)
    np.testing.assert_array_equal(turned, within & (words.reshape(-1, WORDS)[:, TURN] < words.max()))
    like = STORED[name](0)
    for seed in (0, 1):  # so that what is rare stands beside what is not, and alone
        order = np.random.default_rng(seed).permutation(x.size) if seed else np.arange(x.size)
        rooms = np.zeros((2, x.size), STORED[name])
        stored_in_vectors(rooms[0], words[order].astype(kind), x[order])
        stored_one_by_one(rooms[1], words[order].astype(kind), x[order], like)
        for room in rooms:
            np.testing.assert_array_equal(room, wanted[order])


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
