"""How far 16-bit iterations scatter, by sampling: what is left if no proof is possible.

From the third step on the proven radius of a 16-bit iteration is infinite, because the worst rounding leaves the basin
of the iteration. So evaluations are sampled in which every stored number goes to one of its two neighbours at random:
any single error may reach a whole ulp, twice what rounding to nearest may do. Twice the largest distance seen is
allowed. This is a statistical claim and no proof.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from signopt.conformance.oracle.formats import Format
from signopt.conformance.oracle.muon.exact import Triple

__all__ = ["FALSE_ALARMS", "MISSES", "SAMPLES", "Rounded", "samples", "scattered"]

Array = np.ndarray[Any, Any]

SAMPLES = 400
FACTOR = 2.0
LARGEST_SHARED = 64
"""Elements up to which samples are kept."""
FALSE_ALARMS = (0, 800)
"""How often it called a right iteration wrong, of how many: `python docs/muon_rates/measure.py trajectory`."""
MISSES = {"bfloat16": (45, 100), "float16": (0, 100)}
"""The least and the largest share, in percent, that it missed of a kind of wrong iterations: the same command."""


def scattered(
    u: Array, x: Array, steps: Sequence[Triple], eps: float, form: str, dtype: Format, error: float = 0.0
) -> float:
    """Twice the largest distance from the exact ``x`` of `SAMPLES` evaluations from ``u``, in Frobenius norm.

    Each begins at another matrix at the distance ``error`` from ``u``, up to which a hidden momentum lets it be known.
    If only the direction of ``u`` counts, its samples serve every form of the rule.
    """
    wide, exact = (u, x) if u.shape[0] <= u.shape[1] else (u.T, x.T)
    with np.errstate(all="ignore"):
        if _is_direction_alone(wide, eps, error, dtype):
            found = _from_direction(_Direction.of(wide), tuple(steps), dtype)
        else:
            found = _from(wide, tuple(steps), eps, form, dtype, error)
        away = found - exact
        return float(FACTOR * np.sqrt(np.sum(away * away, axis=(1, 2))).max())


@dataclass(frozen=True)
class _Direction:
    """A matrix divided by its norm, to nine decimals: what every form of the momentum and of ε has in common."""

    values: bytes
    shape: tuple[int, ...]

    @classmethod
    def of(cls, u: Array) -> _Direction:
        return cls(np.round(u / np.linalg.norm(u), 9).tobytes(), u.shape)

    def matrix(self) -> Array:
        return np.frombuffer(self.values).reshape(self.shape)


def _is_direction_alone(u: Array, eps: float, error: float, dtype: Format) -> bool:
    """Whether neither size nor ε nor error of a small ``u`` takes part beside the roundings of a dtype."""
    norm, sizes = float(np.linalg.norm(u)), np.abs(u[u != 0])
    if u.size > LARGEST_SHARED or not sizes.size:
        return False
    small = norm * float(dtype.unit) / 256
    return eps <= small and error <= small and sizes.min() >= dtype.smallest_normal and norm**2 <= dtype.largest


@lru_cache(maxsize=512)
def _from_direction(direction: _Direction, steps: tuple[Triple, ...], dtype: Format) -> Array:
    return _from(direction.matrix(), steps, 0.0, "add", dtype, 0.0)


def _from(u: Array, steps: tuple[Triple, ...], eps: float, form: str, dtype: Format, error: float) -> Array:
    starts = np.broadcast_to(u, (SAMPLES, *u.shape))
    if error:
        aside = np.random.default_rng(1).standard_normal(starts.shape)
        starts = starts + error * aside / np.sqrt(np.sum(aside * aside, axis=(1, 2), keepdims=True))
    return samples(starts, steps, eps, form, Rounded(dtype), SAMPLES)


def samples(
    u: Array, steps: Sequence[Triple], eps: float, form: str, rounded: Callable[[Array], Array], count: int
) -> Array:
    """``count`` evaluations from ``u``, one matrix or as many, not tall: half by Horner's scheme, with a reciprocal."""
    start = rounded(np.broadcast_to(u, (count, *u.shape[-2:])))
    norm = rounded(np.sqrt(np.sum(start * start, axis=(1, 2), keepdims=True)))
    small = rounded(np.full_like(norm, eps))
    divisor = rounded(norm + small) if form == "add" else np.maximum(norm, small)
    half = count // 2
    with np.errstate(all="ignore"):
        iterate = np.concatenate([
            rounded(start[:half] / divisor[:half]),
            rounded(start[half:] * rounded(1 / divisor[half:])),
        ])  # fmt: skip
        for triple in steps:
            a, b, c = (rounded(np.full((count, 1, 1), each)) for each in triple)
            iterate = np.concatenate([
                _plain(rounded, iterate[:half], a[:half], b[:half], c[:half]),
                _horner(rounded, iterate[half:], a[half:], b[half:], c[half:]),
            ])  # fmt: skip
        return iterate


class Rounded:
    """Rounding to one of the two neighbours, at random, from the same seed each time."""

    def __init__(self, dtype: Format) -> None:
        self._dtype, self._random = dtype, np.random.default_rng(0)

    def __call__(self, values: Array) -> Array:
        exponents = np.maximum(np.frexp(values)[1] - 1, self._dtype.emin) - self._dtype.precision + 1
        whole = np.ldexp(values, -exponents)
        down = np.floor(whole)
        up = (down != whole) & (self._random.random(values.shape) < 0.5)
        return np.asarray(np.ldexp(down + up, exponents))


def _plain(rounded: Callable[[Array], Array], x: Array, a: Array, b: Array, c: Array) -> Array:
    gram = rounded(x @ x.swapaxes(1, 2))
    inner = rounded(rounded(b * gram) + rounded(rounded(c * gram) @ gram))
    return rounded(rounded(a * x) + rounded(inner @ x))


def _horner(rounded: Callable[[Array], Array], x: Array, a: Array, b: Array, c: Array) -> Array:
    gram, one = rounded(x @ x.swapaxes(1, 2)), np.eye(x.shape[1])
    inner = rounded(b * one + rounded(c * gram))
    return rounded(rounded(a * one + rounded(inner @ gram)) @ x)
