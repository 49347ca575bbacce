"""What a right Tiger port may do its own way: the RMS, the rate, the windows, the shrinking, the schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from math import fsum
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.tiger import TigerPort
from signopt.conformance.port import Arrays

__all__ = ["RIGHT_TIGER", "complement_coefficients"]


def _rms_by_cumulation(self: TigerPort, p: Array, role: str) -> Any:
    def root(row: Array) -> Any:
        total = np.cumsum(np.square(row).ravel(), dtype=row.dtype)[-1]
        return np.sqrt(total / row.dtype.type(row.size))

    return _by_rows(root, p, role)


def _by_rows(root: Callable[[Array], Any], p: Array, role: str) -> Any:
    if not p.size:
        return p.dtype.type(0)
    if role != "embedding" or not p.ndim:
        return p.dtype.type(root(p))
    return np.apply_along_axis(root, -1, p)[..., None].astype(p.dtype)


def _scaled_root(row: Array) -> Any:
    top = np.max(np.abs(row))
    return top * np.sqrt(np.mean(np.square(row / top))) if top else top


def _norm_root(row: Array) -> Any:
    return np.linalg.norm(row.ravel()) / np.sqrt(row.dtype.type(row.size))


def _exact_root(row: Array) -> Any:
    squares: Iterator[float] = (float(x) * float(x) for x in row.ravel())
    return (fsum(squares) / row.size) ** 0.5


def _rate_outside(self: TigerPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    rate = np.asarray(lr, p.dtype)
    return p - (s * rate + (p * np.asarray(wd, p.dtype)) * rate)


def _rate_in_double(self: TigerPort, p: Array, role: str) -> Any:
    return 0.5 * self.lr() if role in ("bias", "scale") else self.lr() * TigerPort.rms(self, p, role)


def _gradient_first(self: TigerPort, m: Array, g: Array) -> Array:
    b1, _ = self.coefficients()
    kind = m.dtype.type
    return kind(b1) * m + kind(1 - self.beta()) * (g / kind(self.window()))


def _tiger_lerp(self: TigerPort, m: Array, g: Array) -> Array:
    if self.window() == 1:
        return m + m.dtype.type(1 - self.beta()) * (g - m)
    return TigerPort.remember(self, m, g)


def _tiger_fused(self: TigerPort, m: Array, g: Array) -> Array:
    b1, b2 = self.coefficients()
    wide, kind = w.wider(m.dtype), m.dtype.type
    return np.asarray(wide.type(kind(b1)) * m.astype(wide) + wide.type(kind(b2) * g)).astype(m.dtype)


def complement_coefficients(self: TigerPort) -> tuple[float, float]:
    single = np.float32(1) - np.float32(self.beta())
    return TigerPort.coefficients(self)[0], float(single / np.float32(self.window()))


def _shrunk_by_parts(self: TigerPort, p: Array, role: str) -> Array:
    kind = p.dtype.type
    s, centre = kind(self.hyper["shrink"]), self.centre(role)
    return p * s + kind(centre) * (kind(1) - s) if centre else p * s


def _factor_by_slope(self: TigerPort) -> float:
    corners = self.points()
    for (t0, f0), (t1, f1) in pairwise(corners):
        if t0 <= self.t < t1:
            return f0 + (self.t - t0) * ((f1 - f0) / (t1 - t0))
    return corners[-1][1]


def _single_factor(self: TigerPort) -> float:
    """The schedule in float32."""
    single, corners = np.float32, self.points()
    for (t0, f0), (t1, f1) in pairwise(corners):
        if t0 <= self.t < t1:
            return float(single(f0) + (single(f1) - single(f0)) * (single(self.t - t0) / single(t1 - t0)))
    return float(single(corners[-1][1]))


def _single_lr(self: TigerPort) -> float:
    return float(np.float32(self.base_lr()) * np.float32(self.factor()))


def _keeps_momentum_in(dtype: str) -> dict[str, Any]:
    """The momentum in a dtype of its own, declared."""

    def init(self: TigerPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        NumpyPort.init(self, params, hyper, momentum)
        self.m = {name: value.astype(dtype) for name, value in self.m.items()}

    return {"init": init, "declared": {"momentum_dtype": dtype}}


def _role_given(self: TigerPort, name: str) -> str:
    return str(self.hyper["roles"][name])


_SINGLE: dict[str, Any] = {
    "init": w.single_init,
    "configure": lambda self, hyper: NumpyPort.configure(self, w.as_single(hyper)),
    "factor": _single_factor,
    "lr": _single_lr,
    "declared": {"hyper": "float32"},
}


RIGHT_TIGER: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("rms-in-dtype", "squares summed one by one in the dtype", {"rms": _rms_by_cumulation}),
    (
        "rms-pairwise",
        "squares summed pairwise in the dtype",
        {"rms": lambda self, p, role: _by_rows(lambda row: np.sqrt(np.mean(np.square(row))), p, role)},
    ),
    ("rms-of-norm", "the norm over sqrt(n)", {"rms": lambda self, p, role: _by_rows(_norm_root, p, role)}),
    (
        "rms-scaled",
        "scaled by the largest element against overflow",
        {"rms": lambda self, p, role: _by_rows(_scaled_root, p, role)},
    ),
    (
        "rms-exact-sum",
        "squares summed exactly",
        {"rms": lambda self, p, role: _by_rows(_exact_root, p, role)},
    ),
    ("rate-outside", "the rate multiplied into both terms", {"move": _rate_outside}),
    ("rate-in-double", "the rate formed in double", {"reach": _rate_in_double}),
    ("gradient-divided-first", "g/k before (1−β)", {"remember": _gradient_first}),
    ("lerp", "lerp where k = 1", {"remember": _tiger_lerp}),
    ("fused", "one rounding less: b1·m inside a fused multiply-add", {"remember": _tiger_fused}),
    ("shrink-by-parts", "θ·s + c·(1−s)", {"shrunk": _shrunk_by_parts}),
    ("schedule-by-slope", "the schedule by its slope", {"factor": _factor_by_slope}),
    ("hyper-single", "hyperparameters and schedule in float32, declared", _SINGLE),
    ("momentum-float16", "momentum kept in float16, declared", _keeps_momentum_in("float16")),
    (
        "momentum-float16-hidden",
        "momentum kept in float16, declared, and not shown",
        {**_keeps_momentum_in("float16"), "momentum": lambda self: None},
    ),
    (
        "roles-given-only",
        "knows no role but those given, declared",
        {"role": _role_given, "declared": {"roles": ["given"]}},
    ),
    (
        "roles-named-only",
        "reads roles from names alone, declared",
        {"role": lambda self, name: self.role_of(name), "declared": {"roles": ["names"]}},
    ),
    (
        "rms-of-norm-hidden",
        "the norm over sqrt(n), momentum not shown",
        {"rms": lambda self, p, role: _by_rows(_norm_root, p, role), "momentum": lambda self: None},
    ),
)
