"""Tiger's micro-step, rounded operation by operation."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

import numpy as np

from signopt.conformance.oracle.arithmetic import (
    BINARY64,
    CANONICAL,
    Arithmetic,
    Array,
    Order,
    arithmetic_of,
    average,
    coefficients,
    floats,
    move,
    root,
    sign,
    stored,
)
from signopt.conformance.oracle.formats import Format, compute_format, format_of

__all__ = ["CENTRE", "factor_at", "root_mean_square", "scales", "step"]

CENTRE = {"matrix": 0.0, "embedding": 0.0, "bias": 0.0, "scale": 1.0}
Schedule = Mapping[int, float] | Callable[[int], float] | None


def factor_at(schedule: Schedule, step: int) -> Fraction:
    """The exact factor on the rate at a micro-step: linear between the keys, constant after the last.

    (0, 0) stands in front when the first key is not 0; no schedule is the factor 1.
    """
    if schedule is None:
        return Fraction(1)
    if callable(schedule):
        return Fraction(schedule(step))
    points = sorted(({0: 0.0} | dict(schedule)).items())
    at = bisect_right([key for key, _ in points], step)
    (start, low), (end, high) = points[at - 1], points[min(at, len(points) - 1)]
    if start == end:
        return Fraction(low)
    share = Fraction(step - start, end - start)
    return Fraction(low) * (1 - share) + Fraction(high) * share


def root_mean_square(values: Iterable[float], target: Format) -> float:
    """sqrt(mean(v²)) of finite numbers, correctly rounded: the sum exact, the root by integer square root."""
    squares = [Fraction(v) ** 2 for v in values]
    mean = sum(squares, Fraction(0)) / len(squares)
    return target.round(root(mean, target.precision + 8))


def scales(param: Array, role: str) -> Array:
    """What multiplies the rate, broadcastable to ``param``: the tensor's RMS, each row's, or one half."""
    computed = compute_format(format_of(param.dtype))
    if role in ("bias", "scale"):
        return np.full((1,) * param.ndim, 0.5)
    rows = param.reshape(-1, param.shape[-1] if role == "embedding" and param.ndim else param.size)
    shape = (*param.shape[:-1], 1)[: param.ndim] if role == "embedding" else (1,) * param.ndim
    return np.array([root_mean_square(floats(row), computed) for row in rows], np.float64).reshape(shape)


def step(
    param: Array, grad: Array, momentum: Array, *, step: int, lr: float, beta: float, weight_decay: float,
    role: str, accumulation_steps: int = 1, shrink: float = 0.99, schedule: Schedule = None,
    rms: Array | None = None, order: Order = CANONICAL, compute: str | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """One micro-step of Tiger.

    With a NaN in ``grad`` the momentum stays and p becomes (p − centre)·shrink + centre. Else
    m' = b1·m + b2·g, b1 = β on a window's first micro-step and 1 on the others, b2 = (1−β)/k; and on its last
    p − r·(sign(m') + wd·p), where r is the rate times ``rms``, broadcast to ``param`` (by default
    :func:`scales`, correctly rounded). No decay for bias and scale.
    """
    x = arithmetic_of(param, compute)
    if any(map(math.isnan, floats(grad))):
        return _shrunk(x, param, CENTRE[role], x.format.cast(shrink)), momentum.copy()
    b, a = coefficients(x, beta, accumulation_steps, order)
    remembered = average(x, 1.0 if step % accumulation_steps else b, a, order)
    new = [remembered(m, g) for m, g in zip(floats(momentum), floats(grad), strict=True)]
    if (step + 1) % accumulation_steps:
        return param.copy(), stored(new, momentum)
    rate = Arithmetic(BINARY64).mul(lr, BINARY64.round(factor_at(schedule, step)))
    rates = _rates(x, rate, param, role, rms)
    decay = weight_decay if role in ("matrix", "embedding") else 0.0
    moved = [move(x, r, decay, order)(p, sign(m)) for r, p, m in zip(rates, floats(param), new, strict=True)]
    return stored(moved, param), stored(new, momentum)


def _shrunk(x: Arithmetic, param: Array, centre: float, shrink: float) -> Array:
    return stored([x.add(x.mul(x.sub(p, centre), shrink), centre) for p in floats(param)], param)


def _rates(x: Arithmetic, rate: float, param: Array, role: str, rms: Array | None) -> list[float]:
    """The rate of each element; one half of it is formed in binary64, where it is exact."""
    if role in ("bias", "scale"):
        return [x.format.cast(0.5 * rate)] * param.size
    r = x.format.cast(rate)
    if not param.size:
        return []
    multipliers = scales(param, role) if rms is None else rms
    return [x.mul(r, scale) for scale in floats(np.broadcast_to(multipliers, param.shape))]
