"""Wrong momenta, look-aheads, norms and ε of Muon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.base import Array
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.numpy_ports.pieces import Pair
from signopt.conformance.numpy_ports.variant import Row
from signopt.conformance.port import Arrays

__all__ = ["DIRECTION", "NORM", "NORM_DOUBLE"]


def _unequal_correction(self: MuonPort, m: Array, g: Array, fresh: Array) -> Array:
    beta, t = self.beta(), self.t + 1
    if not self.nesterov():
        return fresh / fresh.dtype.type(1 - beta**t)
    return fresh.dtype.type(beta / (1 - beta ** (t + 1))) * fresh + g.dtype.type((1 - beta) / (1 - beta**t)) * g


def _after_orthogonalising(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    fresh = self.blend(m, self.orthogonalise(g), self.beta()) if p.size else m
    s = p.dtype.type(self.scale(p.shape)) * self.look(m, g, fresh)
    return self.move(p, s, self.lr(), self.decay(name, p, s)), fresh


def _alternating(self: MuonPort, m: Array, g: Array) -> Array:
    return self.blend(m, g, self.beta()) if self.t % 2 == 0 else m.dtype.type(self.beta()) * m + g


def _normalised_in_place(self: MuonPort, name: str, old: Pair, new: Pair) -> Pair:
    if self.nesterov() or not new[1].any():
        return new
    return new[0], new[1] / np.linalg.norm(new[1]).astype(new[1].dtype)


def _joined(self: MuonPort, grads: Arrays) -> None:
    MuonPort.step(self, grads)
    kept: dict[Any, Array] = {}
    self.m = {name: kept.setdefault((m.shape, m.dtype, m.tobytes()), m) for name, m in self.m.items()}


def _norm_of(which: Callable[[Array, Array], Array]) -> dict[str, Any]:
    """The norm of the gradient or of the new momentum for that of what is orthogonalised."""

    def look(self: MuonPort, m: Array, g: Array, fresh: Array) -> Array:
        self.memo["norm of another"] = np.linalg.norm(which(g, fresh))
        return MuonPort.look(self, m, g, fresh)

    return {"look": look, "norm": lambda self, x: x.dtype.type(self.memo["norm of another"])}


def _divided(divisor: Any) -> dict[str, Any]:
    """Another norm, ε as ever."""
    return {"norm": lambda self, x: np.asarray(divisor(x), x.dtype)[()]}


def _by_axis(axis: int) -> dict[str, Any]:
    def normalise(self: MuonPort, x: Array) -> Array:
        norms = np.sqrt(np.sum(x * x, axis=axis, keepdims=True)) + x.dtype.type(self.eps())
        return x / np.where(norms == 0, 1, norms)

    return {"normalise": normalise}


def _eps(value: Any) -> dict[str, Any]:
    return {"eps": lambda self: float(value(self.hyper["eps"]))}


def _of_the_norm_alone(self: MuonPort, x: Array) -> Array:
    return MuonPort.normalise(self, x) * (self.norm(x) / self.norm(x))


DIRECTION: list[Row] = [
    ("look-ahead-missing", "no look-ahead, whatever is asked", {"look": lambda self, m, g, fresh: fresh}),
    ("look-ahead-always", "look-ahead, whatever is asked", {"nesterov": lambda self: True}),
    ("look-ahead-inverted", "look-ahead where none is asked for, and none where it is", {
        "nesterov": lambda self: not self.hyper["nesterov"]}),
    ("look-ahead-old", "the look-ahead of the old momentum", {
        "look": lambda self, m, g, fresh: self.blend(m, g, self.beta()) if self.nesterov() else fresh}),
    ("look-ahead-grokfast", "g + m for the look-ahead, with m an average (heavyball)", {
        "look": lambda self, m, g, fresh: g + fresh if self.nesterov() else fresh}),
    ("look-ahead-mixed", "g + βm for the look-ahead, with m an average", {
        "look": lambda self, m, g, fresh: g + g.dtype.type(self.beta()) * fresh if self.nesterov() else fresh}),
    ("look-ahead-mixed-sum", "(1−β)g + βm for the look-ahead, with m a sum", {
        "remember": lambda self, m, g: m.dtype.type(self.beta()) * m + g}),
    ("look-ahead-swapped", "βg + (1−β)m for the look-ahead", {
        "look": lambda self, m, g, fresh: self.blend(fresh, g, 1 - self.beta()) if self.nesterov() else fresh}),
    ("look-ahead-twice", "the look-ahead taken twice", {
        "look": lambda self, m, g, fresh: (
            self.blend(self.blend(fresh, g, self.beta()), g, self.beta()) if self.nesterov() else fresh)}),
    ("look-ahead-minus", "the momentum subtracted in the look-ahead", {
        "look": lambda self, m, g, fresh: self.blend(-fresh, g, self.beta()) if self.nesterov() else fresh}),
    ("look-ahead-kept", "the look-ahead kept as the momentum", {
        "remember": lambda self, m, g: MuonPort.look(self, m, g, self.blend(m, g, self.beta())),
        "look": lambda self, m, g, fresh: fresh}),
    ("look-ahead-by-tenth", "the look-ahead with 0.9 for β", {
        "look": lambda self, m, g, fresh: self.blend(fresh, g, 0.9) if self.nesterov() else fresh}),
    ("momentum-old", "the momentum before the step orthogonalised", {
        "look": lambda self, m, g, fresh: m if not self.nesterov() else self.blend(fresh, g, self.beta())}),
    ("momentum-unused", "the gradient orthogonalised", {"look": lambda self, m, g, fresh: g}),
    ("momentum-of-x", "momentum of the orthogonalised gradient", {"update": _after_orthogonalising}),
    ("momentum-swapped", "(1−β)m + βg", {"remember": lambda self, m, g: self.blend(m, g, 1 - self.beta())}),
    ("momentum-alternating", "an average and a sum in turn", {"remember": _alternating}),
    ("momentum-corrected", "Adam's bias correction on what is orthogonalised", {
        "look": lambda self, m, g, fresh: (
            MuonPort.look(self, m, g, fresh) / g.dtype.type(1 - self.beta() ** (self.t + 1)))}),
    ("momentum-corrected-unequally", "bias corrections of t + 1 and t under look-ahead (optax)", {
        "look": _unequal_correction}),
    ("momentum-beta-squared", "β² for β in the momentum", {
        "remember": lambda self, m, g: self.blend(m, g, self.beta() ** 2)}),
    ("momentum-beta-default", "β = 0.95 whatever is given", {"beta": lambda self: 0.95}),
    ("momentum-beta-float16", "β held in float16", {"beta": lambda self: float(np.float16(self.hyper["beta"]))}),
    ("momentum-normalised", "the momentum overwritten by what it is normalised to (torch, bfloat16)", {
        "tamper": _normalised_in_place}),
    ("momentum-reset-every-thousandth", "momentum zeroed at every thousandth step", {
        "tamper": lambda self, name, old, new: (new[0], new[1] * new[1].dtype.type(self.t % 1000 != 999))}),
    ("momentum-beta-late", "a smaller β after two hundred steps", {
        "beta": lambda self: self.hyper["beta"] * (1.0 if self.t < 200 else 0.98)}),
    ("momentum-joined", "equal momenta of one shape kept once from then on", {"step": _joined}),
    ("momentum-warmed", "β raised from 0.85 over the first steps (modded-nanogpt)", {
        "beta": lambda self: min(self.hyper["beta"], 0.85 + 0.01 * self.t)}),
]  # fmt: skip


NORM: list[Row] = [
    ("norm-spectral", "the largest singular value for the Frobenius norm", _divided(
        lambda x: np.linalg.norm(x, 2) if np.isfinite(x).all() and x.size else np.sqrt(np.sum(x * x)))),
    ("norm-nuclear", "the sum of the singular values for the Frobenius norm", _divided(
        lambda x: np.linalg.norm(x, "nuc") if np.isfinite(x).all() else np.sqrt(np.sum(x * x)))),
    ("norm-largest", "the largest element for the Frobenius norm", _divided(lambda x: np.max(np.abs(x)))),
    ("norm-ones", "the sum of the magnitudes for the Frobenius norm", _divided(lambda x: np.sum(np.abs(x)))),
    ("norm-rms", "the root mean square for the norm", _divided(lambda x: np.sqrt(np.mean(x * x)))),
    ("norm-squared", "the squared norm", _divided(lambda x: np.sum(x * x))),
    ("norm-of-rows", "each row normalised", _by_axis(1)),
    ("norm-of-columns", "each column normalised", _by_axis(0)),
    ("norm-missing", "no norm", {"normalise": lambda self, x: x}),
    ("norm-at-least-one", "small matrices not enlarged: max(1, norm)", {
        "divisor": lambda self, x: np.maximum(self.norm(x), x.dtype.type(1))}),
    ("norm-safety", "the norm times 1.02, as Polar Express takes it", _divided(
        lambda x: 1.02 * float(np.sqrt(np.sum(x * x))))),
    ("norm-of-gradient", "divided by the norm of the gradient", _norm_of(lambda g, fresh: g)),
    ("norm-of-momentum", "divided by the norm of the momentum", _norm_of(lambda g, fresh: fresh)),
    ("norm-first-kept", "the norm of the first step kept", {
        "norm": lambda self, x: self.memo.setdefault(("norm", x.shape), MuonPort.norm(self, x))}),
    ("norm-without-last", "the last element left out of the norm", _divided(
        lambda x: np.sqrt(np.sum(x.ravel()[: max(1, x.size - 1)] ** 2)))),
    ("norm-first-64-columns", "columns after the 64th left out of the norm", _divided(
        lambda x: np.sqrt(np.sum(x[:, :64] ** 2)))),
    ("epsilon-missing", "no ε", _eps(lambda eps: 0.0)),
    ("epsilon-default", "ε = 1e-7 whatever is given", _eps(lambda eps: 1e-7)),
    ("epsilon-1e-8", "ε = 1e-8 whatever is given", _eps(lambda eps: 1e-8)),
    ("epsilon-squared", "ε² for ε", _eps(lambda eps: eps * eps)),
    ("epsilon-thousandfold", "a thousand times ε", _eps(lambda eps: 1000 * eps)),
    ("epsilon-falsy", "an ε of 0 replaced by 1e-7", _eps(lambda eps: eps or 1e-7)),
    ("epsilon-in-root", "√(‖u‖² + ε)", {
        "divisor": lambda self, x: np.sqrt(np.sum(x * x) + x.dtype.type(self.eps()))}),
    ("epsilon-in-root-squared", "√(‖u‖² + ε²)", {
        "divisor": lambda self, x: np.sqrt(np.sum(x * x) + x.dtype.type(self.eps()) ** 2)}),
    ("epsilon-added-later", "ε added at each application", {
        "polynomial": lambda self, x, a, b, c: (
            MuonPort.polynomial(self, x, a, b, c) * x.dtype.type(1 - min(self.eps(), 0.5)))}),
    ("epsilon-added-to-elements", "ε added to every element", {
        "normalise": lambda self, x: (x + x.dtype.type(self.eps())) / np.sqrt(np.sum(x * x)) if x.any() else x}),
    ("epsilon-by-sides", "ε times √(columns/rows)", {
        "divisor": lambda self, x: self.norm(x) + x.dtype.type(self.eps() * (x.shape[1] / x.shape[0]) ** 0.5)}),
    ("epsilon-by-size", "ε times the number of elements", {
        "divisor": lambda self, x: self.norm(x) + x.dtype.type(self.eps() * x.size)}),
    ("epsilon-by-root-of-size", "ε times the root of the number of elements", {
        "divisor": lambda self, x: self.norm(x) + x.dtype.type(self.eps() * x.size**0.5)}),
    ("epsilon-either", "ε added where tall, and the least norm elsewhere", {
        "divisor": lambda self, x: (
            self.norm(x) + x.dtype.type(self.eps()) if x.shape[0] == x.shape[1]
            else np.maximum(self.norm(x), x.dtype.type(self.eps())))}),
    ("epsilon-first-step", "no ε after the first step", {
        "eps": lambda self: float(self.hyper["eps"]) if self.t == 0 else 0.0}),
    ("zero-is-nan", "NaN where u is zero, whatever ε", {"normalise": _of_the_norm_alone}),
    ("zero-skipped", "no decay where what is orthogonalised is zero", {
        "move": lambda self, p, s, lr, wd: MuonPort.move(self, p, s, lr, wd) if np.any(s) else p}),
    ("infinite-norm-skipped", "no step where the norm is not finite", {
        "move": lambda self, p, s, lr, wd: MuonPort.move(self, p, s, lr, wd) if np.isfinite(s).all() else p}),
    ("x-nan-zeroed", "NaN in X replaced by zero", {
        "unfolded": lambda self, x, u: np.nan_to_num(MuonPort.unfolded(self, x, u))}),
    ("small-u-skipped", "no step where the norm is below 1e-12", {
        "normalise": lambda self, x: MuonPort.normalise(self, x) if self.norm(x) > 1e-12 else 0 * x}),
]  # fmt: skip


NORM_DOUBLE: list[Row] = [
    ("norm-single", "the norm of float64 in float32", _divided(
        lambda x: np.sqrt(np.sum(x.astype(np.float32) ** 2)))),
    ("epsilon-plus-rounding", "ε held in float32", _eps(lambda eps: float(np.float32(eps)))),
]  # fmt: skip
