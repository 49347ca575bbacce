"""Philox is Random123's, and the word of an element depends on nothing but its key and its place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from signopt.rounding import philox4x32, philox_words
from tests.rounding.libraries import LIBRARIES
from tests.thin import diagonal

KNOWN_ANSWERS = """
7  00000000 00000000 00000000 00000000 00000000 00000000 5f6fb709 0d893f64 4f121f81 4f730a48
7  ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 5207ddc2 45165e59 4d8ee751 8c52f662
7  243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 4dfccaba 190a87f0 c47362ba b6b5242a
10 00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8
10 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd
10 243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1
"""
"""Random123's kat_vectors: rounds, counter (4), key (2), output (4)."""

STREAM = {"seed": 0x0123456789ABCDEF, "step": 7, "tensor": 3}


LINES = KNOWN_ANSWERS.strip().splitlines()


@pytest.mark.parametrize(
    ("line", "library"),
    diagonal(LINES, LIBRARIES, also=lambda line, library: library != "dask"),
    ids=lambda value: value[:11],
)
@pytest.mark.one_in(4)
def test_known_answers(line, library):
    into, out_of = LIBRARIES[library]
    rounds, *words = line.split()
    numbers = [int(word, 16) for word in words]
    dtype = np.int64 if library == "torch" else np.uint32
    counter = [into(np.array([number], dtype)) for number in numbers[:4]]
    outputs = philox4x32(tuple(counter), tuple(numbers[4:6]), rounds=int(rounds))
    assert [int(out_of(output)[0]) for output in outputs] == numbers[6:]


def word(place, bits=16, *, seed, step, tensor):
    """The definition, one element at a time, in Python integers."""
    block, lane = divmod(place, 128 // bits)
    c, k = [block % 2**32, block >> 32, step, tensor], [seed % 2**32, seed >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b % 2**32, (a >> 32) ^ c[3] ^ k[1], a % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return sum(output << 32 * i for i, output in enumerate(c)) >> lane * bits & (1 << bits) - 1


OFFSETS = [0, 1, 8, 13, 2**32 - 5, 2**35 - 24, 12_345_678_901]


@pytest.mark.parametrize(
    ("library", "offset", "bits"),
    diagonal(LIBRARIES, OFFSETS, [16, 32], also=lambda library, *at: library != "dask" or at == (13, 32)),
)
@pytest.mark.one_in(4)
def test_words_are_those_of_the_definition(library, offset, bits):
    into, out_of = LIBRARIES[library]
    expected = [word(offset + i, bits, **STREAM) for i in range(19)]
    words = philox_words(19, offset=offset, bits=bits, like=into(np.zeros(19, np.float32)), **STREAM)
    assert out_of(words).tolist() == expected


@pytest.mark.parametrize("bits", [16, 32])
def test_places_one_by_one(bits):
    places = np.array([[2**35 - 1, 0], [17, 2**35]])
    expected = [word(int(place), bits, **STREAM) for place in places.ravel()]
    assert philox_words(4, offset=places, bits=bits, **STREAM).tolist() == expected


def test_step_and_offset_may_be_traced():
    def words(step, offset):
        return philox_words(50, seed=5, step=step, tensor=1, offset=offset, like=jnp.zeros(1))

    expected = philox_words(50, seed=5, step=9, tensor=1, offset=21)
    np.testing.assert_array_equal(jax.jit(words)(jnp.int32(9), jnp.int32(21)), expected)


@pytest.mark.parametrize("name", ["seed", "step", "tensor"])
def test_every_part_of_the_key_matters(name):
    same = philox_words(64, **STREAM)
    np.testing.assert_array_equal(philox_words(64, **STREAM), same)
    assert (philox_words(64, **STREAM | {name: STREAM[name] + 1}) != same).sum() > 60


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ({"seed": -1}, ValueError),
        ({"seed": 2**64}, ValueError),
        ({"step": 2**32}, ValueError),
        ({"tensor": 1.0}, TypeError),
        ({"step": True}, TypeError),
        ({"offset": None}, TypeError),
        ({"bits": 8}, ValueError),
    ],
)
def test_what_is_no_number_of_words_is_refused(argument, error):
    with pytest.raises(error, match=next(iter(argument))):
        philox_words(8, **argument)
