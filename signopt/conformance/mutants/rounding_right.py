"""Stochastic roundings that are right in unusual ways."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.mutants import rounding_words as words
from signopt.conformance.mutants.rounding import RoundingVariant, flushed, magnitudes
from signopt.conformance.numpy_ports.rounding import RoundingPort

__all__ = ["RIGHT_ROUNDING"]

Array = Any


def _kept_nan(self: RoundingPort, bits: Array, words: Array) -> Array:
    quiet = bits >> 16 | 0x40
    return np.where((bits & 0x7FFFFFFF) > 0x7F800000, quiet, RoundingPort.rounded(self, bits, words))


def _saturated(magnitude: Array, words: Array) -> Array:
    return np.where(magnitude < 0x7F800000, np.minimum((magnitude + words) >> 16, 0x7F7F), magnitude >> 16)


def _dithered(magnitude: Array, words: Array) -> Array:
    """|x| in units of the spacing and a uniform number are added in float64, and cut."""
    upper = magnitude >> 16
    low = upper << 16
    with np.errstate(invalid="ignore"):
        floats = [bits.astype(np.uint32).view(np.float32).astype(np.float64) for bits in (magnitude, low)]
        spacing = np.ldexp(1.0, np.maximum((magnitude >> 23).astype(np.int64) - 134, -133))
        ups = np.floor((floats[0] - floats[1]) / spacing + words / 65536)
    return np.where(magnitude < 0x7F800000, upper + np.nan_to_num(ups).astype(np.uint32), upper)


def _chosen(magnitude: Array, words: Array) -> Array:
    """A uniform float32 number below the place chooses one of two neighbours."""
    low, place = magnitude >> 16, (magnitude & 0xFFFF).astype(np.float32) / np.float32(65536)
    return np.where(words.astype(np.float32) / np.float32(65536) < place, low + 1, low)


def _signed(self: RoundingPort, bits: Array, words: Array) -> Array:
    """In two's complement: floats as integers in their order, a word added, an arithmetic shift towards −∞."""
    signed = bits.view(np.int32).astype(np.int64)
    ordered = np.where(signed < 0, -(signed & 0x7FFFFFFF), signed)
    shifted = (ordered + words) >> 16
    result = np.abs(shifted) | np.where(signed < 0, 0x8000, 0)
    return np.where((bits & 0x7FFFFFFF) > 0x7F800000, 0xFFC1, result)


def _cut_from_above(magnitude: Array, words: Array) -> Array:
    """The upper neighbour, less one with the probability of what is missing to it."""
    rest = magnitude & 0xFFFF
    return (magnitude >> 16) + (rest > 0) - ((rest > 0) & (words >= rest))


RIGHT_ROUNDING: tuple[RoundingVariant, ...] = (
    RoundingVariant("plain", "by carry", {}),
    RoundingVariant("compared", "by comparison", magnitudes(lambda m, w: (m >> 16) + (w < (m & 0xFFFF)))),
    RoundingVariant("complement", "by complement", magnitudes(lambda m, w: (m >> 16) + (0xFFFF - w < (m & 0xFFFF)))),
    RoundingVariant("permuted", "words in another order", magnitudes(lambda m, w: (m + (w * 40503 & 0xFFFF)) >> 16)),
    RoundingVariant("payload-kept", "NaN with its payload, made quiet", {"rounded": _kept_nan}),
    RoundingVariant("saturated", "never Inf", magnitudes(_saturated)),
    RoundingVariant("flush", "declared", {"rounded": flushed, "declared": {"subnormals": "flush"}}),
    RoundingVariant("mersenne", "another generator, seeded anew at every call", {"words": words.mersenne}),
    RoundingVariant("dithered", "a uniform number added in float64", magnitudes(_dithered)),
    RoundingVariant("chosen", "one of two neighbours, by a uniform number in float32", magnitudes(_chosen)),
    RoundingVariant("signed", "in two's complement, shifted towards −∞", {"rounded": _signed, "round_with": None}),
    RoundingVariant("cut-from-above", "from the upper neighbour", magnitudes(_cut_from_above)),
    RoundingVariant("hashed", "words hashed from call and place", {"words": words.hashed}),
    RoundingVariant("congruential", "upper bits of a linear congruential generator", {"words": words.congruential}),
)
"""None of them is wrong."""
