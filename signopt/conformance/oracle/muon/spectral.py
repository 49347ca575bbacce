"""Spectral-norm decay: the exact D = W·x·xᵀ/(xᵀx) with x = (WᵀW)^k·1, and how far a legal evaluation may be off.

D is rational in W, so no norm is taken: normalising x in each round changes nothing but roundings. The bound is derived
in docs/acceptance.md.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.units import gamma

__all__ = ["SVD_UNITS", "gradient_fault", "leading_decay", "power_decay"]

Array = np.ndarray[Any, Any]

SVD_UNITS = 256
"""Units of rounding that a D made by SVD may be off by, in proportion to σ₁: measured, not proven."""


def power_decay(matrix: Array, rounds: int, unit: float, room: int | None = None) -> tuple[Block, float]:
    """The exact D of ``rounds`` rounds from a vector of ones, and the radius of legal ones in Frobenius norm.

    The radius is infinite where a legal x may be anything: where rounding alone keeps it from zero, and, with ``room``,
    where an x that nobody normalises leaves the range from 2^-room to 2^room.
    """
    w = Block.of(matrix)
    x = Block.of(np.ones((matrix.shape[1], 1)))
    size = np.abs(np.asarray(matrix, np.float64))
    stretch, reach = float(np.linalg.norm(matrix, 2)), float(np.linalg.norm(size, 2))
    counted = gamma(sum(matrix.shape) + 6, unit)
    relative = 0.0
    for _ in range(rounds):
        after = (w.transposed @ (w @ x)).trimmed()
        if not after.ints.any():
            return Block(w.ints * 0, 0), 0.0 if _sums_exactly(w, unit) else math.inf
        if room is not None and not -room < after.bits + after.exponent < room:
            relative = math.inf
        shown, new = _unit(x), math.sqrt(after.square_sum() / x.square_sum())
        local = counted * (float(np.linalg.norm(size.T @ (size @ np.abs(shown)))) + reach**2 * relative)
        relative, x = (stretch**2 * relative + local) / new, after
    exact = ((w @ x).trimmed() @ x.transposed).over(x.square_sum())
    rounding = gamma(2 * sum(matrix.shape) + 8, unit) * (reach + float(np.linalg.norm(matrix)))
    reach = (math.sqrt(2) * stretch * relative + rounding) * (1 + 1e-9)
    return exact, reach if relative < 0.25 else math.inf


def _sums_exactly(w: Block, unit: float) -> bool:
    """Whether no order of adding rounds, in W·1 or in (WᵀW)·1, so that they are what they are."""
    common = math.gcd(*w.ints.ravel().tolist())
    size = abs(w.ints // common) if common else w.ints
    ones = np.ones(size.shape[1], object)
    return int(max(size.T @ (size @ ones))) <= 1 / unit


def leading_decay(matrix: Array, unit: float) -> tuple[Block, float]:
    """σ₁·u·vᵀ and how far a legal one may be off: `SVD_UNITS` units of σ₁, times σ₁ over its distance from σ₂."""
    left, values, right = np.linalg.svd(np.asarray(matrix, np.float64), full_matrices=False)
    largest, second = float(values[0]), float(values[1]) if values.size > 1 else 0.0
    exact = Block.of(largest * np.outer(left[:, 0], right[0]))
    apart = largest - second
    if apart <= 1e-3 * largest:
        return exact, math.inf if largest else 0.0
    return exact, SVD_UNITS * max(unit, 2.0**-53) * largest * largest / apart


def _unit(x: Block) -> Array:
    """x over its norm."""
    shown = Block(x.ints, -x.bits).floats()
    return np.asarray(shown / np.linalg.norm(shown))


def gradient_fault(d: Array, matrix: Array, tolerance: float) -> str:
    """Why ``d`` is no gradient of ½σ₁² at ``matrix``, σ₁·u·vᵀ with u·W·v = σ₁; empty if it is one. Ties are allowed."""
    largest = float(np.linalg.norm(matrix, 2))
    if not np.isfinite(d).all():
        return "D is not finite"
    if not largest:
        return "" if not d.any() else "D of a zero matrix is not zero"
    values = np.linalg.svd(d, compute_uv=False)
    if values.size > 1 and values[1] > tolerance * largest:
        return f"D has a second singular value of {values[1] / largest:.3g} σ₁: its rank is not one"
    if abs(float(np.linalg.norm(d)) - largest) > tolerance * largest:
        return f"the norm of D is {float(np.linalg.norm(d)) / largest:.6g} σ₁"
    if abs(float(np.sum(d * matrix)) - largest**2) > tolerance * largest**2:
        return f"⟨D, W⟩ is {float(np.sum(d * matrix)) / largest**2:.6g} σ₁²"
    return ""
