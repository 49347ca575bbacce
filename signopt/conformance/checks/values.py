"""Values from which the checks are made: what tells a right port from a wrong one, with as little slack as possible."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.session import Session

__all__ = ["exact_class", "graded", "signs", "sized"]

Floats = np.ndarray[Any, np.dtype[np.float64]]


def signs(s: Session, count: int) -> Floats:
    """±1, as many of each."""
    half = np.resize([1.0, -1.0], count)
    s.rng.shuffle(half)
    return half


def sized(s: Session, count: int, low: int = -3, high: int = 2) -> Floats:
    """Numbers of both signs whose sizes spread evenly over the powers of two from 2^low to 2^high."""
    return np.asarray(signs(s, count) * 2.0 ** s.rng.uniform(low, high, count))


def graded(s: Session, count: int, coarsest: int = 0) -> Floats:
    """δ = ±2^-k for k from ``coarsest`` to the precision of the dtype: distances to zero from plain to a few ulp."""
    steps = coarsest + np.arange(count) % (s.storage.precision - 1 - coarsest)
    return np.asarray(signs(s, count) * 2.0 ** -steps.astype(np.float64))


def exact_class(s: Session, count: int) -> tuple[Floats, Floats, Floats]:
    """p, g, m with short significands: with β 0.5 and 0.75 and dyadic rates every order of evaluation is exact.

    Among them c = 0 by cancellation, sign(c) against sign(g), against sign(m) and against both of their roundings.
    """
    grid = s.rng.integers(-4, 5, (3, count)).astype(np.float64)
    p, g, m = grid[0] / 4, grid[1] / 2, grid[2] / 2
    g[::5] = -m[::5]
    g[1::5] = -2 * m[1::5]
    return p, g, m
