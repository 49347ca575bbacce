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

__all__ = ["gradient_fault", "power_decay"]

Array = np.ndarray[Any, Any]


def power_decay(matrix: Array, rounds: int, unit: float) -> tuple[Block, float]:
    """The exact D of ``rounds`` rounds from a vector of ones, and the radius of legal ones in Frobenius norm."""
    w = Block.of(matrix)
    x = Block.of(np.ones((matrix.shape[1], 1)))
    size = np.abs(np.asarray(matrix, np.float64))
    stretch, reach = float(np.linalg.norm(matrix, 2)), float(np.linalg.norm(size, 2))
    counted = gamma(sum(matrix.shape) + 6, unit)
    relative = 0.0
    for _ in range(rounds):
        after = (w.transposed @ (w @ x)).trimmed()
        if not after.ints.any():
            return Block(w.ints * 0, 0), 0.0
        shown, new = _unit(x), _length(after) / _length(x)
        local = counted * (float(np.linalg.norm(size.T @ (size @ np.abs(shown)))) + reach**2 * relative)
        relative, x = (stretch**2 * relative + local) / new, after
    exact = ((w @ x).trimmed() @ x.transposed).over(x.square_sum())
    rounding = gamma(2 * sum(matrix.shape) + 8, unit) * (reach + float(np.linalg.norm(matrix)))
    return exact, (math.sqrt(2) * stretch * relative + rounding) * (1 + 1e-9)


def _unit(x: Block) -> Array:
    """x over its norm."""
    shown = Block(x.ints, -x.bits).floats()
    return np.asarray(shown / np.linalg.norm(shown))


def _length(x: Block) -> float:
    """The norm of x; exact enough for a ratio of two."""
    return math.sqrt(float(x.square_sum()))


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
