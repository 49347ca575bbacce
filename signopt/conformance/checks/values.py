"""Values from which the checks are made: what tells a right port from a wrong one, with as little slack as possible."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from signopt.conformance.driver import Tensors
from signopt.conformance.session import Run, Session

__all__ = [
    "Floats",
    "exact_class",
    "graded",
    "plant",
    "probe",
    "random",
    "random_like",
    "reach",
    "signs",
    "sized",
    "uneven",
    "walk",
    "with_nan_in_some",
]

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


def random(s: Session, shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    """Tensors of these shapes with `sized` elements."""
    return {name: s.array(sized(s, math.prod(shape)).reshape(shape)) for name, shape in shapes.items()}


def random_like(s: Session, tensors: Tensors) -> Tensors:
    """Others with the names and shapes of these."""
    return random(s, {name: array.shape for name, array in tensors.items()})


def uneven(s: Session, shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    """Tensors with rows of very different sizes: what is of a row, of the tensor and of an element is far apart."""
    tensors = {}
    for name, shape in shapes.items():
        values = sized(s, math.prod(shape), -1, 1).reshape(shape)
        rows = 4.0 ** np.resize([0, 1, -1], shape[0]).reshape(-1, *[1] * (len(shape) - 1))
        tensors[name] = s.array(values * rows)
    return tensors


def probe(s: Session, run: Run, coarsest: int = 0) -> None:
    """A step whose directions are near zero, unless the momentum is hidden and so large that nothing is known of it."""
    if all(np.isfinite(run.momentum(name)).all() for name in run.param):
        deltas = {name: graded(s, p.size, coarsest).reshape(p.shape) for name, p in run.param.items()}
        run.step(run.near_zero(deltas))


def walk(s: Session, run: Run, steps: int = 2) -> None:
    """An ordinary step and one near zero, so many times, of 32 elements."""
    for _ in range(steps):
        run.step(s.array(sized(s, 32)))
        run.step(run.near_zero(graded(s, 32)))


def reach(s: Session) -> int:
    """A power of two far out, whose sums and products with betas still are normal numbers."""
    return min(s.storage.emax, -s.storage.emin, 830) - s.storage.precision - 2


def plant(
    grads: Tensors, places: Iterable[int] = (-1,), value: float = math.nan, names: Iterable[str] | None = None
) -> Tensors:
    """``grads`` with ``value`` at these flat places of the named tensors, else of all."""
    for name in grads if names is None else names:
        for place in places:
            grads[name].reshape(-1)[place] = value
    return grads


def with_nan_in_some(s: Session, grads: Tensors, share: float) -> Tensors:
    """``grads``, of which about ``share`` of the tensors have a NaN somewhere."""
    for grad in grads.values():
        if s.rng.random() < share:
            grad.reshape(-1)[s.rng.integers(grad.size)] = math.nan
    return grads
