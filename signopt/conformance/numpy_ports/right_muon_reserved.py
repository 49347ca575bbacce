"""Muon ports that are right and can be asked less: what is fixed, hidden, refused or left to another rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.base import Array
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.numpy_ports.muon_forms import JORDAN, stored, sum_form
from signopt.conformance.port import Arrays

__all__ = ["RESERVED"]


def _adamw(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    """AdamW with β 0.9 and 0.95; its second moment is kept beside."""
    t, v = self.t + 1, self.memo.get(name, np.zeros_like(p))
    m, self.memo[name] = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g * g
    step = (m / (1 - 0.9**t)) / (np.sqrt(self.memo[name] / (1 - 0.95**t)) + 1e-8)
    return self.move(p, step.astype(p.dtype), self.lr(), self.wd()), m.astype(p.dtype)


def _hybrid(is_matrix: Callable[[int], bool]) -> dict[str, Any]:
    def update(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        return MuonPort.update(self, name, p, g, m) if is_matrix(p.ndim) else _adamw(self, name, p, g, m)

    return {"accept": lambda self, name, param: None, "update": update}


def _lion_for_others(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    """Matrices by Muon, what is no matrix by Lion with β 0.9 and 0.99."""
    if p.ndim == 2:
        return MuonPort.update(self, name, p, g, m)
    sign = np.sign(0.9 * m + 0.1 * g).astype(p.dtype)
    return self.move(p, sign, self.lr(), self.wd()), (0.99 * m + 0.01 * g).astype(p.dtype)


def _momentum_for_vectors() -> dict[str, Any]:
    def update(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        if p.ndim > 1:
            return MuonPort.update(self, name, p, g, m)
        fresh = self.remember(m, g)
        return self.move(p, fresh, self.lr(), self.wd()), fresh

    return {"accept": lambda self, name, param: None, "update": update}


def _strict_axes(self: MuonPort, name: str, param: Array) -> None:
    if param.ndim != 2 or not param.size:
        raise ValueError(f"{name!r} is not a matrix")


def _demanding(self: MuonPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    if hyper["lr"] <= 0 or hyper["eps"] <= 0 or hyper["ns_steps"] < 1 or not 0 < hyper["beta"] < 1:
        raise ValueError("lr, eps, ns_steps and beta must be positive")
    if hyper["adjust_lr_fn"] is None:
        raise ValueError("adjust_lr_fn must be a name")
    MuonPort.init(self, params, hyper, momentum)


def _from_zero(self: MuonPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    if momentum is not None:
        raise NotImplementedError("starts from zero")
    MuonPort.init(self, params, hyper)


def _fixed(**values: Any) -> dict[str, Any]:
    """A port whose own constructor has no such arguments."""

    def init(self: MuonPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        MuonPort.init(self, params, {**hyper, **values}, momentum)

    def configure(self: MuonPort, hyper: Mapping[str, Any]) -> None:
        MuonPort.configure(self, {**hyper, **values})

    return {"init": init, "configure": configure, "declared": {"fixed": list(values)}}


_DEFAULT_ITERATION = _fixed(ns_coefficients=JORDAN, ns_steps=5, eps=1e-7)


def _step_of_some(self: MuonPort, grads: Arrays) -> None:
    """A step of the tensors that have a gradient."""
    with np.errstate(all="ignore"):
        for name, grad in grads.items():
            self.advance(name, grad)
    self.t += 1
    self.memo.setdefault("stepped", set()).update(grads)


def _momentum_of_all_or_none(self: MuonPort) -> Arrays | None:
    return MuonPort.momentum(self) if {*self.m} <= self.memo.get("stepped", set()) else None


_HIDDEN = {"momentum": lambda self: None}
_UNSETTABLE = {"init": _from_zero}

RESERVED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("two-axes-only", "refuses all but two axes, and empty tensors", {"accept": _strict_axes}),
    ("demanding", "refuses zeros where they make no sense", {"init": _demanding}),
    ("fixed-iteration", "coefficients, steps and ε fixed", _DEFAULT_ITERATION),
    ("fixed-look-ahead", "always with look-ahead", _fixed(nesterov=True)),
    ("fixed-all", "only rate and decay can be set", _fixed(
        beta=0.95, nesterov=True, ns_coefficients=JORDAN, ns_steps=5, eps=1e-7, adjust_lr_fn="original")),
    ("fixed-hidden-sum", "coefficients and ε fixed, a sum, not shown and not settable",
        {**_DEFAULT_ITERATION, "blend": sum_form, **_HIDDEN}),
    ("hybrid-adamw", "what is no matrix by AdamW", _hybrid(lambda axes: axes == 2)),
    ("hybrid-vectors", "vectors by AdamW, the rest by Muon", _hybrid(lambda axes: axes >= 2)),
    ("hybrid-lion", "what is no matrix by Lion", {
        "accept": lambda self, name, param: None, "update": _lion_for_others}),
    ("hybrid-declared", "vectors by momentum, declared", {**_momentum_for_vectors(),
        "declared": {"other_rule": ["vectors"]}}),
    ("hidden-unsettable", "neither shows its momentum nor lets it be set", {**_HIDDEN, **_UNSETTABLE}),
    ("unsettable-sum", "a sum that always starts from zero", {**_UNSETTABLE, "blend": sum_form}),
    ("bfloat16-fixed", "a bfloat16 iteration, coefficients and steps fixed",
        {**stored("bfloat16"), **_fixed(ns_coefficients=JORDAN, ns_steps=5),
         "declared": {"ns_dtype": "bfloat16", "fixed": ["ns_coefficients", "ns_steps"]}}),
    ("absent-left-alone", "a tensor without a gradient is left as it is", {"step": _step_of_some}),
    ("shown-when-whole", "the same; no momentum is shown until every tensor has had a gradient",
        {"step": _step_of_some, "momentum": _momentum_of_all_or_none}),
    ("sum-hidden", "the momentum as a sum, not shown", {"blend": sum_form, **_HIDDEN}),
)  # fmt: skip
