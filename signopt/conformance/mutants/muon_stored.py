"""Muons in 16 bits whose parameter is not rounded once, to the nearest even number, or whose X or u is rounded too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.base import Array
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.numpy_ports.variant import Row

__all__ = ["HALVES", "STORED"]

HALVES = ("float16", "bfloat16")


def _kept(round_: Callable[[Array, np.dtype[Any]], Array]) -> dict[str, Any]:
    """Another rounding of the parameter, from the dtype of the arithmetic to that of the storage."""

    def keep(self: MuonPort, name: str, p: Array, m: Array) -> None:
        MuonPort.keep(self, name, round_(p, self.p[name].dtype), m)

    return {"keep": keep, "declared": {"dtypes": [*HALVES]}}


def _spacing(p: Array, dtype: np.dtype[Any]) -> Array:
    """The distance of neighbours at p."""
    bits = 11 if dtype == np.float16 else 8
    return np.ldexp(np.float32(1), np.maximum(np.frexp(p)[1], -13 if bits == 11 else -125) - bits)


def _truncated(p: Array, dtype: np.dtype[Any]) -> Array:
    return np.trunc(p / _spacing(p, dtype)) * _spacing(p, dtype)


def _ties_away(p: Array, dtype: np.dtype[Any]) -> Array:
    units = np.abs(p / _spacing(p, dtype))
    return np.copysign(np.floor(units + np.float32(0.5)) * _spacing(p, dtype), p)


def _decayed_first(self: MuonPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    """The decay rounded to storage before the step is taken."""
    dtype = next(iter(self.p.values())).dtype
    return (p - np.asarray(lr * wd, p.dtype) * p).astype(dtype).astype(p.dtype) - np.asarray(lr, p.dtype) * s


def _through_storage(self: MuonPort, x: Array) -> Array:
    """x rounded to the dtype of the parameters, and widened again."""
    return x.astype(next(iter(self.p.values())).dtype).astype(x.dtype)


def _rounded_x(self: MuonPort, u: Array) -> Array:
    return _through_storage(self, MuonPort.orthogonalise(self, u))


def _rounded_u(self: MuonPort, u: Array) -> Array:
    return MuonPort.orthogonalise(self, _through_storage(self, u))


STORED: list[Row] = [
    ("stored-truncated", "a parameter of 16 bits truncated", _kept(_truncated)),
    ("stored-ties-away", "a parameter of 16 bits rounded away from zero at half way", _kept(_ties_away)),
    ("stored-decay-first", "the decay rounded to 16 bits before the step", {
        "move": _decayed_first, "declared": {"dtypes": [*HALVES]}}),
    ("stored-x", "X rounded to 16 bits, no ns_dtype declared", {
        "orthogonalise": _rounded_x, "declared": {"dtypes": [*HALVES]}}),
    ("stored-u", "what is orthogonalised rounded to 16 bits, no ns_dtype declared", {
        "orthogonalise": _rounded_u, "declared": {"dtypes": [*HALVES]}}),
]  # fmt: skip
