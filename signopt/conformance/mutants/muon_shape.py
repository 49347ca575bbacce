"""Wrong sides, shapes, scales and roles of Muon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.numpy_ports.variant import Row
from signopt.conformance.port import Arrays

__all__ = ["SHAPE"]


def _unflipped_by_reshape(self: MuonPort, u: Array) -> Array:
    x = self.matrix(u)
    flips = self.flips(x)
    return self.iterate(self.normalise(x.T if flips else x)).reshape(u.shape)


def _transposed_back(self: MuonPort, u: Array) -> Array:
    x = MuonPort.orthogonalise(self, u)
    return x.T.copy() if u.ndim == 2 and u.shape[0] == u.shape[1] else x


def _batched(ndims: tuple[int, ...]) -> dict[str, Any]:
    """The last two axes as matrices, all others as a batch."""

    def orthogonalise(self: MuonPort, u: Array) -> Array:
        if u.ndim not in ndims:
            return MuonPort.orthogonalise(self, u)
        flat = u.reshape(-1, *u.shape[-2:])
        return np.stack([MuonPort.orthogonalise(self, each) for each in flat]).reshape(u.shape)

    return {"orthogonalise": orthogonalise}


def _sides(rows: Any, columns: Any) -> dict[str, Any]:
    return {"sides": lambda self, shape: (int(rows(shape)), int(columns(shape)))}


def _scaled(scale: Any) -> dict[str, Any]:
    """Another scale; ``scale(rows, columns, choice)``."""
    return {"scale": lambda self, shape: float(scale(*self.sides(shape), self.hyper["adjust_lr_fn"]))}


def _right(rows: int, columns: int, choice: str | None) -> float:
    return float(0.2 * max(rows, columns) ** 0.5 if choice == "match_rms_adamw" else max(1.0, rows / columns) ** 0.5)


def _adjusted_decay(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    fresh = self.remember(m, g)
    if not p.size:
        return p, fresh
    x, scale = self.orthogonalise(self.look(m, g, fresh)), self.scale(p.shape)
    return self.move(p, x, self.lr() * scale, self.decay(name, p, x)), fresh


def _by_name(*parts: str) -> dict[str, Any]:
    """Tensors with such names stepped along their momentum: a role that nobody gave."""

    def update(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        if not any(part in name for part in parts):
            return MuonPort.update(self, name, p, g, m)
        fresh = self.remember(m, g)
        return self.move(p, fresh, self.lr(), self.wd()), fresh

    return {"update": update}


def _vectors_by_momentum(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    if p.ndim > 1:
        return MuonPort.update(self, name, p, g, m)
    fresh = self.remember(m, g)
    return self.move(p, fresh, self.lr(), self.wd()), fresh


def _signs_of_axes(self: MuonPort, u: Array) -> Array:
    return np.sign(u) if u.ndim > 2 else MuonPort.orthogonalise(self, u)


def _absent_as_zero(self: NumpyPort, grads: Arrays) -> None:
    NumpyPort.step(self, {name: grads.get(name, np.zeros_like(p)) for name, p in self.p.items()})


def _across(self: MuonPort, grads: Arrays) -> None:
    """Tensors of one shape orthogonalised as one matrix, side by side (dion before its #121)."""
    names = [n for n in self.p if sum(self.p[o].shape == self.p[n].shape for o in self.p) > 1 and self.p[n].ndim == 2]
    self.memo["mates"] = {n: [o for o in names if self.p[o].shape == self.p[n].shape] for n in names}
    self.memo["grads"] = {n: np.asarray(grads[n]) for n in grads}
    NumpyPort.step(self, grads)


def _with_mates(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    mates = self.memo.get("mates", {}).get(name, [])
    if len(mates) < 2 or any(mate not in self.memo["grads"] for mate in mates):
        return MuonPort.update(self, name, p, g, m)
    fresh = self.remember(m, g)
    u = np.concatenate([
        g if mate == name else self.memo["grads"][mate].astype(g.dtype) for mate in mates
    ], axis=1)  # fmt: skip
    x = self.orthogonalise(u)
    width, at = p.shape[1], mates.index(name)
    s = p.dtype.type(self.scale(p.shape)) * x[:, at * width : (at + 1) * width]
    return self.move(p, s, self.lr(), self.wd()), fresh


def _lerp_into_gradient(self: MuonPort, grads: Arrays, name: str) -> Array:
    """The look-ahead written into the caller's gradient (KellerJordan, timm, pytorch_optimizer)."""
    given = np.array(grads[name])
    if self.nesterov() and isinstance(grads[name], np.ndarray) and grads[name].flags.writeable:
        fresh = self.remember(self.m[name].astype(given.dtype), given)
        grads[name][...] = self.look(self.m[name].astype(given.dtype), given, fresh)
    return given


def _aliased_momentum(self: MuonPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    MuonPort.init(self, params, hyper, momentum)
    if momentum is not None:
        self.m = dict(momentum)


def _remembered_by_gradient(self: MuonPort, u: Array) -> Array:
    """X taken from a cache whose key is the sum of u."""
    key = f"{u.shape} {float(np.float32(np.sum(np.abs(u))))}"
    if key not in self.memo:
        self.memo[key] = MuonPort.orthogonalise(self, u)
    return self.memo[key]


def _cautious(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    fresh = self.remember(m, g)
    if not p.size:
        return p, fresh
    x = self.orthogonalise(self.look(m, g, fresh))
    s = p.dtype.type(self.scale(p.shape)) * x * (x * g > 0)
    return self.move(p, s, self.lr(), self.wd()), fresh


SHAPE: list[Row] = [
    ("flip-by-reshape", "tall matrices turned back by a reshape", {"orthogonalise": _unflipped_by_reshape}),
    ("square-x-transposed", "Xᵀ for square matrices", {"orthogonalise": _transposed_back}),
    ("axes-last", "three and more axes flattened to all others by the last", {
        "matrix": lambda self, x: x.reshape(-1, x.shape[-1]) if x.ndim > 2 else x.reshape(x.shape[0], -1)}),
    ("axes-two-by-two", "four axes flattened to two by two", {
        "matrix": lambda self, x: (
            x.reshape(x.shape[0] * x.shape[1], -1) if x.ndim == 4 else x.reshape(x.shape[0], -1))}),
    ("axes-rows-fortran", "X folded back in Fortran order", {
        "unfolded": lambda self, x, u: x.reshape(u.shape, order="F" if u.ndim > 2 else "C").astype(u.dtype)}),
    ("axes-three-batched", "three axes taken as a batch of matrices (KellerJordan)", _batched((3,))),
    ("axes-four-batched", "four axes taken as a batch of matrices (dion)", _batched((4,))),
    ("axes-all-batched", "all but the last two axes taken as a batch", _batched((3, 4, 5))),
    ("axes-by-sign", "tensors of three axes and more stepped by their sign", {"orthogonalise": _signs_of_axes}),
    ("axes-squeezed", "axes of length one dropped before flattening", {
        "matrix": lambda self, x: x.reshape(
            next((n for n in x.shape if n > 1), 1), -1) if x.ndim > 2 else x.reshape(x.shape[0], -1)}),
    ("scale-kernel", "the scale from the last two axes of the kernel (KellerJordan's conv)", _sides(
        lambda shape: shape[-2], lambda shape: shape[-1])),
    ("scale-second-axis", "the scale from the first two axes", _sides(
        lambda shape: shape[0], lambda shape: shape[1])),
    ("scale-inputs-first", "the scale of the transposed matrix, undeclared", _sides(
        lambda shape: np.prod(shape[1:]), lambda shape: shape[0])),
    ("scale-missing", "no scale (tinygrad)", _scaled(lambda r, c, choice: 1.0)),
    ("scale-missing-original", "no scale unless matched to AdamW (keras)", _scaled(
        lambda r, c, choice: _right(r, c, choice) if choice == "match_rms_adamw" else 1.0)),
    ("scale-original-always", "√max(1, rows/columns) whatever is asked", _scaled(
        lambda r, c, choice: _right(r, c, "original"))),
    ("scale-matched-always", "0.2·√max(rows, columns) whatever is asked", _scaled(
        lambda r, c, choice: _right(r, c, "match_rms_adamw"))),
    ("scale-exchanged", "the two scales exchanged (pytorch_optimizer 7a076d2)", _scaled(
        lambda r, c, choice: _right(r, c, "original" if choice == "match_rms_adamw" else "match_rms_adamw"))),
    ("scale-without-max", "√(rows/columns) without the 1 (dion)", _scaled(
        lambda r, c, choice: _right(r, c, choice) if choice == "match_rms_adamw" else (r / c) ** 0.5)),
    ("scale-without-root", "max(1, rows/columns) without the root", _scaled(
        lambda r, c, choice: _right(r, c, choice) if choice == "match_rms_adamw" else max(1.0, r / c))),
    ("scale-least", "0.2·√min(rows, columns)", _scaled(
        lambda r, c, choice: 0.2 * min(r, c) ** 0.5 if choice == "match_rms_adamw" else _right(r, c, choice))),
    ("scale-without-fifth", "√max(rows, columns) without 0.2 (NVIDIA)", _scaled(
        lambda r, c, choice: max(r, c) ** 0.5 if choice == "match_rms_adamw" else _right(r, c, choice))),
    ("scale-whole-ratio", "rows // columns in the scale", _scaled(
        lambda r, c, choice: _right(r, c, choice) if choice == "match_rms_adamw" else max(1.0, r // c) ** 0.5)),
    ("scale-capped", "a scale of 2 at most", _scaled(lambda r, c, choice: min(2.0, _right(r, c, choice)))),
    ("scale-capped-high", "a ratio of 10 at most in the scale", _scaled(
        lambda r, c, choice: _right(r if choice == "match_rms_adamw" else min(r, 10 * c), c, choice))),
    ("scale-matched-capped-high", "a side of 64 at most in the matched scale", _scaled(
        lambda r, c, choice: (
            _right(min(r, 64), min(c, 64), choice) if choice == "match_rms_adamw" else _right(r, c, choice)))),
    ("scale-matched-capped", "a matched scale of 1 at most", _scaled(
        lambda r, c, choice: min(1.0, _right(r, c, choice)) if choice == "match_rms_adamw" else _right(r, c, choice))),
    ("decay-small-dropped", "no decay where η·λ is not above 1e-5", {
        "wd": lambda self: self.hyper["weight_decay"] if self.lr() * self.hyper["weight_decay"] > 1e-5 else 0.0}),
    ("scale-on-decay", "the decay with the scaled rate", {"update": _adjusted_decay}),
    ("scale-one-sixth", "0.18 for 0.2", _scaled(
        lambda r, c, choice: _right(r, c, choice) * (0.9 if choice == "match_rms_adamw" else 1.0))),
    ("scale-first-kept", "the scale of the first tensor for all", {
        "scale": lambda self, shape: self.memo.setdefault("scale", MuonPort.scale(self, shape))}),
    ("vectors-by-momentum", "tensors of one axis stepped along their momentum (mlx)", {
        "accept": lambda self, name, param: None, "update": _vectors_by_momentum}),
    ("vectors-as-columns", "tensors of one axis taken as columns", {
        "accept": lambda self, name, param: None,
        "matrix": lambda self, x: x.reshape(x.shape[0] if x.ndim else 1, -1)}),
    ("role-embedding", "embeddings stepped along their momentum, by name (keras)", _by_name("embed")),
    ("role-head", "heads stepped along their momentum, by name", _by_name("lm_head")),
    ("role-bias", "biases stepped along their momentum, by name", _by_name("bias", "norm")),
    ("absent-as-zero", "a missing gradient taken as zero (KellerJordan #54)", {"step": _absent_as_zero}),
    ("stack-mixed", "tensors of one shape orthogonalised together (dion before #121)", {
        "step": _across, "update": _with_mates}),
    ("gradient-lerped", "the look-ahead written into the caller's gradient (KellerJordan)", {
        "fetch": _lerp_into_gradient}),
    ("momentum-aliased", "the momentum that is given overwritten", {"init": _aliased_momentum}),
    ("x-remembered", "X looked up by the sum of what is orthogonalised", {"orthogonalise": _remembered_by_gradient}),
    ("x-cautious", "X masked where it disagrees with the gradient (modded-nanogpt)", {"update": _cautious}),
    ("x-reversed", "ascent: X added", {"move": lambda self, p, s, lr, wd: MuonPort.move(self, p, -s, lr, wd)}),
    ("square-skipped", "square matrices left alone", {
        "update": lambda self, name, p, g, m: (
            (p, self.remember(m, g)) if p.ndim == 2 and p.shape[0] == p.shape[1]
            else MuonPort.update(self, name, p, g, m))}),
    ("rows-of-one-plain", "matrices of one row or column only normalised", {
        "orthogonalise": lambda self, u: (
            u / (np.linalg.norm(u).astype(u.dtype) + u.dtype.type(self.eps()))
            if min(self.matrix(u).shape) == 1 and u.any() else MuonPort.orthogonalise(self, u))}),
]  # fmt: skip
