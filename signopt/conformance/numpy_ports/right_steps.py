"""Legal orders of decay and step, and habits of the interface, that a right port of any rule may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.port import Arrays

__all__ = ["STEPS", "Table", "decay_first", "decay_first_in_dtype", "refuses_momentum"]

Table = tuple[tuple[str, str, dict[str, Any]], ...]
"""Key, summary and pieces of each port."""


def _refuses(self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    betas = hyper.get("betas", (hyper.get("beta"),))
    if hyper["lr"] <= 0 or min(betas) <= 0 or any(p.size == 0 for p in params.values()):
        raise ValueError("lr and betas must be positive and tensors not empty")
    NumpyPort.init(self, params, hyper, momentum)


def refuses_momentum(self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    """A start that takes no momentum."""
    if momentum is not None:
        raise NotImplementedError("starts from zero")
    NumpyPort.init(self, params, hyper)


def decay_first(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    """θ·(1−ηλ) first, with 1−ηλ in double."""
    return p * np.asarray(1 - np.asarray(lr, np.float64) * wd, p.dtype) - np.asarray(lr, p.dtype) * s


def decay_first_in_dtype(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    """The same with 1−ηλ in the dtype."""
    lr, wd = np.asarray(lr, p.dtype), np.asarray(wd, p.dtype)
    return p * (p.dtype.type(1) - lr * wd) - lr * s


def _decay_folded(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return p - (np.asarray(lr, p.dtype) * s + np.asarray(np.asarray(lr, np.float64) * wd, p.dtype) * p)


def _decay_subtracted(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    lr = np.asarray(lr, p.dtype)
    return p - lr * (np.asarray(wd, p.dtype) * p) - lr * s


def _negated(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return p + -np.asarray(lr, p.dtype) * (np.asarray(wd, p.dtype) * p + s)


def _skips_zero_decay(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return NumpyPort.move(self, p, s, lr, wd) if np.any(wd) else p - np.asarray(lr, p.dtype) * s


def _comparing(self: NumpyPort, c: Array) -> Array:
    zero = c.dtype.type(0)
    return np.where(c > 0, c.dtype.type(1), np.where(c < 0, c.dtype.type(-1), np.where(c == 0, zero, c)))


def _read_only(self: NumpyPort) -> Arrays:
    views = {name: value.T.copy().T for name, value in self.p.items()}
    for view in views.values():
        view.flags.writeable = False
    return views


STEPS: Table = (
    ("plain", "multiply-add, one bracket", {}),
    ("decay-first", "θ·(1−ηλ) first, 1−ηλ in double", {"move": decay_first}),
    ("decay-first-in-dtype", "θ·(1−ηλ) first, 1−ηλ in the dtype", {"move": decay_first_in_dtype}),
    ("decay-folded", "ηλ as one coefficient", {"move": _decay_folded}),
    ("decay-subtracted", "decay and step subtracted one after the other", {"move": _decay_subtracted}),
    ("negated-rate", "−η times the bracket added", {"move": _negated}),
    ("no-decay-branch", "no decay term where λ = 0", {"move": _skips_zero_decay}),
    (
        "double-inside",
        "double arithmetic, rounded once",
        {"compute": lambda self, dtype: np.dtype(np.float64)},
    ),
    (
        "long-double-inside",
        "x87 arithmetic, rounded once",
        {"compute": lambda self, dtype: np.dtype(np.longdouble)},
    ),
    ("sign-by-comparison", "sign by comparisons", {"sign": _comparing}),
    (
        "sign-nan-zero",
        "sign(NaN) = 0, declared",
        {"sign": lambda self, c: np.nan_to_num(np.sign(c)), "declared": {"nan": "zero"}},
    ),
    (
        "live-arrays",
        "hands out its own arrays",
        {"params": lambda self: self.p, "momentum": lambda self: self.m},
    ),
    ("read-only-arrays", "hands out read-only arrays in Fortran order", {"params": _read_only}),
    ("momentum-hidden", "does not show its momentum", {"momentum": lambda self: None}),
    ("momentum-unsettable", "always starts from zero momentum", {"init": refuses_momentum}),
    (
        "momentum-hidden-unsettable",
        "neither shows its momentum nor lets it be set",
        {"momentum": lambda self: None, "init": refuses_momentum},
    ),
    (
        "hidden-decay-first",
        "decay first, momentum not shown",
        {"momentum": lambda self: None, "move": decay_first},
    ),
    ("refuses-edges", "refuses a rate or beta of 0 and empty tensors", {"init": _refuses}),
    ("tensors-reversed", "updates the last tensor first", {"visit": lambda self: reversed(list(self.p))}),
)
