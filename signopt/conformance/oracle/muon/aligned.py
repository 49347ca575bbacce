"""A port that orthogonalises in another way than by the polynomial: what its X must have in common with every other.

With u = U·Σ·Vᵀ, X is U·D·Vᵀ with D diagonal and its elements in the declared range. If singular values are equal, U and
V are not determined, and UᵀXV is diagonal for every choice of them only if D is a multiple of the identity there. So
elements beside the diagonal are judged where singular values are apart or the range is a point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from signopt.conformance.oracle.formats import FORMATS
from signopt.conformance.oracle.muon.law import Expected, Forms, scale_of
from signopt.conformance.oracle.muon.units import Precision
from signopt.conformance.oracle.step import Fault

__all__ = ["Distances", "comparable", "distances", "misaligned"]

Array = np.ndarray[Any, Any]
WORST_CONDITION = 100.0
LARGEST_EPS, ABOVE_EPS = 1e-6, 1e3
"""Of a smaller norm, in proportion to ε, ε takes part in X; an orthogonaliser may have an ε of its own."""
UNITS = 512
UNITS_OF_16_BITS = 64
"""Units of the arithmetic, or of what has 16 bits, times the condition of u, that rounding may turn or stretch X by.

Counted, not proven: eight applications of eight roundings, each with the whole condition. Of four polynomials in 16
bits, rounded to nearest, the worst took 6.5 (docs/muon_rates/orthogonalizer.py).
"""


def misaligned(
    name: str, p: Array, new_p: Array, expected: Expected, hyper: Mapping[str, Any], forms: Forms,
    wanted: tuple[float, float], precision: Precision,
) -> Iterator[Fault]:  # fmt: skip
    """Where X, read off the step, has other singular vectors than u or singular values outside ``wanted``."""
    if not comparable(p, expected, hyper, forms):
        return
    u, rate, sigma = _direction(p, expected, hyper, forms)
    kept = p * (1 - float(hyper["lr"]) * float(hyper["weight_decay"]))
    away = distances(((kept - new_p) / rate).reshape(u.shape), u, wanted)
    slack = _slack(p, rate, sigma, precision) * np.sqrt(u.size)
    message = ""
    if not away.turned <= slack:
        message = "X does not have the singular vectors of u"
    elif not away.stretched <= slack:
        low, high = away.values
        message = f"the singular values of X are {low:.6g} … {high:.6g}, declared were {wanted[0]:g} … {wanted[1]:g}"
    if message:
        yield Fault(name, (0,) * p.ndim, "param", "", float(new_p.flat[0]).hex(), message)


def comparable(p: Array, expected: Expected, hyper: Mapping[str, Any], forms: Forms) -> bool:
    """Whether X can be read off the step, and rounding leaves something to be said of it."""
    _, rate, sigma = _direction(p, expected, hyper, forms)
    small = expected.enclosure.norm < ABOVE_EPS * max(float(hyper["eps"]), LARGEST_EPS)
    return bool(not small and rate and sigma.size and sigma[0] and sigma[-1] * WORST_CONDITION >= sigma[0])


def _direction(p: Array, expected: Expected, hyper: Mapping[str, Any], forms: Forms) -> tuple[Array, float, Array]:
    """u as a matrix, the rate of the step, and the singular values of u."""
    u = expected.u.floats()
    u = u.reshape(u.shape[0], -1)
    rate = float(hyper["lr"]) * float(scale_of(p.shape, hyper, forms))
    return u, rate, np.linalg.svd(u, compute_uv=False)


@dataclass(frozen=True)
class Distances:
    """What X has beside the diagonal in the singular vectors of u, its values there, and how far they leave a range."""

    turned: float
    stretched: float
    values: tuple[float, float]


def distances(x: Array, u: Array, wanted: tuple[float, float]) -> Distances:
    """How far ``x`` is from U·D·Vᵀ with D in the range ``wanted``; infinite if it is not finite."""
    if not np.isfinite(x).all():
        return Distances(np.inf, np.inf, (np.nan, np.nan))
    left, sigma, right = np.linalg.svd(u, full_matrices=False)
    inner = left.T @ x @ right.T
    values = np.diag(inner)
    skew = float(np.abs((inner - np.diag(values))[_apart(sigma, wanted)]).max(initial=0.0))
    low, high = float(values.min()), float(values.max())
    outer = float(np.linalg.norm(x - left @ inner @ right))
    return Distances(max(outer, skew), max(wanted[0] - low, high - wanted[1], 0.0), (low, high))


def _apart(sigma: Array, wanted: tuple[float, float]) -> Array:
    """The pairs of singular values far enough apart, of which the elements of UᵀXV beside the diagonal must vanish."""
    gap = np.abs(sigma[:, None] - sigma[None, :])
    return np.asarray((gap > 0.05 * sigma[0]) | (wanted[1] - wanted[0] < 1e-3)) & ~np.eye(sigma.size, dtype=bool)


def _slack(p: Array, rate: float, sigma: Array, precision: Precision) -> float:
    unit = max(precision.unit, precision.elementwise, precision.storage_rounding)
    units = UNITS if unit <= float(FORMATS["float32"].unit) else UNITS_OF_16_BITS
    return units * unit * float(sigma[0] / sigma[-1]) * (1 + float(np.abs(p).max(initial=0.0)) / rate)
