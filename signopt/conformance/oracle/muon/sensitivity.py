"""How far a perturbation of an iterate is carried by the steps that follow.

A step is an odd function f of the singular values, f(x) = a·x + b·x³ + c·x⁵. Its derivative as a function of matrices
is diagonal in the basis uᵢvⱼᵀ ± uⱼvᵢᵀ, with the divided differences f[σᵢ, ±σⱼ] as eigenvalues, and f[σᵢ, 0] for the
rest of a matrix that is not square. Divided differences of a composition multiply. So the Lipschitz constant of several
steps in Frobenius norm, over all matrices whose singular values lie in given intervals, is at most the largest product
of suprema over those intervals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.oracle.muon.exact import Triple

__all__ = ["Carried", "singular_values"]

Array = np.ndarray[Any, Any]
_ROUNDING = 2.0**-44
"""Covers the roundings of the float64 arithmetic below, in proportion to the sizes of the terms."""


def singular_values(x: Array) -> tuple[Array, float]:
    """Singular values and how far LAPACK may be off: 16·min(m, n) units of the largest."""
    values = np.linalg.svd(x, compute_uv=False)
    return values, 16 * min(x.shape) * 2.0**-53 * max(1.0, float(values.max(initial=0.0)))


class Carried:
    """Lipschitz constants of the steps from several starting points on, each advanced step by step.

    Row s is one starting point: an interval for each singular value there, and for each pair the product so far.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        count, rectangular = min(shape), shape[0] != shape[1]
        upper = [(i, j) for i in range(count) for j in range(i, count)]
        pairs = [(i, j, 1.0) for i, j in upper] + [(i, j, -1.0) for i, j in upper if i < j]
        if rectangular:
            pairs += [(i, count, 1.0) for i in range(count)]
        first, second, side = zip(*pairs, strict=True)
        self._first, self._second, self._side = np.array(first), np.array(second), np.array(side)
        self._zero = int(rectangular)
        self._low = self._high = np.empty((0, count + self._zero))
        self._product = np.empty((0, len(pairs)))

    def start(self, values: Array, around: float) -> None:
        """Add a starting point: singular values, each with ``around`` to either side."""
        low = np.append(values - around, [0.0] * self._zero)
        high = np.append(values + around, [0.0] * self._zero)
        self._low, self._high = np.vstack([self._low, low]), np.vstack([self._high, high])
        self._product = np.vstack([self._product, np.ones(self._product.shape[1])])

    def advance(self, triple: Triple) -> Array:
        """Take every starting point one step on; returns the Lipschitz constant of each so far."""
        with np.errstate(all="ignore"):
            factors = _largest_difference(*self._boxes(), triple)
            self._product = np.where(np.isfinite(factors), self._product * factors, np.inf)
            self._low, self._high = _image(self._low, self._high, triple)
        return np.asarray(self._product.max(axis=1))

    def _boxes(self) -> tuple[Array, Array, Array, Array]:
        """Middle and half width of either argument of every pair."""
        middle, half = (self._low + self._high) / 2, (self._high - self._low) / 2
        first, second = self._first, self._second
        return middle[:, first], half[:, first], self._side * middle[:, second], half[:, second]


def _largest_difference(x: Array, dx: Array, y: Array, dy: Array, triple: Triple) -> Array:
    """The largest |f[x, y]| = |a + b(x²+xy+y²) + c(x⁴+x³y+x²y²+xy³+y⁴)| over the boxes, by the mean value theorem."""
    a, b, c = triple
    size = np.maximum(np.abs(x) + dx, np.abs(y) + dy)
    value = a + b * (x * x + x * y + y * y) + c * (x**4 + x**3 * y + x * x * y * y + x * y**3 + y**4)
    slope = 3 * abs(b) * size + 10 * abs(c) * size**3
    rounding = _ROUNDING * (abs(a) + 3 * abs(b) * size**2 + 5 * abs(c) * size**4)
    return np.asarray(np.abs(value) + slope * (dx + dy) + rounding)


def _image(low: Array, high: Array, triple: Triple) -> tuple[Array, Array]:
    """Intervals that hold f of the given ones, by the mean value theorem."""
    a, b, c = triple
    middle, half = (low + high) / 2, (high - low) / 2
    size = np.maximum(np.abs(low), np.abs(high))
    value = a * middle + b * middle**3 + c * middle**5
    slope = np.abs(a + 3 * b * middle**2 + 5 * c * middle**4) + half * (6 * abs(b) * size + 20 * abs(c) * size**3)
    reach = slope * half + _ROUNDING * (abs(a) * size + abs(b) * size**3 + abs(c) * size**5)
    return value - reach, value + reach
