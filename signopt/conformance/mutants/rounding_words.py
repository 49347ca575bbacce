"""Random words with a known bug: too few of them, too narrow, or used again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.rounding import RoundingPort

__all__ = [
    "antithetic", "apart", "congruential", "constant_seed", "counter_seed", "dithered", "drawn", "drawn_by",
    "eighths_kept", "hashed", "hundredth_again", "in_pairs", "lanes_shared", "mersenne", "of_leading_axes",
    "of_size", "one_word", "poisson", "repeated", "seed_of", "shifted", "stale", "stratified", "tail_of_large",
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


def of_size(self: RoundingPort, size: int) -> Array:
    """Tensors of every size have a generator of their own, all with one seed."""
    generators = self.__dict__.setdefault("generators", {})
    generator = generators.setdefault(size, np.random.default_rng(self.seed))
    return generator.integers(0, 1 << 16, size, dtype=np.uint32)


def hundredth_again(self: RoundingPort, size: int) -> Array:
    """Each hundredth call has the words of the one before."""
    if self.calls % 100 != 99 or self.kept.size < size:  # type: ignore[attr-defined]
        self.kept = self.rng.integers(0, 1 << 16, size, dtype=np.uint32)  # type: ignore[attr-defined]
    return self.kept[:size]  # type: ignore[attr-defined]


def lanes_shared(rng: Any, size: int) -> Array:
    """The upper eight of sixteen lanes share the word of the first."""
    words = rng.integers(0, 1 << 16, (-(-size // 16), 16), dtype=np.uint32)
    words[:, 8:] = words[:, :1]
    return words.reshape(-1)[:size]


def stratified(rng: Any, size: int) -> Array:
    """Of 4096 words the upper twelve bits are all different."""
    upper = [rng.permutation(4096) for _ in range(-(-size // 4096))]
    lower = rng.integers(0, 16, size, dtype=np.uint32)
    return np.concatenate([lower[:0], *upper])[:size].astype(np.uint32) << 4 | lower


def of_leading_axes(self: RoundingPort, x: Array) -> Array:
    """The words of the last two of four axes for all of the first two."""
    if np.ndim(x) < 4:
        return RoundingPort.round(self, x)
    words = np.broadcast_to(self.words(x[0, 0].size).reshape(x[0, 0].shape), x.shape)
    self.calls += 1
    return self.round_with(x, words)


def hashed(self: RoundingPort, size: int) -> Array:
    """SplitMix64 of call and place."""
    places = np.arange(size, dtype=np.uint64) + (np.uint64(self.seed + self.calls) << np.uint64(32))
    mixed = places * np.uint64(0x9E3779B97F4A7C15)
    for shift, multiplier in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(multiplier)
    return (mixed >> np.uint64(40)).astype(np.uint32) & 0xFFFF


def congruential(self: RoundingPort, size: int) -> Array:
    """The upper sixteen of 64 bits, of which each word has the state after that of the one before."""
    state = self.__dict__.setdefault("state", np.uint64(977 * self.seed + 5))
    powers = np.multiply.accumulate(np.full(size + 1, 6364136223846793005, np.uint64))
    sums = np.add.accumulate(np.concatenate([np.ones(1, np.uint64), powers[:-1]]))
    states = powers * state + sums * np.uint64(1442695040888963407)
    self.state = states[size]  # type: ignore[attr-defined]
    return (states[:size] >> np.uint64(48)).astype(np.uint32)
