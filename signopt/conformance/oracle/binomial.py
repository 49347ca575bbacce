"""Exact binomial tails, and the smallest interval outside of which a right port almost never falls."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

__all__ = ["ALARM", "DISTANCES", "TESTS", "bounds", "most_surplus", "tail"]

ALARM = 1e-12
"""The probability that a right port is accused by any of the chance demands of one run, all together, at most."""

TESTS = 16384
"""Half of it is divided into so many two-sided tests of counts; a run makes fewer."""

DISTANCES = 1 << 23
"""The other half into so many tests of pairs of bits some places apart; a run makes fewer."""


def _log_pmf(n: int, k: int, p: float) -> float:
    choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return choose + k * math.log(p) + (n - k) * math.log1p(-p)


def tail(n: int, p: float, k: int, *, upper: bool) -> float:
    """P(X ≥ k) or, if not ``upper``, P(X ≤ k) of X ~ Binomial(n, p), 0 < p < 1, for a k on that side of the mean.

    Summed from its largest term outwards until nothing is added any more.

    >>> round(tail(10, 0.5, 10, upper=True) * 1024, 9), round(tail(10, 0.5, 1, upper=False) * 1024, 9)
    (1.0, 11.0)
    """
    if k > n or k < 0:
        return 0.0
    total, term, step = 0.0, math.exp(_log_pmf(n, k, p)), 1 if upper else -1
    while term > total * 1e-17:
        total += term
        ratio = (n - k) * p / ((k + 1) * (1 - p)) if upper else k * (1 - p) / ((n - k + 1) * p)
        term, k = term * ratio, k + step
    return total


@cache
def bounds(n: int, p: float) -> tuple[int, int]:
    """(least, most) such that Binomial(n, p) lies outside with probability at most ALARM/(2·TESTS).

    >>> bounds(1 << 20, 0.5)
    (519962, 528614)
    """
    if p in (0.0, 1.0):
        return round(n * p), round(n * p)
    each, mean = 0.24 * ALARM / TESTS, n * p
    return _edge(n, p, int(mean), -1, each, upper=False), _edge(n, p, math.ceil(mean), 1, each, upper=True)


def _edge(n: int, p: float, start: int, step: int, each: float, *, upper: bool) -> int:
    """The last count on one side that is not yet in the forbidden tail, by bisection."""
    near, far = 0, 1
    while tail(n, p, start + step * far, upper=upper) > each:
        near, far = far, 2 * far
    while far - near > 1:
        middle = (near + far) // 2
        if tail(n, p, start + step * middle, upper=upper) > each:
            near = middle
        else:
            far = middle
    return min(max(start + step * near, 0), n)


def most_surplus(pairs: Any) -> Any:
    """By how much agreeing pairs of fair bits may outnumber the others, or be outnumbered, among so many.

    The products of signs a fixed number of places apart are independent and fair, so that Hoeffding's inequality holds:
    P(|S| ≥ t) ≤ 2·exp(−t²/2n).

    >>> float(most_surplus(10**6)) < 1e4
    True
    """
    return np.sqrt(2 * np.asarray(pairs, np.float64) * math.log(4 * DISTANCES / ALARM))
