"""Stochastic roundings with one known bug each, those of published libraries among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from signopt.conformance.mutants import rounding_words as words
from signopt.conformance.numpy_ports.rounding import RoundingPort

__all__ = ["ROUNDING", "RoundingVariant", "flushed", "magnitudes"]

Array = Any
ALL = np.uint32(0xFFFF0000)


@dataclass(frozen=True)
class RoundingVariant:
    """A port of stochastic rounding that differs from the plain one in a few pieces."""

    rule: ClassVar[str] = "stochastic-rounding"
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)
    """Of what is rounded."""

    id: str
    summary: str
    pieces: Mapping[str, Any] = field(repr=False)
    source: str = ""

    def __call__(self, seed: int = 1) -> RoundingPort:
        """A fresh port."""
        made: type[RoundingPort] = type(
            self.id, (RoundingPort,), {"label": f"stochastic-rounding {self.id}", "seed": seed, **self.pieces}
        )
        return made()


def _torchao(self: RoundingPort, bits: Array, words: Array) -> Array:
    cut = bits & ALL
    return np.where(words < (bits & 0xFFFF), cut + np.uint32(0x10000), cut) >> 16


def _added(self: RoundingPort, bits: Array, words: Array) -> Array:
    return ((bits + words.astype(np.uint32)) & ALL) >> 16


def _llmc(self: RoundingPort, bits: Array, words: Array) -> Array:
    up = (bits & 0xFFFF) > words
    is_nan = (bits & 0x7FFFFFFF) > 0x7F800000
    return np.where(up, np.where(is_nan, bits >> 16 | 0x7FFF, (bits >> 16) + 1), bits >> 16)


def _dither_rounded(self: RoundingPort, magnitude: Array, words: Array) -> Array:
    return (magnitude.astype(np.int64) + words).clip(0) >> 16


def _at_most(self: RoundingPort, magnitude: Array, words: Array) -> Array:
    return (magnitude >> 16) + (words <= (magnitude & 0xFFFF))


def _of_value(self: RoundingPort, bits: Array, words: Array) -> Array:
    hashed = (bits * np.uint32(0x9E3779B9)) >> np.uint32(16)
    return RoundingPort.rounded(self, bits, hashed)


def _tail(width: int) -> dict[str, Any]:
    def rounded(self: RoundingPort, bits: Array, words: Array) -> Array:
        words = words.copy()
        words[bits.size // width * width :] = 0x7FFF + (bits[bits.size // width * width :] >> 16 & 1)
        return RoundingPort.rounded(self, bits, words)

    return {"rounded": rounded}


def _up(self: RoundingPort, bits: Array, words: Array) -> Array:
    """Towards +∞ with the probability that is meant for away from zero."""
    low = bits & 0xFFFF
    turned = (bits >> 16) + ((low > 0) & (words >= low))
    is_negative = (bits > 0x80000000) & (bits <= 0xFF800000)
    return np.where(is_negative, turned, RoundingPort.rounded(self, bits, words))


def flushed(self: RoundingPort, bits: Array, words: Array) -> Array:
    """Subnormals become 0."""
    result = RoundingPort.rounded(self, bits, words)
    return np.where((bits & 0x7F800000) == 0, result & 0x8000, result)


def _positive_zero(self: RoundingPort, bits: Array, words: Array) -> Array:
    result = RoundingPort.rounded(self, bits, words)
    return np.where(result == 0x8000, 0, result)


def _inf_to_nan(self: RoundingPort, bits: Array, words: Array) -> Array:
    result = RoundingPort.rounded(self, bits, words)
    return np.where((result & 0x7FFF) == 0x7F80, result | 0x40, result)


def _nan_zero(self: RoundingPort, bits: Array, words: Array) -> Array:
    return np.where((bits & 0x7FFFFFFF) > 0x7F800000, 0, RoundingPort.rounded(self, bits, words))


def _signless_nan(self: RoundingPort, bits: Array, words: Array) -> Array:
    return np.where(bits > 0xFF800000, _added(self, bits, words), RoundingPort.rounded(self, bits, words))


def _no_last_word_below_zero(self: RoundingPort, bits: Array, words: Array) -> Array:
    return RoundingPort.rounded(self, bits, np.where(bits >> 31 == 1, np.minimum(words, 0xFFFE), words))


def _below_powers(magnitude: Array, words: Array) -> Array:
    is_below = ((magnitude >> 16 & 0x7F) == 0x7F) & ((magnitude >> 23) % 2 == 0)
    return (magnitude + np.where(is_below, words >> 1, words)) >> 16


def _block_exponent(self: RoundingPort, magnitude: Array, words: Array) -> Array:
    exponents = magnitude >> 23
    blocks = np.resize(exponents, (-(-exponents.size // 32), 32))
    lowest = np.repeat(blocks.min(axis=1, initial=0xFF), 32)[: exponents.size]
    return (magnitude + (words >> np.minimum(exponents - lowest, 31))) >> 16


def _strided_nearest(self: RoundingPort, x: Array) -> Array:
    if x.flags.c_contiguous:
        return RoundingPort.round(self, x)
    return self.round_with(x, 0x7FFF + (np.ascontiguousarray(x).view(np.uint32) >> 16 & 1))


def _strides_ignored(self: RoundingPort, x: Array) -> Array:
    if x.flags.c_contiguous or any(stride < 0 for stride in x.strides):
        return RoundingPort.round(self, x)
    return RoundingPort.round(self, np.lib.stride_tricks.as_strided(x, (x.size,), (x.itemsize,)).reshape(x.shape))


def _first_nearest(self: RoundingPort, x: Array) -> Array:
    if self.calls:
        return RoundingPort.round(self, x)
    self.calls = 1
    return self.round_with(x, np.full(np.shape(x), 0x7FFF, np.uint32))


def _nan_of_numpy(self: RoundingPort, bits: Array, words: Array) -> Array:
    return np.where(bits == 0x7FC00000, 0x7FC0, _added(self, bits, words))


def _cut_nan(self: RoundingPort, bits: Array, words: Array) -> Array:
    return np.where((bits & 0x7F800000) == 0x7F800000, bits >> 16, RoundingPort.rounded(self, bits, words))


def _two_ulps(self: RoundingPort, magnitude: Array, words: Array) -> Array:
    return (magnitude >> 16) + 2 * (words < (magnitude & 0xFFFF) // 2)


def magnitudes(change: Callable[[Array, Array], Array]) -> dict[str, Any]:
    """The pieces of a port that rounds finite magnitudes in another way."""
    return {"carried": lambda self, magnitude, words: change(magnitude, words)}


def _no_carry(magnitude: Array, words: Array) -> Array:
    sum_ = magnitude + words
    return np.where(sum_ >> 23 != magnitude >> 23, magnitude >> 16, sum_ >> 16)


def _nearest_if(where: Callable[[Array], Array]) -> dict[str, Any]:
    """Rounding to nearest of the magnitudes that ``where`` picks."""

    def carried(self: RoundingPort, magnitude: Array, words: Array) -> Array:
        usual = RoundingPort.carried(self, magnitude, words)
        return np.where(where(magnitude), (magnitude + 0x7FFF + (magnitude >> 16 & 1)) >> 16, usual)

    return {"carried": carried}


def _small_nearest(self: RoundingPort, x: Array) -> Array:
    if np.size(x) >= 16:
        return RoundingPort.round(self, x)
    self.calls += 1
    return np.asarray(x).astype("bfloat16")


TORCHAO = "https://github.com/pytorch/ao/blob/main/torchao/optim/quant_utils.py"
PYTORCH = "https://github.com/pytorch/pytorch/issues/120376"
HEAVYBALL = "https://github.com/HomebrewML/HeavyBall/blob/main/heavyball/utils.py"
LLMC = "https://github.com/karpathy/llm.c/blob/master/llmc/cuda_utils.cuh"
DEEPSPEED = "https://github.com/deepspeedai/DeepSpeed/blob/master/csrc/fp_quantizer/fp_quantize_impl.cu"

_TABLE: tuple[tuple[Any, ...], ...] = (
    ("torchao", "no test for NaN: 7fffffff, which CUDA makes, becomes −0", {"rounded": _torchao}, TORCHAO),
    ("added", "(bits + word) & ffff0000: the carry of a NaN goes through the sign", {"rounded": _added}, PYTORCH),
    ("llm.c", "a NaN with a small payload becomes Inf", {"rounded": _llmc}, LLMC),
    (
        "dither-two",
        "two words added: what bfloat16 has moves",
        {"words": words.dithered, "carried": _dither_rounded},
        HEAVYBALL,
    ),
    ("poisson", "words of a Poisson distribution", {"words": words.poisson}, DEEPSPEED),
    ("nearest", "rounding to nearest even", magnitudes(lambda m, w: (m + 0x7FFF + (m >> 16 & 1)) >> 16)),
    ("truncated", "towards zero", magnitudes(lambda m, w: m >> 16)),
    ("away", "away from zero", magnitudes(lambda m, w: (m + 0xFFFF) >> 16)),
    ("at-most", "word ≤ rest for word < rest", {"carried": _at_most}),
    ("words-65535", "words below 65 535", words.drawn(0, 65535)),
    ("words-from-1", "words from 1", words.drawn(1, 65536)),
    ("words-8", "words of 8 bits in the upper half", words.drawn(0, 256, 8)),
    ("words-8-low", "words of 8 bits in the lower half", words.drawn(0, 256)),
    ("words-15", "words of 15 bits", words.drawn(0, 1 << 15)),
    ("words-12", "words of 12 bits in the upper half", words.drawn(0, 4096, 4)),
    (
        "triangular",
        "the mean of two words",
        words.drawn_by(lambda rng, n: rng.integers(0, 1 << 16, (2, n)).sum(0) // 2),
    ),
    (
        "normal",
        "normal noise",
        words.drawn_by(lambda rng, n: rng.normal(32768, 16384, n).clip(0, 65535).astype(np.uint32)),
    ),
    ("fair-coin", "up or down by a coin", magnitudes(lambda m, w: (m >> 16) + ((m & 0xFFFF > 0) & (w >> 15)))),
    ("constant-seed", "the same words at every call", {"words": words.constant_seed}),
    ("two-seeds", "the words of the call before last", {"words": words.counter_seed}),
    ("stale", "the words of one tensor again for the next", {"words": words.stale}),
    ("shifted", "one stream, a place further at every call", {"words": words.shifted}),
    ("one-word", "one word for a whole tensor", {"words": words.one_word}),
    ("repeated-8", "eight words over and over", words.repeated(8)),
    ("repeated-256", "256 words over and over: one for each thread of a block", words.repeated(256)),
    ("repeated-65536", "65 536 words over and over", words.repeated(65536)),
    ("pairs", "each word for two elements", words.drawn_by(words.in_pairs)),
    ("antithetic", "each second word the complement of the first", {"words": words.antithetic}),
    ("of-value", "words made from the value", {"rounded": _of_value}),
    ("tail-8", "what is left of a multiple of 8 rounded to nearest", _tail(8)),
    ("tail-4", "what is left of a multiple of 4 rounded to nearest", _tail(4)),
    ("tail-256", "what is left of a multiple of 256 rounded to nearest", _tail(256)),
    ("up", "the probabilities of negative numbers turned round", {"rounded": _up}),
    ("flushed", "subnormals become 0, and nothing says so", {"rounded": flushed}),
    ("positive-zero", "−0 becomes 0", {"rounded": _positive_zero}),
    ("inf-nan", "Inf becomes NaN", {"rounded": _inf_to_nan}),
    ("nan-zero", "NaN becomes 0", {"rounded": _nan_zero}),
    ("negative-nan", "only positive NaN is looked for", {"rounded": _signless_nan}),
    ("numpys-nan", "only the NaN 7fc00000 is looked for", {"rounded": _nan_of_numpy}),
    ("nan-cut", "NaN is cut: with a small payload it becomes Inf", {"rounded": _cut_nan}),
    ("two-units", "two units with half the probability", {"carried": _two_ulps}),
    ("nearest-large", "numbers above 1e30 rounded to nearest", _nearest_if(lambda m: m > 0x7149F2CA)),
    (
        "nearest-small",
        "normal numbers below 1e-30 rounded to nearest",
        _nearest_if(lambda m: (m < 0x0DA24260) & (m >= 0x00800000)),
    ),
    ("nearest-few", "tensors of fewer than 16 elements rounded to nearest", {"round": _small_nearest}),
    ("repeated-24-apart", "each word again 24 places further", words.drawn_by(words.apart(24))),
    ("repeated-3000-apart", "each word again 3000 places further", words.drawn_by(words.apart(3000))),
    ("sixteen-seeds", "the words of the sixteenth call before", words.seed_of(16)),
    ("stale-eighths", "each eighth word that of the call before", {"words": words.eighths_kept}),
    ("tail-1024", "what is left of a multiple of 1024 truncated, in larger tensors", {"words": words.tail_of_large}),
    ("sign-dependent", "the largest word left out for negative numbers", {"rounded": _no_last_word_below_zero}),
    ("digits", "half the probability below every other power of two", magnitudes(_below_powers)),
    ("block-exponent", "noise of the smallest exponent among 32 elements", {"carried": _block_exponent}),
    ("strided-nearest", "arrays with gaps or of another order rounded to nearest", {"round": _strided_nearest}),
    ("strides-ignored", "an array with gaps or of another order read in a row", {"round": _strides_ignored}),
    ("warm-up", "the first call rounded to nearest", {"round": _first_nearest}),
    ("leading-axes", "one set of words for all of the first two of four axes", {"round": words.of_leading_axes}),
    ("lanes-shared", "one word for the upper half of sixteen lanes", words.drawn_by(words.lanes_shared)),
    ("stratified", "words that are spread evenly over 4096 elements", words.drawn_by(words.stratified)),
    ("of-size", "the same stream for the tensors of every size", {"words": words.of_size}),
    ("hundredth-again", "each hundredth call with the words of the one before", {"words": words.hundredth_again}),
    ("repeated-2-20", "2²⁰ words over and over", words.repeated(1 << 20)),
    ("256-seeds", "the step cut to eight bits", words.seed_of(256)),
    ("4096-seeds", "the step cut to twelve bits", words.seed_of(4096)),
    ("no-carry", "a carry into the exponent is dropped", magnitudes(_no_carry)),
)

ROUNDING: tuple[RoundingVariant, ...] = tuple(RoundingVariant(*row) for row in _TABLE)
"""Every one of them is wrong."""
