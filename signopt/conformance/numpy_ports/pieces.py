"""Wrong and unusual pieces that more than one variant is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.bases import BASES
from signopt.conformance.oracle.rules import RULES
from signopt.conformance.port import Arrays

__all__ = [
    "DEFAULTS",
    "as_float16",
    "as_int8",
    "as_single",
    "at",
    "bfloat16",
    "cut",
    "first_beta",
    "flush",
    "last_beta",
    "misread",
    "momentum_as",
    "noise",
    "noisy",
    "plain",
    "positions",
    "remember_gradient",
    "single_init",
    "skip",
    "tail",
    "twice",
    "wider",
]

DEFAULTS: Mapping[str, Mapping[str, Any]] = {rule.name: rule.defaults for rule in RULES.values()}

Pair = tuple[Array, Array]
Tamper = Callable[[NumpyPort, str, Pair, Pair], Pair]

_seeds = count()


def plain(port: NumpyPort) -> Any:
    """The plain port's class: its pieces are what a wrong piece falls back on."""
    return BASES[port.rule]


def as_float16(value: float) -> float:
    """``value`` as float16 holds it."""
    return float(np.float16(value))


def as_single(hyper: Mapping[str, Any]) -> dict[str, Any]:
    """``hyper`` with its floats rounded to float32."""
    single: dict[str, Any] = {
        name: float(np.float32(hyper[name])) for name in ("lr", "beta", "weight_decay", "shrink") if name in hyper
    }
    if "betas" in hyper:
        single["betas"] = tuple(float(np.float32(beta)) for beta in hyper["betas"])
    return {**hyper, **single}


def single_init(self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    """Start with hyperparameters held in float32."""
    NumpyPort.init(self, params, as_single(hyper), momentum)


def remember_gradient(self: Any, name: str, p: Array, g: Array) -> Array:
    """The gradient as it is, kept in ``memo["gradient"]`` for a later piece."""
    self.memo["gradient"] = g
    return g


def wider(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A dtype that holds every product of two numbers of ``dtype`` exactly, or nearly so for float64."""
    return np.dtype(np.float64 if dtype == np.float32 else np.longdouble)


def bfloat16(values: Array) -> Array:
    """``values`` rounded to bfloat16, by the bits of float32."""
    single = np.atleast_1d(np.asarray(values, np.float32))
    bits = single.view(np.uint32)
    bits = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    rounded = np.where(np.isnan(single), single, bits.view(np.float32))
    return np.asarray(rounded.reshape(np.shape(values)), np.asarray(values).dtype)


def cut(c: Array, m: Array) -> Array:
    """``c``, and zero where it is within eight ulp of ``m``."""
    return np.where(np.abs(c) <= 8 * np.finfo(c.dtype).eps * np.abs(m), c.dtype.type(0), c)


def as_int8(values: Array) -> Array:
    """``values`` on the 255 levels of one block's largest magnitude."""
    top = np.max(np.abs(values), initial=0.0)
    return values if not top or not np.isfinite(top) else np.round(values / top * 127) / 127 * top


def flush(values: Array) -> Array:
    """``values`` with subnormals replaced by zero."""
    return np.where(np.abs(values) < np.finfo(values.dtype).tiny, values.dtype.type(0), values)


def first_beta(port: NumpyPort) -> float:
    """β, or β1 of two."""
    return float(port.hyper["betas"][0] if "betas" in port.hyper else port.hyper["beta"])


def last_beta(port: NumpyPort) -> float:
    """β, or β2 of two."""
    return float(port.hyper["betas"][1] if "betas" in port.hyper else port.hyper["beta"])


def noise(shape: tuple[int, ...]) -> Array:
    """Standard normal numbers, others each time."""
    return np.random.default_rng(next(_seeds)).standard_normal(shape)


def noisy(self: NumpyPort, name: str, old: Pair, new: Pair) -> Pair:
    """The new parameter with a relative noise of 1e-4."""
    return new[0] * (1 + 1e-4 * noise(np.shape(new[0]))).astype(new[0].dtype), new[1]


def momentum_as(change: Callable[[Array], Array]) -> Tamper:
    """The new momentum after ``change``."""
    return lambda self, name, old, new: (new[0], np.asarray(change(new[1])))


def skip(where: Callable[[Array], Any]) -> Tamper:
    """Elements selected by ``where(param)`` are left as they were."""

    def tamper(self: NumpyPort, name: str, old: Pair, new: Pair) -> Pair:
        mask = where(old[0])
        return np.where(mask, old[0], new[0]), np.where(mask, old[1], new[1])

    return tamper


def twice(where: Callable[[Array], Any]) -> Tamper:
    """Elements selected by ``where(param)`` move by twice the step."""
    return lambda self, name, old, new: (np.where(where(old[0]), 2 * new[0] - old[0], new[0]), new[1])


def positions(p: Array) -> Array:
    """The flat index of every element."""
    return np.arange(p.size).reshape(p.shape)


def tail(width: int) -> Callable[[Array], Any]:
    """Selects what is left over after whole blocks of ``width``, in tensors longer than one block."""
    return lambda p: (positions(p) >= p.size - p.size % width) & (p.size > width)


def at(select: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """Selects by flat index."""
    return lambda p: select(positions(p))


def misread(grads: Arrays, name: str) -> Array:
    """The gradient's memory from its start, whatever its strides."""
    grad = np.asarray(grads[name])
    if grad.flags.c_contiguous or grad.base is None:
        return grad
    memory = np.asarray(grad.base).ravel(order="K")
    return memory[: grad.size].reshape(grad.shape) if memory.size >= grad.size else grad
