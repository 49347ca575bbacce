"""The published vectors of stochastic rounding are what the definitions give."""

import json
from pathlib import Path

import numpy as np

from tests.rounding.test_philox import KNOWN_ANSWERS, word
from tests.rounding.test_stochastic import expected_float16

VECTORS = json.loads((Path(__file__).parents[2] / "docs" / "low_precision" / "vectors.json").read_text())


def test_philox_is_random123s():
    lines = [line.split() for line in KNOWN_ANSWERS.strip().splitlines()]
    for rounds in ("7", "10"):
        wanted = [line[1:] for line in lines if line[0] == rounds]
        got = [each["counter"] + each["key"] + each["output"] for each in VECTORS[f"philox4x32-{rounds}"]]
        assert got == wanted


def test_words():
    words = VECTORS["words"]
    stream = {name: words[name] for name in ("seed", "step", "tensor")}
    for bits in (16, 32):
        assert words[str(bits)] == [word(words["offset"] + i, bits, **stream) for i in range(64)]


def test_bfloat16():
    for x, word_, result in VECTORS["bfloat16"]:
        bits, magnitude = int(x, 16), int(x, 16) & 0x7FFFFFFF
        wanted = (magnitude + int(word_, 16) >> 16) | (bits >> 16 & 0x8000)
        assert int(result, 16) == (0x7FC0 if magnitude > 0x7F800000 else wanted)


def test_float16():
    for x, word_, result in VECTORS["float16"]:
        number = np.array([int(x, 16)], np.uint32).view(np.float32)[0]
        assert int(result, 16) == expected_float16(number, int(word_, 16))
