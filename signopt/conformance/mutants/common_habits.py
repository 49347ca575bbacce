"""Wrong habits that a port of any rule can have: falsy defaults, shortcuts, pairing by position, late surprises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.variant import Row
from signopt.conformance.port import Arrays

__all__ = ["HABITS"]


def _by_given_order(self: NumpyPort, grads: Arrays, name: str) -> Array:
    return list(grads.values())[list(self.p).index(name)]


def _share_by_last_part(
    self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None
) -> None:
    NumpyPort.init(self, params, hyper, momentum)
    slots: dict[Any, Array] = {}
    self.m = {name: slots.setdefault((name.rsplit("/", 1)[-1], m.shape), m) for name, m in self.m.items()}


def _falsy_beta(self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    NumpyPort.init(self, params, _without_falsy_betas(hyper), momentum)


def _without_falsy_betas(hyper: Mapping[str, Any]) -> dict[str, Any]:
    if "betas" in hyper:
        beta1, beta2 = hyper["betas"]
        return {**hyper, "betas": (beta1 or 0.9, beta2 or 0.99)}
    return {**hyper, "beta": hyper["beta"] or 0.9}


def _skips_zero_gradients(self: NumpyPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    new: tuple[Array, Array] = w.plain(self).update(self, name, p, g, m) if g.any() else (p, m)
    return new


def _exponential(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return p * np.exp(-np.asarray(lr, p.dtype) * np.asarray(wd, p.dtype)) - np.asarray(lr, p.dtype) * s


def _implicit(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    lr = np.asarray(lr, p.dtype)
    return (p - lr * s) / (1 + lr * np.asarray(wd, p.dtype))


def _untouched(ranks: range) -> dict[str, Any]:
    return {"tamper": w.skip(lambda p: p.ndim in ranks)}


def _stale_after_eight(self: NumpyPort, name: str, old: w.Pair, new: w.Pair) -> w.Pair:
    return new[0], old[1] if self.t >= 8 else new[1]


def _momentum_through_transpose(self: NumpyPort, name: str, old: w.Pair, new: w.Pair) -> w.Pair:
    m = new[1]
    return new[0], m.T if np.ndim(m) == 2 and m.shape[0] == m.shape[1] else m


HABITS: list[Row] = [
    ("lr-falsy", "a learning rate of 0 replaced by the default", {"base_lr": lambda self: self.hyper["lr"] or 1e-3}),
    (
        "beta-falsy",
        "a beta of 0 replaced by the default",
        {"init": _falsy_beta, "configure": lambda self, hyper: NumpyPort.configure(self, _without_falsy_betas(hyper))},
    ),
    ("decay-falsy", "a weight decay of 0 replaced by 0.01", {"wd": lambda self: self.hyper["weight_decay"] or 0.01}),
    ("decay-exponential", "exp(−ηλ) for 1 − ηλ", {"move": _exponential}),
    ("decay-implicit", "division by 1 + ηλ for 1 − ηλ", {"move": _implicit}),
    ("decay-positive-only", "decay only where θ > 0", {"decay_mask": lambda self, name, p, s: p > 0}),
    ("sign-of-integer", "the sign of c cut to an integer", {"sign": lambda self, c: np.sign(np.trunc(c))}),
    ("gradient-epsilon", "1e-8 added to the gradient", {"gradient": lambda self, name, p, g: g + g.dtype.type(1e-8)}),
    ("gradient-zero-skips-tensor", "a tensor whose gradient is zero skipped", {"update": _skips_zero_gradients}),
    ("param-zero-skipped", "elements that are zero left alone", {"tamper": w.skip(lambda p: p == 0)}),
    ("tensor-by-given-order", "gradients matched by the order they are given in", {"fetch": _by_given_order}),
    ("tensor-rank-2-skipped", "matrices skipped", _untouched(range(2, 3))),
    ("tensor-rank-3-skipped", "tensors of three and more dimensions skipped", _untouched(range(3, 9))),
    ("momentum-shared-by-last-part", "one momentum for a/w and b/w", {"init": _share_by_last_part}),
    ("momentum-stale-after-eight", "momentum no longer written after eight steps", {"tamper": _stale_after_eight}),
    ("momentum-transposed", "the momentum of square matrices transposed", {"tamper": _momentum_through_transpose}),
    (
        "tenth-step-skipped",
        "no move at every tenth step",
        {"tamper": lambda self, name, old, new: (old[0] if self.t % 10 == 9 else new[0], new[1])},
    ),
]
