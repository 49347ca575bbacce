"""Wrong spectral decays of Muon, declared as such; and one that nobody declared."""

from __future__ import annotations

import numpy as np

from signopt.conformance.numpy_ports.base import Array
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.numpy_ports.muon_spectral import by_svd, iterated, spectral
from signopt.conformance.numpy_ports.variant import Row

__all__ = ["SPECTRAL"]

_BY_SVD = {"decay_form": "spectral-svd"}


def _older_u(w: Array) -> Array:
    """σ̂·u·vᵀ with u from half a round before, as implementations that keep both do."""
    x, u = np.ones(w.shape[1], w.dtype), np.zeros(w.shape[0], w.dtype)
    for _ in range(10):
        u = w @ x
        u = u / max(float(np.linalg.norm(u)), 1e-30)
        x = w.T @ u
        x = x / max(float(np.linalg.norm(x)), 1e-30)
    return np.asarray((u @ w @ x) * np.outer(u, x)).astype(w.dtype)


def _unguarded(w: Array) -> Array:
    x = np.ones(w.shape[1], w.dtype)
    for _ in range(10):
        x = w.T @ (w @ x)
        x = x / np.sqrt(np.sum(x * x))
    return np.outer(w @ x, x)


def _direction(w: Array) -> Array:
    d = iterated(w)
    norm = np.sqrt(np.sum(d * d))
    return d / norm if norm else d


def _kept(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    """x kept from step to step, one round a step."""
    fresh = self.remember(m, g)
    if not p.size:
        return p, fresh
    w = self.matrix(p)
    x = w.T @ (w @ self.memo.get(name, np.ones(w.shape[1], w.dtype)))
    norm = np.linalg.norm(x)
    x = self.memo[name] = (x / norm).astype(p.dtype) if norm else x
    d = np.outer(w @ x, x).reshape(p.shape)
    s = p.dtype.type(self.scale(p.shape)) * self.orthogonalise(self.look(m, g, fresh))
    return p - p.dtype.type(self.lr()) * (s + p.dtype.type(self.wd()) * d), fresh


SPECTRAL: list[Row] = [
    ("spectral-undeclared", "spectral decay in place of the plain one, undeclared", {
        "update": spectral(iterated)["update"]}),
    ("spectral-is-plain", "plain decay where spectral decay is declared", {"declared": {"decay_form": "spectral"}}),
    ("spectral-one-round-short", "nine rounds of the power iteration for ten", spectral(lambda w: iterated(w, 9))),
    ("spectral-one-round", "one round of the power iteration", spectral(lambda w: iterated(w, 1))),
    ("spectral-older-u", "σ·u·vᵀ with u half a round older than v", spectral(_older_u)),
    ("spectral-kept", "x kept from step to step, one round each", {
        **spectral(iterated), "update": _kept}),
    ("spectral-transposed", "the power iteration on W·Wᵀ, from ones", spectral(lambda w: iterated(w.T).T)),
    ("spectral-without-sigma", "u·vᵀ, without the singular value", spectral(_direction)),
    ("spectral-zero-is-nan", "0/0 where the parameter is zero", spectral(_unguarded)),
    ("spectral-svd-for-rounds", "σ₁·u·vᵀ for ten rounds", spectral(by_svd)),
    ("spectral-second", "the second singular value", spectral(lambda w: by_svd(w, 1), **_BY_SVD)),
    ("spectral-squared", "σ₁²·u·vᵀ", spectral(
        lambda w: by_svd(w) * w.dtype.type(np.linalg.norm(w, 2) if np.isfinite(w).all() else np.nan), **_BY_SVD)),
    ("spectral-last-axes", "three and more axes flattened otherwise for the decay than for X", spectral(
        lambda w: iterated(w.reshape(-1, 2)).reshape(w.shape) if w.shape[1] in (6, 12) else iterated(w))),
]  # fmt: skip
