"""Legal orders of the averages, and of the walk through a tensor, of a right port whose elements go their own ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.right_steps import Table, decay_first, decay_first_in_dtype, refuses_momentum
from signopt.conformance.port import Arrays

__all__ = ["AVERAGES", "complement_in_dtype", "configures_single"]


def _fused(self: NumpyPort, m: Array, g: Array, beta: float) -> Array:
    wide, kind = w.wider(m.dtype), m.dtype.type
    product = wide.type(kind(beta)) * m.astype(wide)
    return np.asarray(product + wide.type(kind(1 - beta) * g)).astype(m.dtype)


def _fused_on_gradient(self: NumpyPort, m: Array, g: Array, beta: float) -> Array:
    wide, kind = w.wider(m.dtype), m.dtype.type
    product = wide.type(kind(1 - beta)) * g.astype(wide)
    return np.asarray(product + wide.type(kind(beta) * m)).astype(m.dtype)


def _torch_lerp(self: NumpyPort, m: Array, g: Array, beta: float) -> Array:
    weight = m.dtype.type(1 - beta)
    if weight < 0.5:
        return m + weight * (g - m)
    return g - (g - m) * (m.dtype.type(1) - weight)


def _elementwise(self: NumpyPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    """In double, one element after the other, as Python floats are."""
    new_p, new_m = np.empty_like(p), np.empty_like(m)
    for i, element in enumerate(zip(*(a.astype(np.float64).ravel() for a in (p, g, m)), strict=True)):
        new_p.flat[i], new_m.flat[i] = w.plain(self).update(self, name, *element)
    return new_p, new_m


def _chunked(width: int) -> Callable[..., tuple[Array, Array]]:
    def update(self: NumpyPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        flat = [np.ravel(a) for a in (p, g, m)]
        new_p, new_m = np.empty_like(flat[0]), np.empty_like(flat[2])
        for start in range(0, p.size, width):
            part = slice(start, start + width)
            new_p[part], new_m[part] = w.plain(self).update(self, name, *(a[part] for a in flat))
        return new_p.reshape(p.shape), new_m.reshape(p.shape)

    return update


def _flat_buffer(self: NumpyPort, grads: Arrays) -> None:
    """One fused update over all tensors of one dtype."""
    with np.errstate(all="ignore"):
        for dtype in {p.dtype for p in self.p.values()}:
            names = [name for name, p in self.p.items() if p.dtype == dtype]
            work = self.compute(dtype)
            stacked = (np.concatenate([np.ravel(a[n]).astype(work) for n in names]) for a in (self.p, grads, self.m))
            new = self.update(names[0], *stacked)
            cuts = np.cumsum([self.p[n].size for n in names])[:-1]
            for name, p, m in zip(names, np.split(new[0], cuts), np.split(new[1], cuts), strict=True):
                self.keep(name, p.reshape(self.p[name].shape), m.reshape(self.p[name].shape))
    self.t += 1


def complement_in_dtype(self: NumpyPort, beta: float, dtype: np.dtype[Any]) -> Any:
    """1−β from the rounded β."""
    return dtype.type(1) - dtype.type(beta)


def _flushed(self: NumpyPort, m: Array, g: Array, beta: float) -> Array:
    on_m = w.flush(np.asarray(m.dtype.type(beta) * w.flush(m)))
    on_g = w.flush(np.asarray(m.dtype.type(1 - beta) * w.flush(g)))
    return w.flush(np.asarray(on_m + on_g))


def _flushed_move(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return w.flush(np.asarray(NumpyPort.move(self, w.flush(p), s, lr, wd)))


def _kept_wide(self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    NumpyPort.init(self, params, hyper, momentum)
    self.m = {name: value.astype(np.float64) for name, value in self.m.items()}


def _kept_narrow(self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    NumpyPort.init(self, params, hyper, momentum)
    self.m = {name: value.astype(np.float16) for name, value in self.m.items()}


def _blocks_and_tail(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return np.where(w.tail(8)(p), NumpyPort.move(self, p, s, lr, wd), decay_first(self, p, s, lr, wd))


def configures_single(self: NumpyPort, hyper: Mapping[str, Any]) -> None:
    """Other hyperparameters, held in float32."""
    NumpyPort.configure(self, w.as_single(hyper))


AVERAGES: Table = (
    ("fused-momentum", "one rounding less: β·m inside a fused multiply-add", {"blend": _fused}),
    (
        "fused-gradient",
        "one rounding less: (1−β)·g inside a fused multiply-add",
        {"blend": _fused_on_gradient},
    ),
    ("lerp", "m + (1−β)·(g−m)", {"blend": lambda self, m, g, beta: m + m.dtype.type(1 - beta) * (g - m)}),
    ("lerp-torch", "lerp with the two branches that torch takes", {"blend": _torch_lerp}),
    ("difference", "(m−g)·β + g", {"blend": lambda self, m, g, beta: (m - g) * m.dtype.type(beta) + g}),
    ("complement-in-dtype", "1−β from the rounded β", {"complement": complement_in_dtype}),
    (
        "complement-in-dtype-decay-first",
        "1−β from the rounded β, decay first",
        {"complement": complement_in_dtype, "move": decay_first_in_dtype},
    ),
    (
        "lerp-decay-first",
        "lerp and decay first",
        {"blend": lambda self, m, g, beta: m + m.dtype.type(1 - beta) * (g - m), "move": decay_first},
    ),
    (
        "difference-hidden",
        "(m−g)·β + g, momentum not shown",
        {"blend": lambda self, m, g, beta: (m - g) * m.dtype.type(beta) + g, "momentum": lambda self: None},
    ),
    (
        "complement-in-dtype-hidden",
        "1−β from the rounded β, momentum not shown",
        {"complement": complement_in_dtype, "momentum": lambda self: None},
    ),
    ("python-floats", "a loop over Python floats", {"update": _elementwise}),
    ("chunks-of-7", "seven elements at a time", {"update": _chunked(7)}),
    ("chunks-of-1024", "1024 elements at a time", {"update": _chunked(1024)}),
    ("flat-buffer", "all tensors in one flat buffer", {"step": _flat_buffer}),
    (
        "subnormals-flushed",
        "subnormals flushed, declared",
        {"blend": _flushed, "move": _flushed_move, "declared": {"subnormals": "flush"}},
    ),
    (
        "momentum-narrow-declared",
        "momentum kept in float16, declared",
        {"init": _kept_narrow, "declared": {"momentum_dtype": "float16"}},
    ),
    (
        "momentum-narrow-hidden",
        "momentum kept in float16, declared and not shown",
        {"init": _kept_narrow, "declared": {"momentum_dtype": "float16"}, "momentum": lambda self: None},
    ),
    (
        "hyper-single-declared",
        "hyperparameters of a float64 port held in float32, declared",
        {"init": w.single_init, "configure": configures_single, "declared": {"hyper": "float32"}},
    ),
    (
        "blocks-and-tail-unsettable",
        "one order in whole blocks of eight and another in the tail; momentum from zero",
        {"move": _blocks_and_tail, "init": refuses_momentum},
    ),
    (
        "momentum-kept-wide",
        "momentum kept in double and not shown",
        {
            "init": _kept_wide,
            "compute": lambda self, dtype: np.dtype(np.float64),
            "momentum": lambda self: None,
        },
    ),
)
