"""Random words with a known bug: too few of them, too narrow, or used again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.rounding import RoundingPort

__all__ = [
    "antithetic", "apart", "constant_seed", "counter_seed", "dithered", "drawn", "drawn_by", "eighths_kept",
    "in_pairs", "mersenne", "one_word", "poisson", "repeated", "seed_of", "shifted", "stale", "tail_of_large",
]  # fmt: skip

Array = Any


def dithered(self: RoundingPort, size: int) -> Array:
    return self.rng.integers(0, 1 << 16, (2, size)).sum(0) - (1 << 15)


def poisson(self: RoundingPort, size: int) -> Array:
    return (self.rng.poisson(10, size).astype(np.uint32) << 12) & 0xFFFF


def constant_seed(self: RoundingPort, size: int) -> Array:
    return np.random.default_rng(42).integers(0, 1 << 16, size, dtype=np.uint32)


def counter_seed(self: RoundingPort, size: int) -> Array:
    return np.random.default_rng(self.calls % 2).integers(0, 1 << 16, size, dtype=np.uint32)


def one_word(self: RoundingPort, size: int) -> Array:
    return np.full(size, self.rng.integers(0, 1 << 16), np.uint32)


def drawn_by(draw: Callable[[Any, int], Array]) -> dict[str, Any]:
    return {"words": lambda self, size: draw(self.rng, size)}


def repeated(period: int) -> dict[str, Any]:
    return drawn_by(lambda rng, n: np.resize(rng.integers(0, 1 << 16, min(n, period), dtype=np.uint32), n))


def antithetic(self: RoundingPort, size: int) -> Array:
    half = self.rng.integers(0, 1 << 16, -(-size // 2), dtype=np.uint32)
    return np.stack([half, 0xFFFF - half], axis=1).reshape(-1)[:size]


def stale(self: RoundingPort, size: int) -> Array:
    """Every other call has the words of the one before."""
    if self.calls % 2 == 0 or self.kept.size < size:  # type: ignore[attr-defined]
        self.kept = self.rng.integers(0, 1 << 16, size, dtype=np.uint32)  # type: ignore[attr-defined]
    return self.kept[:size]  # type: ignore[attr-defined]


def shifted(self: RoundingPort, size: int) -> Array:
    """One stream, of which each call begins a place further."""
    return np.random.default_rng(3).integers(0, 1 << 16, size + self.calls, dtype=np.uint32)[self.calls :]


def drawn(low: int, high: int, shift: int = 0) -> dict[str, Any]:
    """Words from ``low`` to below ``high``, shifted to the left."""
    return drawn_by(lambda rng, n: rng.integers(low, high, n, dtype=np.uint32) << np.uint32(shift))


def apart(lag: int) -> Callable[[Any, int], Array]:
    """Each word again ``lag`` places further, once."""

    def draw(rng: Any, size: int) -> Array:
        words = rng.integers(0, 1 << 16, -(-size // (2 * lag)) * 2 * lag, dtype=np.uint32).reshape(-1, 2, lag)
        words[:, 1] = words[:, 0]
        return words.reshape(-1)[:size]

    return draw


def eighths_kept(self: RoundingPort, size: int) -> Array:
    words = self.rng.integers(0, 1 << 16, size, dtype=np.uint32)
    kept = getattr(self, "kept", words)
    if kept.size == size:
        words[::8] = kept[::8]
    self.kept = words  # type: ignore[attr-defined]
    return words


def tail_of_large(self: RoundingPort, size: int) -> Array:
    words = self.rng.integers(0, 1 << 16, size, dtype=np.uint32)
    if size > 1024:
        words[size // 1024 * 1024 :] = 0
    return words


def seed_of(count: int) -> dict[str, Any]:
    def draw(self: RoundingPort, size: int) -> Array:
        return np.random.default_rng(self.calls % count).integers(0, 1 << 16, size, dtype=np.uint32)

    return {"words": draw}


def in_pairs(rng: Any, size: int) -> Array:
    return np.repeat(rng.integers(0, 1 << 16, -(-size // 2), dtype=np.uint32), 2)[:size]


def mersenne(self: RoundingPort, size: int) -> Array:
    return np.random.RandomState(self.seed + 7919 * self.calls).randint(0, 1 << 16, size).astype(np.uint32)
