"""Wrong decays and momenta that a port of any rule can have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.variant import Row
from signopt.conformance.port import Arrays

__all__ = ["DECAY", "MOMENTUM", "coupled", "undecayed"]


def _keep_state(self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    left = getattr(self, "m", {})
    NumpyPort.init(self, params, hyper, momentum)
    for name in self.m.keys() & left.keys():
        if momentum is None and left[name].shape == self.m[name].shape:
            self.m[name][...] = left[name]


def _share_by_shape(self: NumpyPort, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
    NumpyPort.init(self, params, hyper, momentum)
    slots: dict[Any, Array] = {}
    self.m = {name: slots.setdefault((m.shape, m.dtype), m) for name, m in self.m.items()}


def _starts_as_gradient(self: NumpyPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    first = self.t == 0 and not np.any(m)
    new: tuple[Array, Array] = w.plain(self).update(self, name, p, g, g if first else m)
    return new


def _lagging(self: NumpyPort, name: str, old: w.Pair, new: w.Pair) -> w.Pair:
    late = self.memo.get(name, old[1])
    self.memo[name] = new[1]
    return new[0], late


def coupled(self: NumpyPort, name: str, p: Array, g: Array) -> Array:
    """The gradient with the decay in it."""
    return g + p.dtype.type(self.wd() * self.decays(name)) * p


def undecayed(self: NumpyPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    """The move without decay."""
    return p - np.asarray(lr, p.dtype) * s


def _reset_every_fourth(self: NumpyPort, name: str, old: w.Pair, new: w.Pair) -> w.Pair:
    return new[0], new[1] * new[1].dtype.type(self.t % 4 != 3)


DECAY: list[Row] = [
    ("decay-missing", "weight decay ignored", {"wd": lambda self: 0.0}),
    (
        "decay-without-lr",
        "decay not multiplied by the learning rate",
        {"move": lambda self, p, s, lr, wd: p - np.asarray(lr, p.dtype) * s - np.asarray(wd, p.dtype) * p},
    ),
    (
        "decay-lr-over-lr0",
        "decay multiplied by lr/lr0 instead of lr",
        {
            "move": lambda self, p, s, lr, wd: (
                p
                - np.asarray(lr, p.dtype) * s
                - np.asarray(wd * (self.base_lr() / max(self.first_hyper["lr"], 1e-30)), p.dtype) * p
            )
        },
    ),
    (
        "decay-lr-squared",
        "decay multiplied by the learning rate twice",
        {"wd": lambda self: self.base_lr() * self.hyper["weight_decay"]},
    ),
    (
        "decay-coupled",
        "decay coupled into the gradient, inside the sign",
        {"gradient": coupled, "move": undecayed},
    ),
    ("decay-coupled-and-decoupled", "decay in the gradient and on the parameter", {"gradient": coupled}),
    (
        "decay-sign",
        "decay of the wrong sign: parameters grow",
        {"wd": lambda self: -self.hyper["weight_decay"]},
    ),
    (
        "decay-after-step",
        "decay applied to the parameter after the step",
        {
            "move": lambda self, p, s, lr, wd: (
                (p - np.asarray(lr, p.dtype) * s) * (1 - np.asarray(lr, p.dtype) * np.asarray(wd, p.dtype))
            )
        },
    ),
    ("decay-halved", "half the weight decay", {"wd": lambda self: 0.5 * self.hyper["weight_decay"]}),
    ("decay-squared", "the weight decay squared", {"wd": lambda self: self.hyper["weight_decay"] ** 2}),
    ("decay-capped", "weight decay capped at 1", {"wd": lambda self: min(1.0, self.hyper["weight_decay"])}),
    (
        "decay-float16",
        "the weight decay held in float16",
        {"wd": lambda self: w.as_float16(self.hyper["weight_decay"])},
    ),
    ("decay-capped-high", "weight decay capped at 10", {"wd": lambda self: min(10.0, self.hyper["weight_decay"])}),
    (
        "decay-tiny-dropped",
        "a weight decay below 1e-4 dropped",
        {"wd": lambda self: self.hyper["weight_decay"] if self.hyper["weight_decay"] > 1e-4 else 0.0},
    ),
    ("decay-fixed", "a weight decay of 0.01 whatever is given", {"wd": lambda self: 0.01}),
    (
        "decay-l1",
        "L1 decay: λ·sign(θ) for λ·θ",
        {"decay_mask": lambda self, name, p, s: np.where(p == 0, 0, 1 / np.abs(p))},
    ),
    ("decay-large-only", "decay only where |θ| > 1", {"decay_mask": lambda self, name, p, s: np.abs(p) > 1}),
    ("decay-moving-only", "no decay where the sign is zero", {"decay_mask": lambda self, name, p, s: s != 0}),
    (
        "decay-cautious",
        "decay only where it pulls the way the step goes",
        {"decay_mask": lambda self, name, p, s: s * p > 0},
    ),
    (
        "decay-first-tensor",
        "decay on the first tensor only",
        {"decay_mask": lambda self, name, p, s: float(name == next(iter(self.p)))},
    ),
    ("decay-not-1d", "no decay on vectors", {"decay_mask": lambda self, name, p, s: float(p.ndim != 1)}),
    (
        "decay-not-first-step",
        "no decay at the first step",
        {"decay_mask": lambda self, name, p, s: float(self.t > 0)},
    ),
    (
        "decay-to-mean",
        "decay towards the tensor's mean, not zero",
        {
            "move": lambda self, p, s, lr, wd: (
                p - np.asarray(lr, p.dtype) * (s + np.asarray(wd, p.dtype) * (p - (p.mean() if p.size else 0)))
            )
        },
    ),
]


MOMENTUM: list[Row] = [
    (
        "momentum-not-written",
        "momentum never written: signSGD",
        {"tamper": lambda self, name, old, new: (new[0], old[1])},
    ),
    ("momentum-reset", "momentum zeroed at every step", {"tamper": w.momentum_as(np.zeros_like)}),
    ("momentum-reset-every-fourth", "momentum zeroed at every fourth step", {"tamper": _reset_every_fourth}),
    (
        "momentum-given-ignored",
        "the momentum given at the start ignored",
        {"init": lambda self, params, hyper, momentum=None: NumpyPort.init(self, params, hyper)},
    ),
    ("momentum-shared", "one momentum for all tensors of one shape", {"init": _share_by_shape}),
    ("momentum-kept-between-runs", "momentum left over from an earlier run", {"init": _keep_state}),
    (
        "momentum-starts-as-gradient",
        "momentum initialised with the first gradient",
        {"update": _starts_as_gradient},
    ),
    ("momentum-lags", "momentum one step behind", {"tamper": _lagging}),
    (
        "momentum-first-skipped",
        "momentum not written at the first step",
        {"tamper": lambda self, name, old, new: (new[0], old[1] if self.t == 0 else new[1])},
    ),
    (
        "momentum-where-moved",
        "momentum written only where the parameter moved",
        {"tamper": lambda self, name, old, new: (new[0], np.where(new[0] != old[0], new[1], old[1]))},
    ),
    ("momentum-clipped", "momentum clipped to ±1", {"tamper": w.momentum_as(lambda m: np.clip(m, -1, 1))}),
    ("momentum-sign", "only the sign of the momentum kept", {"tamper": w.momentum_as(np.sign)}),
    (
        "momentum-decayed",
        "weight decay applied to the momentum",
        {
            "tamper": lambda self, name, old, new: (
                new[0],
                new[1] * new[1].dtype.type(1 - self.lr() * self.wd()),
            )
        },
    ),
    ("momentum-bfloat16", "momentum kept in bfloat16, undeclared", {"tamper": w.momentum_as(w.bfloat16)}),
    (
        "momentum-float16",
        "momentum kept in float16, undeclared",
        {"tamper": w.momentum_as(lambda m: m.astype(np.float16))},
    ),
    ("momentum-int8", "momentum kept in 8 bits per block, undeclared", {"tamper": w.momentum_as(w.as_int8)}),
    (
        "momentum-scale-off",
        "momentum too large by 1e-4",
        {"tamper": w.momentum_as(lambda m: m * m.dtype.type(1.0001))},
    ),
]
