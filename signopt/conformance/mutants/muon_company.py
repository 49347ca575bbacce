"""Wrong Muons that are right alone: among twins, under given momenta, beside NaN, with what the caller handed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.base import Array
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.numpy_ports.variant import Row
from signopt.conformance.port import Arrays

__all__ = ["COMPANY"]

Momenta = Mapping[str, Array]


def _large_rescaled(self: MuonPort, grads: Arrays, name: str) -> Array:
    grad, most = grads[name], float(np.abs(grads[name]).max(initial=0.0))
    if not 1e3 < most < np.inf:
        return grad
    grad /= grad.dtype.type(most)
    return grad * grad.dtype.type(most)


def _given(change: Callable[[Momenta, Arrays], Momenta]) -> dict[str, Any]:
    """Given momenta misread."""

    def init(self: MuonPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        MuonPort.init(self, params, hyper, momentum and change(momentum, params))

    return {"init": init}


def _sorted(momentum: Momenta, params: Arrays) -> Momenta:
    alike = len({(m.shape, m.dtype.name) for m in momentum.values()}) == 1
    return dict(zip(params, (momentum[name] for name in sorted(momentum)), strict=True)) if alike else momentum


def _by_place(momentum: Momenta, params: Arrays) -> Momenta:
    alike = len({(m.shape, m.dtype.name) for m in momentum.values()}) == 1
    return dict(zip(params, momentum.values(), strict=True)) if alike else momentum


def _in_memory_order(momentum: Momenta, params: Arrays) -> Momenta:
    return {name: np.ravel(m, order="K").reshape(m.shape) for name, m in momentum.items()}


def _shared(alike: Callable[[str, Array], Any]) -> dict[str, Any]:
    """One momentum for all tensors of which ``alike`` and the size are the same."""

    def init(self: MuonPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        MuonPort.init(self, params, hyper, momentum)
        slots: dict[Any, Array] = {}
        for name, m in self.m.items():
            slot = slots.setdefault((alike(name, m), m.size, m.dtype.name), m)
            self.m[name] = slot.reshape(m.shape)

    return {"init": init}


def _matrix_of_axes(name: str, m: Array) -> Any:
    return m.shape[0] if m.ndim > 2 else (name, m.shape)


def _slots_by_place(self: MuonPort, grads: Arrays) -> None:
    slots = list(self.m)
    for slot, name in zip(slots, (name for name in self.p if name in grads), strict=False):
        if self.m[slot].shape == self.m[name].shape and self.m[slot].dtype == self.m[name].dtype:
            own, self.m[name] = self.m[name], self.m[slot]
            self.advance(name, grads[name])
            self.m[name] = own
        else:
            self.advance(name, grads[name])
    self.t += 1


def _buffer_by_shape(self: MuonPort, grads: Arrays) -> None:
    """Every X first, in one buffer for each shape; then every parameter."""
    buffers: dict[Any, Array] = {}
    moves: dict[str, tuple[Array, Array, Array]] = {}
    with np.errstate(all="ignore"):
        for name, grad in grads.items():
            work = self.compute(self.p[name].dtype)
            p, m, g = (np.asarray(each).astype(work) for each in (self.p[name], self.m[name], grad))
            fresh, x = self.remember(m, g), buffers.setdefault((p.shape, work.name), np.empty_like(p))
            if p.size:
                x[...] = self.orthogonalise(self.look(m, g, fresh))
            moves[name] = p, fresh, x
        for name, (p, fresh, x) in moves.items():
            s = p.dtype.type(self.scale(p.shape) if p.size else 1) * x
            self.keep(name, self.move(p, s, self.lr(), self.decay(name, p, s)), fresh)
    self.t += 1


def _noted(self: MuonPort, grads: Arrays, name: str) -> Array:
    self.memo["object"] = id(grads[name])
    return grads[name]


def _by_object(self: MuonPort, u: Array) -> Array:
    key = f"X {self.t} {self.memo['object']} {u.shape}"
    if key not in self.memo:
        self.memo[key] = MuonPort.orthogonalise(self, u)
    return self.memo[key]


def _cleaned(where: Callable[[Array], bool]) -> dict[str, Any]:
    """NaN taken for zero in the gradients of some tensors."""
    return {"gradient": lambda self, name, p, g: np.nan_to_num(g, posinf=np.inf, neginf=-np.inf) if where(g) else g}


def _momentum_beside_nan(change: Callable[[Array, Array], Array]) -> dict[str, Any]:
    """Another momentum for a tensor whose new one has a NaN or an infinity: of the old and the new one."""

    def remember(self: MuonPort, m: Array, g: Array) -> Array:
        fresh = MuonPort.remember(self, m, g)
        return fresh if np.isfinite(fresh).all() else change(m, fresh).astype(fresh.dtype)

    return {"remember": remember}


def _clamped(self: MuonPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    most = np.finfo(p.dtype).max
    return MuonPort.move(self, np.where(np.isinf(p), np.sign(p) * most, p).astype(p.dtype), s, lr, wd)


def _small_dropped(self: MuonPort, m: Array, g: Array) -> Array:
    fresh = MuonPort.remember(self, m, g)
    return np.where(np.abs(fresh) < 1e-10 * np.abs(fresh).max(initial=0.0), fresh.dtype.type(0), fresh)


COMPANY: list[Row] = [
    ("gradient-large-rescaled", "a gradient above 1e3 rescaled in the caller's array", {"fetch": _large_rescaled}),
    ("gradient-object-remembered", "X looked up by the gradient object within a step", {
        "fetch": _noted, "orthogonalise": _by_object}),
    ("momentum-given-sorted", "given momenta taken in the sorted order of their names", _given(_sorted)),
    ("momentum-given-by-place", "given momenta taken in the order they come in", _given(_by_place)),
    ("momentum-given-as-stored", "a given momentum read in the order of its memory", _given(_in_memory_order)),
    ("momentum-shared-by-matrix", "one momentum for tensors of several axes that are matrices of one shape",
        _shared(_matrix_of_axes)),
    ("momentum-shared-by-lower-case", "one momentum for names that differ in case alone", _shared(
        lambda name, m: (name.lower(), m.shape))),
    ("momentum-shared-by-underscore", "one momentum for a.b and a_b", _shared(
        lambda name, m: (name.replace(".", "_"), m.shape))),
    ("momentum-slot-by-place", "momenta counted among the gradients that are there", {"step": _slots_by_place}),
    ("momentum-small-dropped", "elements of the momentum below 1e-10 of the largest dropped", {
        "remember": _small_dropped}),
    ("nan-cleaned-if-wide", "NaN taken for zero in wide gradients", _cleaned(
        lambda g: g.ndim == 2 and g.shape[1] > g.shape[0])),
    ("nan-cleaned-of-axes", "NaN taken for zero in gradients of more than two axes", _cleaned(lambda g: g.ndim > 2)),
    ("nan-poisons-momentum", "all of a momentum NaN if one element is", _momentum_beside_nan(
        lambda m, fresh: np.where(np.isfinite(fresh), np.nan, fresh))),
    ("nan-halts-momentum", "a momentum kept as it was wherever another element becomes NaN", _momentum_beside_nan(
        lambda m, fresh: np.where(np.isfinite(fresh), m, fresh))),
    ("param-infinite-clamped", "an infinite parameter taken for the largest number", {"move": _clamped}),
    ("x-buffer-shared", "X of all tensors of a shape in one buffer until parameters are updated", {
        "step": _buffer_by_shape}),
    ("table-8", "tensors after the eighth skipped", {"visit": lambda self: list(self.p)[:8]}),
    ("table-64", "tensors after the 64th skipped", {"visit": lambda self: list(self.p)[:64]}),
    ("table-110", "tensors after the 110th skipped", {"visit": lambda self: list(self.p)[:110]}),
]  # fmt: skip
