"""Stochastic rounding in NumPy, in pieces that a mutant replaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

__all__ = ["RoundingPort"]

Array = Any


class RoundingPort:
    """|bits| + a word of 16 bits, cut; the sign apart, NaN apart."""

    rule: ClassVar[str] = "stochastic-rounding"
    label: ClassVar[str] = ""
    declared: ClassVar[Mapping[str, Any]] = {}
    seed: ClassVar[int] = 1

    def __init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.calls = 0

    def describe(self) -> Mapping[str, Any]:
        """Name, rule and declarations."""
        return {"name": self.label or "NumPy stochastic rounding", "rule": self.rule, **self.declared}

    def round(self, x: Array) -> Array:
        """One step."""
        flat = np.ascontiguousarray(x).reshape(-1)
        result = self.rounded(flat.view(np.uint32), self.words(flat.size))
        self.calls += 1
        return self.stored(result, x)

    def round_with(self, x: Array, words: Array) -> Array:
        """The same with words that are given."""
        flat = np.ascontiguousarray(x).reshape(-1)
        return self.stored(self.rounded(flat.view(np.uint32), words.reshape(-1)), x)

    def stored(self, result: Array, x: Array) -> Array:
        """Bits below 2¹⁶ as an array like ``x``."""
        import ml_dtypes

        return result.astype(np.uint16).view(ml_dtypes.bfloat16).reshape(np.shape(x))

    def words(self, size: int) -> Array:
        """Words below 2¹⁶, new ones at every call."""
        return self.rng.integers(0, 1 << 16, size, dtype=np.uint32)

    def rounded(self, bits: Array, words: Array) -> Array:
        """The upper halves of the results."""
        magnitude = bits & 0x7FFFFFFF
        result = np.where(magnitude > 0x7F800000, 0x7FC0, self.carried(magnitude, words))
        return result | (bits >> 16 & 0x8000)

    def carried(self, magnitude: Array, words: Array) -> Array:
        """The same of finite magnitudes."""
        return (magnitude + words) >> 16
