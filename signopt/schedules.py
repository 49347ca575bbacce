"""Learning-rate schedules: a factor on the learning rate as a function of the micro-step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from fractions import Fraction

from signopt import _hyperparameters as hyperparameters
from signopt._hyperparameters import Schedule

__all__ = ["factor_at", "piecewise_linear"]


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
    if callable(schedule):
        return hyperparameters.learning_rate(schedule(step), f"schedule({step})")
    return piecewise_linear(schedule, step)
