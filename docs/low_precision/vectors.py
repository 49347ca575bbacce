"""Vectors of stochastic rounding for ports in any language; printed, they are vectors.json."""

from __future__ import annotations

import json

import numpy as np

from signopt.rounding import philox4x32, philox_words, round_bfloat16, round_float16

KEYS = (
    ((0, 0, 0, 0), (0, 0)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)),
)
"""Those of Random123's known answers."""
STREAM = {"seed": 0x0123456789ABCDEF, "step": 7, "tensor": 3}
SPECIAL = [0, 1, 0x7FFFFF, 0x800000, 0x3F808000, 0x3F80FFFF, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FFFFFFF, 0x7FC00000]


def philox(rounds: int) -> list[dict[str, list[str]]]:
    """Counter, key and output in hexadecimal."""
    found = []
    for counter, key in KEYS:
        output = [int(word) for word in philox4x32(counter, key, rounds)]
        spelled = {"counter": counter, "key": key, "output": output}
        found.append({name: [f"{word:08x}" for word in words] for name, words in spelled.items()})
    return found


def triples(name: str) -> list[list[str]]:
    """Bits of x, word, bits of the result, in hexadecimal."""
    rounded, width = (round_bfloat16, 16) if name == "bfloat16" else (round_float16, 32)
    rng = np.random.default_rng(2)
    magnitudes = np.concatenate([np.repeat(np.array(SPECIAL, np.uint32), 4), rng.integers(0, 1 << 31, 156)])
    bits = magnitudes.astype(np.uint32) | (np.arange(200, dtype=np.uint32) % 2 << 31)
    words = rng.integers(0, 1 << width, 200).astype(np.uint32)
    words[: len(SPECIAL) * 4 : 4], words[2 : len(SPECIAL) * 4 : 4] = (1 << width) - 1, 0
    results = rounded(bits.view(np.float32), words).view(np.uint16)
    spelled = zip(bits.tolist(), words.tolist(), results.tolist(), strict=True)
    return [[f"{x:08x}", f"{word:0{width // 4}x}", f"{result:04x}"] for x, word, result in spelled]


def vectors() -> dict[str, object]:
    """All of them."""
    return {
        "philox4x32-7": philox(7),
        "philox4x32-10": philox(10),
        "words": {**STREAM, "offset": 13, "16": philox_words(64, offset=13, **STREAM).tolist()}
        | {"32": philox_words(64, offset=13, bits=32, **STREAM).tolist()},
        "bfloat16": triples("bfloat16"),
        "float16": triples("float16"),
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1))
