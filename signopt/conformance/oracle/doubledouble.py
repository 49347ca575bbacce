"""Sums and products in twice the precision of float64, element by element: for the sieve only.

A number is an unevaluated sum of two float64 arrays, high and low. Valid where no product leaves 2^±900. After Dekker
(1971) and Knuth; the error of each function is below 2^-100 of the sizes that go in.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["Pair", "combine", "pair", "product", "two_sum"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Pair = tuple[Any, ...]
_SPLIT = 134217729.0


def pair(value: Fraction) -> Pair:
    """A fraction as high and low."""
    high = float(value)
    return high, float(value - Fraction(high))


def two_sum(a: Any, b: Any) -> Pair:
    """``a + b`` exactly."""
    total = a + b
    kept = total - a
    return total, (a - (total - kept)) + (b - kept)


def _split(a: Any) -> Pair:
    wide = _SPLIT * a
    high = wide - (wide - a)
    return high, a - high


def _two_product(a: Any, b: Any) -> Pair:
    total = a * b
    (a1, a2), (b1, b2) = _split(a), _split(b)
    return total, ((a1 * b1 - total) + a1 * b2 + a2 * b1) + a2 * b2


def product(a: Pair, b: Any) -> Pair:
    """A pair times a float64."""
    high, low = _two_product(a[0], b)
    return two_sum(high, low + a[1] * b)


def combine(a: Pair, b: Pair) -> Pair:
    """The sum of two pairs."""
    high, low = two_sum(a[0], b[0])
    deep, deeper = two_sum(a[1], b[1])
    high, low = two_sum(high, low + deep)
    return two_sum(high, low + deeper)
