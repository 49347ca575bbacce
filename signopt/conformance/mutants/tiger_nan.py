"""Tiger's rule for NaN got wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.mutants.tiger_published import KOZISTR
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.tiger import TigerPort
from signopt.conformance.numpy_ports.variant import Row
from signopt.conformance.port import Arrays

__all__ = ["NAN"]

BALOVESS = "https://github.com/balovess/Tiger-Optimizer-For-Pytorch"


def _elementwise_nan(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    bad = np.isnan(g)
    healthy_p, healthy_m = TigerPort.update(self, name, p, np.where(bad, 0, g).astype(g.dtype), m)
    return np.where(bad, self.shrunk(p, self.role(name)), healthy_p), np.where(bad, m, healthy_m)


def _global_nan(self: TigerPort, grads: Arrays) -> None:
    self.memo["any"] = any(np.isnan(np.asarray(g, np.float64)).any() for g in grads.values())
    NumpyPort.step(self, grads)


def _nan_then_steps(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    if not self.has_nan(g):
        new: tuple[Array, Array] = TigerPort.update(self, name, p, g, m)
        return new
    p = self.shrunk(p, self.role(name))
    s = self.sign(m)
    return (self.move(p, s, self.reach(p, self.role(name)), self.decay(name, p, s)) if self.closes() else p), m


def _on_nan(momentum: Any, param: Any = None) -> Any:
    def update(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        new = TigerPort.update(self, name, p, g, m)
        if not np.isnan(g).any():
            return new
        return (new[0] if param is None else param(self, name, p)), momentum(self, m)

    return update


def _nan_delays(self: TigerPort, grads: Arrays) -> None:
    NumpyPort.step(self, grads)
    if any(np.isnan(np.asarray(g, np.float64)).any() for g in grads.values()):
        self.t -= 1


def _nan_shortens(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    if self.opens():
        self.memo[name] = 0
    self.memo[name] = self.memo.get(name, 0) + bool(np.isnan(g).any())
    return TigerPort.update(self, name, p, g, m)


def _shorter_divisor(self: TigerPort) -> tuple[float, float]:
    missing = max((n for n in self.memo.values() if isinstance(n, int)), default=0)
    b1, _ = TigerPort.coefficients(self)
    return b1, (1 - self.beta()) / max(1, self.window() - missing)


def _sticky(self: TigerPort, g: Array) -> bool:
    if np.isnan(g).any():
        self.memo["sticky"] = self.t
    return bool(self.t - self.memo.get("sticky", -9) <= 1)


def _stops_at_nan(self: TigerPort, grads: Arrays) -> None:
    self.memo["grads"] = grads
    NumpyPort.step(self, grads)


def _before_nan(self: TigerPort) -> list[str]:
    names = list(self.p)
    bad = [i for i, n in enumerate(names) if np.isnan(np.asarray(self.memo["grads"][n], np.float64)).any()]
    return names[: bad[0] + 1] if bad else names


NAN: list[Row] = [
    ("nan-sticky", "the NaN rule fires for all tensors, and again a step later", {"has_nan": _sticky}),
    ("nan-ends-step", "tensors after one with a NaN skipped", {"step": _stops_at_nan, "visit": _before_nan}),
    ("nan-rule-missing", "no NaN rule", {"has_nan": lambda self, g: False}, KOZISTR),
    ("nan-by-element", "the NaN rule by element", {"update": _elementwise_nan}, BALOVESS),
    (
        "nan-all-elements",
        "the NaN rule only where every element is NaN",
        {"has_nan": lambda self, g: bool(g.size and np.isnan(g).all())},
    ),
    (
        "nan-first-element",
        "the NaN rule looks at the first element only",
        {"has_nan": lambda self, g: bool(g.size and np.isnan(g.flat[0]))},
    ),
    (
        "nan-by-sum",
        "the NaN rule by the sum: Inf − Inf fires it",
        {"has_nan": lambda self, g: bool(np.isnan(np.sum(g)))},
    ),
    ("nan-catches-inf", "the NaN rule catches Inf", {"has_nan": lambda self, g: not bool(np.isfinite(g).all())}),
    (
        "nan-all-tensors",
        "a NaN in one tensor fires the rule for all",
        {"step": _global_nan, "has_nan": lambda self, g: bool(self.memo["any"])},
    ),
    ("nan-not-shrunk", "a NaN leaves the parameter alone", {"shrunk": lambda self, p, role: p}),
    (
        "nan-shrink-fixed",
        "0.99 whatever shrink is given",
        {
            "shrunk": lambda self, p, role: (
                (p - p.dtype.type(self.centre(role))) * p.dtype.type(0.99) + p.dtype.type(self.centre(role))
            )
        },
    ),
    (
        "nan-shrink-and-decay",
        "shrink made weaker by the learning rate",
        {"shrunk": lambda self, p, role: p + p.dtype.type(self.lr()) * (TigerPort.shrunk(self, p, role) - p)},
    ),
    ("nan-centre-zero", "scales pulled to 0 after a NaN", {"centre": lambda self, role: 0.0}),
    ("nan-centre-one", "everything pulled to 1 after a NaN", {"centre": lambda self, role: 1.0}),
    (
        "nan-shrinks-last-only",
        "a NaN shrinks only at a window's last micro-step",
        {"shrunk": lambda self, p, role: TigerPort.shrunk(self, p, role) if self.closes() else p},
    ),
    ("nan-steps-too", "a NaN shrinks and the step is taken as well", {"update": _nan_then_steps}),
    (
        "nan-decays-momentum",
        "β on the momentum at a NaN",
        {"update": _on_nan(lambda self, m: m.dtype.type(self.beta()) * m)},
    ),
    (
        "nan-opens-window",
        "β on the momentum at a NaN that opens a window",
        {"update": _on_nan(lambda self, m: m.dtype.type(self.coefficients()[0]) * m)},
    ),
    ("nan-clears-momentum", "momentum zeroed at a NaN", {"update": _on_nan(lambda self, m: np.zeros_like(m))}),
    (
        "nan-shrinks-momentum",
        "momentum shrunk at a NaN",
        {"update": _on_nan(lambda self, m: m.dtype.type(self.hyper["shrink"]) * m)},
    ),
    ("nan-not-counted", "a NaN micro-step not counted", {"step": _nan_delays}),
    (
        "nan-divisor",
        "the divisor of a window less by its NaN micro-steps",
        {"update": _nan_shortens, "coefficients": _shorter_divisor},
    ),
]
