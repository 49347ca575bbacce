"""Muons that decay by the spectral norm: ways to compute D."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.base import Array
from signopt.conformance.numpy_ports.muon import MuonPort

__all__ = ["RIGHT_SPECTRAL", "by_svd", "iterated", "spectral"]

Row = tuple[str, str, dict[str, Any]]


def iterated(w: Array, rounds: int = 10, *, normalise: bool = True) -> Array:
    """W·x·xᵀ/(xᵀx) with x = (WᵀW)^rounds·1; zero where x is."""
    x = np.ones(w.shape[1], w.dtype)
    for _ in range(rounds):
        x = w.T @ (w @ x)
        norm = np.sqrt(np.sum(x * x))
        if not norm:
            return 0 * w
        x = x / norm if normalise else x
    return np.outer(w @ x, x) / np.sum(x * x)


def _on_gram(w: Array) -> Array:
    gram, x = w.T @ w, np.ones(w.shape[1], w.dtype)
    for _ in range(10):
        x = gram @ x
        x = x / np.max(np.abs(x)) if x.any() else x
    return np.outer(w @ x, x) / np.dot(x, x) if x.any() else 0 * w


def by_svd(w: Array, which: int = 0) -> Array:
    """σ·u·vᵀ of one singular value; NaN for what is not finite."""
    if not np.isfinite(w).all():
        return w * np.nan
    left, values, right = np.linalg.svd(w, full_matrices=False)
    which = min(which, values.size - 1)
    return np.asarray(values[which] * np.outer(left[:, which], right[which]))


def spectral(of: Callable[[Array], Array], **declared: Any) -> dict[str, Any]:
    """The pieces of a port whose D is ``of`` the parameter as a matrix."""

    def update(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        fresh = self.remember(m, g)
        if not p.size:
            return p, fresh
        x = p.dtype.type(self.scale(p.shape)) * self.orthogonalise(self.look(m, g, fresh))
        lr, wd = p.dtype.type(self.lr()), p.dtype.type(self.wd())
        pulled = of(self.matrix(p)).reshape(p.shape) if wd else 0 * p
        return p - lr * (x + wd * pulled), fresh

    return {"update": update, "declared": {"decay_form": "spectral", **declared}}


RIGHT_SPECTRAL: tuple[Row, ...] = (
    ("spectral", "spectral decay, x normalised in each round", spectral(iterated)),
    ("spectral-plain", "spectral decay, x not normalised", spectral(lambda w: iterated(w, normalise=False))),
    ("spectral-gram", "spectral decay on WᵀW", spectral(_on_gram)),
    ("spectral-two-rounds", "two rounds, declared", spectral(lambda w: iterated(w, 2), rounds=2)),
    ("spectral-svd", "spectral decay by SVD", spectral(by_svd, decay_form="spectral-svd")),
)  # fmt: skip
"""Ways in which no check may accuse it."""
