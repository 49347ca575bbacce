"""Learning-rate schedules: a factor on the learning rate as a function of the micro-step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from signopt import _hyperparameters as hyperparameters
from signopt._cos_pi import cos_pi
from signopt._hyperparameters import Schedule
from signopt._traced import Traced
from signopt._traced_polyline import traced_polyline

__all__ = ["Cosine", "factor_at", "piecewise_linear"]


def piecewise_linear(points: Mapping[int, float], step: int) -> float:
    """The factor at ``step`` on the polyline through ``points``.

    Between two keys s0 < s1 with factors f0, f1::

        f(step) = f0 + (f1 − f0)·(step − s0)/(s1 − s0)

    A point (0, 0.0) is put in front when the first key is not 0, which makes the first stretch a warm-up from zero.
    After the last key the factor stays. The result is the binary64 number nearest to the exact value, so that no order
    of evaluation has to be agreed upon.

    Parameters
    ----------
    points : Mapping[int, float]
        {micro-step: factor}, in any order.
    step : int
        The 0-based micro-step.

    Examples
    --------
    >>> [piecewise_linear({4: 1.0, 8: 0.5}, step) for step in (0, 1, 4, 6, 8, 100)]
    [0.0, 0.25, 1.0, 0.75, 0.5, 0.5]

    References
    ----------
    ``piecewise_linear_lr`` of the Tiger source, https://github.com/bojone/tiger
    """
    keys = sorted({0, *points})
    factors = [points.get(key, 0.0) for key in keys]
    last = bisect_right(keys, step) - 1
    if last == len(keys) - 1:
        return float(factors[last])
    rise = Fraction(factors[last + 1]) - Fraction(factors[last])
    return float(Fraction(factors[last]) + rise * (step - keys[last]) / (keys[last + 1] - keys[last]))


@dataclass(frozen=True)
class Cosine:
    """A linear warm-up from 0 to 1, then half a cosine down to ``final``, where the factor stays.

    With w = ``warmup_steps``, T = ``total_steps`` and e = ``final``::

        f(t) = t/w                                          for t < w
        f(t) = e + (1 − e)·(1 + cos(π·(t − w)/(T − w)))/2   for w ≤ t < T
        f(t) = e                                            for t ≥ T

    The result is the binary64 number nearest to the exact value: it depends on no library's cosine. It is a schedule by
    value: two are equal if their numbers are, and a saved state holds the numbers, so that a resume needs nothing else.

    Parameters
    ----------
    total_steps : int
        T, the micro-steps of the whole run, warm-up included.
    warmup_steps : int, default 0
        w, less than T. With a warm-up the first step has the factor 0: it moves the momentum and no parameter.
    final : float, default 0.0
        e, zero or positive.

    Raises
    ------
    TypeError, ValueError
        For numbers of another kind or outside these ranges.

    Examples
    --------
    >>> factor = Cosine(12, warmup_steps=4, final=0.5)
    >>> [factor(step) for step in (0, 1, 4, 8, 12, 100)]
    [0.0, 0.25, 1.0, 0.75, 0.5, 0.5]

    References
    ----------
    Loshchilov and Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts*, 2017, equation 5, without restarts,
    https://arxiv.org/abs/1608.03983
    """

    total_steps: int
    warmup_steps: int = 0
    final: float = 0.0

    def __post_init__(self) -> None:
        total = hyperparameters.accumulation_steps(self.total_steps, "total_steps")
        warmup = hyperparameters.micro_step(self.warmup_steps, "warmup_steps")
        if warmup >= total:
            raise ValueError(f"warmup_steps must be less than total_steps, got {warmup} of {total}")
        numbers = {"total_steps": total, "warmup_steps": warmup, "final": hyperparameters.factor(self.final, "final")}
        for name, value in numbers.items():
            object.__setattr__(self, name, value)

    def __call__(self, step: int) -> float:
        """The factor at the 0-based micro-step ``step``."""
        if step < self.warmup_steps:
            return float(Fraction(step, self.warmup_steps))
        if step >= self.total_steps:
            return self.final
        done = Fraction(step - self.warmup_steps, self.total_steps - self.warmup_steps)
        final = Fraction(self.final)
        return float(final + (1 - final) * (1 + cos_pi(done)) / 2)


def factor_at(schedule: Schedule, step: int) -> float:
    """The factor on the learning rate at ``step``: 1 without a schedule.

    Raises
    ------
    ValueError
        If a callable schedule returns a negative or non-finite factor.
    TypeError
        If it returns something that is not a real number.
    """
    if schedule is None:
        return 1.0
    if isinstance(step, Traced):
        return _traced_factor(schedule, step)
    if callable(schedule):
        return hyperparameters.learning_rate(schedule(step), f"schedule({step})")
    return piecewise_linear(schedule, step)


def _traced_factor(schedule: Mapping[int, float] | Callable[[int], float], step: Traced) -> Any:
    if isinstance(schedule, Cosine):
        raise TypeError(
            "the factor of a Cosine is computed exactly, outside of traced code; pass lr times schedule(step) as lr"
        )
    if callable(schedule):
        return hyperparameters.learning_rate(schedule(step.array), "schedule(step)")
    keys = sorted({0, *schedule})
    return traced_polyline(keys, [float(schedule.get(key, 0.0)) for key in keys], step)
