"""Where Tiger looks: a NaN at some places only, an RMS of some blocks only, rows that are left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.tiger import TigerPort
from signopt.conformance.numpy_ports.variant import Row

__all__ = ["PLACES"]


def _nan_among(part: Callable[[Array], Array]) -> dict[str, Any]:
    """The NaN rule looks at a part of the flat gradient."""
    return {"has_nan": lambda self, g: bool(np.isnan(part(np.ravel(g))).any())}


def _nan_of_sign(negative: bool) -> dict[str, Any]:
    return {"has_nan": lambda self, g: bool((np.isnan(g) & (np.signbit(g) == negative)).any())}


def _nan_in_momentum(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    if np.isnan(self.remember(m, g)).any():
        return self.shrunk(p, self.role(name)), m
    return TigerPort.update(self, name, p, g, m)


def _nan_in_parameter(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    if np.isnan(p).any():
        return self.shrunk(p, self.role(name)), m
    return TigerPort.update(self, name, p, g, m)


def _zeroes_callers_nan(self: TigerPort, name: str, grad: Array) -> None:
    NumpyPort.advance(self, name, grad.copy())
    grad[np.isnan(grad)] = 0


def _divides_callers_gradient(self: TigerPort, name: str, grad: Array) -> None:
    NumpyPort.advance(self, name, grad.copy())
    if self.window() > 1:
        grad /= grad.dtype.type(self.window())


def _rms_of_part(part: Callable[[Array], Array], which: str) -> dict[str, Any]:
    """The RMS of one role over a part of the tensor, or of each row."""

    def rms(self: TigerPort, p: Array, role: str) -> Any:
        if role != which or not p.ndim:
            return TigerPort.rms(self, p, role)
        return TigerPort.rms(self, part(np.ravel(p) if role == "matrix" else p), role)

    return {"rms": rms}


def _whole_blocks(flat: Array) -> Array:
    return flat[: flat.size // 1024 * 1024] if flat.size > 1024 else flat


def _rms_of_few_rows(self: TigerPort, p: Array, role: str) -> Any:
    rms = TigerPort.rms(self, p, role)
    if role == "embedding" and p.ndim == 2 and len(p) > 256:
        rms[256:] = rms[0]
    return rms


def _rms_in_memory_order(self: TigerPort, p: Array, role: str) -> Any:
    return TigerPort.rms(self, np.ravel(p, order="K").reshape(p.shape), role)


def _one_where_0d(self: TigerPort, p: Array, role: str) -> Any:
    return TigerPort.rms(self, p, role) if p.ndim else np.float64(1)


def _rows_touched(self: TigerPort, name: str, g: Array) -> Any:
    by_row = self.role(name) == "embedding" and g.ndim
    return (g != 0).any(axis=-1, keepdims=True) if by_row else np.True_


def _lazy_momentum(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    new_p, new_m = TigerPort.update(self, name, p, g, m)
    return new_p, np.where(_rows_touched(self, name, g), new_m, m)


def _lazy_step(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    new_p, new_m = TigerPort.update(self, name, p, g, m)
    s = np.where(_rows_touched(self, name, g), self.sign(new_m), 0).astype(p.dtype)
    moves = self.closes() and not self.has_nan(g)
    return (self.move(p, s, self.reach(p, self.role(name)), self.decay(name, p, s)) if moves else new_p), new_m


def _embedding_in_memory_order(self: TigerPort, name: str, grad: Array) -> None:
    misread = self.role(name) == "embedding" and not grad.flags.c_contiguous
    NumpyPort.advance(self, name, np.ravel(grad, order="K").reshape(grad.shape) if misread else grad)


def _of_role(which: str, where: Callable[[Array], Any]) -> dict[str, Any]:
    """The elements ``where`` says are left alone in tensors of one role."""
    skip = w.skip(where)
    return {
        "tamper": lambda self, name, old, new: skip(self, name, old, new) if self.role(name) == which else new,
    }


PLACES: list[Row] = [
    ("nan-last-element", "the NaN rule looks at the last element only", _nan_among(lambda g: g[-1:])),
    (
        "nan-ends-only",
        "the NaN rule looks at the first and the last element",
        _nan_among(lambda g: g[[0, -1][: g.size]]),
    ),
    ("nan-every-second", "the NaN rule looks at every second element from the end", _nan_among(lambda g: g[::-2])),
    ("nan-first-block", "the NaN rule looks at the first 64 elements only", _nan_among(lambda g: g[:64])),
    ("nan-first-1024", "the NaN rule looks at the first 1024 elements only", _nan_among(lambda g: g[:1024])),
    ("nan-positive-only", "a NaN with its sign bit set not seen", _nan_of_sign(False)),
    ("nan-negative-only", "a NaN without its sign bit set not seen", _nan_of_sign(True)),
    (
        "nan-not-beside-inf",
        "the NaN rule does not fire where there is an Inf too",
        {"has_nan": lambda self, g: bool(np.isnan(g).any() and not np.isinf(g).any())},
    ),
    ("nan-in-momentum", "the NaN rule looks at the new momentum: Inf − Inf fires it", {"update": _nan_in_momentum}),
    ("nan-in-parameter", "the NaN rule looks at the parameter too", {"update": _nan_in_parameter}),
    ("nan-zeroes-callers", "a NaN of the caller's gradient overwritten", {"advance": _zeroes_callers_nan}),
    (
        "nan-shrinks-1024",
        "a NaN shrinks only the first 1024 elements",
        {
            "shrunk": lambda self, p, role: np.asarray(
                np.where(w.positions(p) < 1024, TigerPort.shrunk(self, p, role), p)
            )
        },
    ),
    ("window-divides-callers", "the caller's gradient divided by k", {"advance": _divides_callers_gradient}),
    ("rms-first-block", "the RMS of the first 256 elements", _rms_of_part(lambda p: p[:256], "matrix")),
    ("rms-whole-blocks", "the RMS of whole blocks of 1024 only", _rms_of_part(_whole_blocks, "matrix")),
    ("rms-row-start", "the RMS of the first 128 of a row", _rms_of_part(lambda p: p[..., :128], "embedding")),
    ("rms-few-rows", "the first row's RMS for rows from 256 on", {"rms": _rms_of_few_rows}),
    ("rms-memory-order", "rows taken as they lie in memory", {"rms": _rms_in_memory_order}),
    ("rms-0d-is-one", "an RMS of 1 for a 0-d parameter", {"rms": _one_where_0d}),
    (
        "rms-capped-far",
        "RMS(θ) no larger than 1000",
        {"rms": lambda self, p, role: np.minimum(TigerPort.rms(self, p, role), 1000.0)},
    ),
    ("rows-lazy-momentum", "the momentum of rows without a gradient left alone", {"update": _lazy_momentum}),
    ("rows-lazy-step", "rows without a gradient only decay", {"update": _lazy_step}),
    (
        "rows-from-256-skipped",
        "elements of embeddings from 768 on left alone",
        _of_role("embedding", w.at(lambda i: i >= 768)),
    ),
    (
        "matrix-from-1024-skipped",
        "elements of matrices from 1024 on left alone",
        _of_role("matrix", w.at(lambda i: i >= 1024)),
    ),
    ("strides-of-embeddings", "an embedding's gradient read in memory order", {"advance": _embedding_in_memory_order}),
]
