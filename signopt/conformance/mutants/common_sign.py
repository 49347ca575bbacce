"""Wrong signs, rates and steps that a port of any rule can have."""

from __future__ import annotations

import numpy as np

from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.variant import Row
from signopt.conformance.port import Arrays

__all__ = ["RATE", "SIGN"]


def _cautious(self: NumpyPort, c: Array) -> Array:
    agrees = np.sign(c) * self.memo["gradient"] > 0
    return np.sign(c) * agrees / max(float(np.mean(agrees)) if agrees.size else 1.0, 1e-3)


def _first_three_times(self: NumpyPort, grads: Arrays) -> None:
    t = self.t
    for _ in range(3 if t == 0 else 1):
        NumpyPort.step(self, grads)
    self.t = t + 1


def _adam(self: NumpyPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    _, fresh = w.plain(self).update(self, name, p, g, m)
    v = self.memo[name] = 0.99 * self.memo.get(name, 0.0) + 0.01 * g * g
    return self.move(p, (fresh / (np.sqrt(v) + 1e-8)).astype(p.dtype), self.lr(), self.decay(name, p, g)), fresh


SIGN: list[Row] = [
    (
        "sign-zero-plus",
        "the sign of zero taken as +1 (>= instead of >)",
        {"sign": lambda self, c: np.where(c >= 0, 1, np.sign(c)).astype(c.dtype)},
    ),
    (
        "sign-not-positive-is-minus",
        "zero and NaN stepping like a negative c (c > 0 ? -lr : lr)",
        {"sign": lambda self, c: np.where(c > 0, 1, -1).astype(c.dtype)},
    ),
    (
        "sign-copysign",
        "copysign for sign: ±0 moves by ±lr",
        {"sign": lambda self, c: np.copysign(np.where(np.isnan(c), c, 1), c).astype(c.dtype)},
    ),
    (
        "sign-negative-zero",
        "−1 for the sign of −0",
        {"sign": lambda self, c: np.where((c == 0) & np.signbit(c), -1, np.sign(c)).astype(c.dtype)},
    ),
    ("sign-zero-nan", "sign as c/|c|: 0/0 is NaN", {"sign": lambda self, c: c / np.abs(c)}),
    (
        "sign-squares",
        "sign as c/sqrt(c²): squares overflow and underflow",
        {"sign": lambda self, c: np.where(c == 0, 0, c / np.sqrt(c * c)).astype(c.dtype)},
    ),
    (
        "sign-epsilon",
        "sign as c/(|c| + 1e-8)",
        {"sign": lambda self, c: c / (np.abs(c) + c.dtype.type(1e-8))},
    ),
    (
        "sign-epsilon-tiny",
        "sign as c/(|c| + 1e-30)",
        {"sign": lambda self, c: c / (np.abs(c) + c.dtype.type(1e-30))},
    ),
    ("sign-clipped", "clip(c, −1, 1) for sign", {"sign": lambda self, c: np.clip(c, -1, 1)}),
    (
        "sign-clipped-steep",
        "clip(1e4·c, −1, 1) for sign",
        {"sign": lambda self, c: np.clip(c * c.dtype.type(1e4), -1, 1)},
    ),
    ("sign-tanh", "tanh(1e3·c) for sign", {"sign": lambda self, c: np.tanh(c * c.dtype.type(1e3))}),
    (
        "sign-dead-zone",
        "|c| below 1e-8 treated as zero",
        {"sign": lambda self, c: np.sign(c) * (np.abs(c) > 1e-8)},
    ),
    (
        "sign-dead-zone-relative",
        "|c| below 1e-3 of the tensor's largest treated as zero",
        {"sign": lambda self, c: np.sign(c) * (np.abs(c) >= 1e-3 * np.max(np.abs(c), initial=0.0)).astype(c.dtype)},
    ),
    (
        "sign-positive-only",
        "c > 0 as a number: negative c does not move",
        {"sign": lambda self, c: np.where(np.isnan(c), c, c > 0).astype(c.dtype)},
    ),
    ("sign-missing", "c itself for sign(c): momentum SGD", {"sign": lambda self, c: c}),
    ("sign-reversed", "ascent: the sign reversed", {"sign": lambda self, c: -np.sign(c)}),
    (
        "sign-by-norm",
        "c over its norm for sign(c)",
        {"sign": lambda self, c: c / max(float(np.linalg.norm(c)), 1e-30)},
    ),
    (
        "sign-of-float16",
        "the sign taken after a cast to float16: small c vanishes",
        {"sign": lambda self, c: np.sign(c.astype(np.float16)).astype(c.dtype)},
    ),
    (
        "sign-flushes-subnormals",
        "subnormal c treated as zero, undeclared",
        {"sign": lambda self, c: np.sign(w.flush(c))},
    ),
    (
        "sign-nan-plus",
        "sign(NaN) taken as +1",
        {"sign": lambda self, c: np.where(np.isnan(c), 1, np.sign(c)).astype(c.dtype)},
    ),
    (
        "sign-nan-minus",
        "sign(NaN) taken as −1",
        {"sign": lambda self, c: np.where(np.isnan(c), -1, np.sign(c)).astype(c.dtype)},
    ),
    (
        "sign-nan-zero-undeclared",
        "sign(NaN) taken as 0, undeclared",
        {"sign": lambda self, c: np.nan_to_num(np.sign(c))},
    ),
    (
        "sign-inf-zero",
        "sign(±Inf) taken as 0",
        {"sign": lambda self, c: np.where(np.isinf(c), 0, np.sign(c)).astype(c.dtype)},
    ),
    (
        "sign-scaled-by-mean",
        "the sign scaled by mean|c|",
        {"sign": lambda self, c: np.sign(c) * np.mean(np.abs(c)) if c.size else c},
    ),
    (
        "cautious",
        "cautious masking: no step where sign(c) and g disagree",
        {"gradient": w.remember_gradient, "sign": _cautious},
    ),
]


RATE: list[Row] = [
    ("lr-halved", "half the learning rate", {"base_lr": lambda self: 0.5 * self.hyper["lr"]}),
    (
        "lr-float16",
        "the learning rate held in float16",
        {"base_lr": lambda self: w.as_float16(self.hyper["lr"])},
    ),
    ("lr-capped", "the learning rate capped at 0.01", {"base_lr": lambda self: min(self.hyper["lr"], 0.01)}),
    ("lr-capped-high", "the learning rate capped at 1", {"base_lr": lambda self: min(self.hyper["lr"], 1.0)}),
    ("lr-floored", "a learning rate of 1e-9 at least", {"base_lr": lambda self: max(self.hyper["lr"], 1e-9)}),
    (
        "lr-default",
        "its default learning rate whatever is given",
        {"base_lr": lambda self: w.DEFAULTS[self.rule]["lr"]},
    ),
    (
        "lr-first",
        "the learning rate of the first step kept when it changes",
        {"base_lr": lambda self: self.first_hyper["lr"]},
    ),
    (
        "lr-inverse-root",
        "the learning rate divided by sqrt(t)",
        {"base_lr": lambda self: self.hyper["lr"] / (self.t + 1) ** 0.5},
    ),
    (
        "lr-bias-corrected",
        "Adam's bias correction on the learning rate",
        {"base_lr": lambda self: self.hyper["lr"] * (1 - w.first_beta(self) ** (self.t + 1))},
    ),
    (
        "lr-epsilon",
        "the learning rate a thousandth too large",
        {"base_lr": lambda self: 1.001 * self.hyper["lr"]},
    ),
    (
        "hyper-first",
        "changed betas and decay ignored",
        {"configure": lambda self, hyper: self.hyper.update(lr=hyper.get("lr", self.hyper["lr"]))},
    ),
    ("no-op", "parameters that never move", {"tamper": lambda self, name, old, new: (old[0], new[1])}),
    ("no-op-wholly", "neither parameters nor momentum ever written", {"keep": lambda self, name, p, m: None}),
    (
        "step-twice",
        "every step applied twice",
        {"tamper": lambda self, name, old, new: (2 * new[0] - old[0], new[1])},
    ),
    ("first-step-repeated", "the first step run three times (autotuning)", {"step": _first_three_times}),
    (
        "first-step-skipped",
        "no move at the first step",
        {"tamper": lambda self, name, old, new: (old[0] if self.t == 0 else new[0], new[1])},
    ),
    (
        "third-step-skipped",
        "no move at every third step",
        {"tamper": lambda self, name, old, new: (old[0] if self.t % 3 == 2 else new[0], new[1])},
    ),
    ("adam", "an adaptive denominator, as in AdamW", {"update": _adam}),
    (
        "trust-ratio",
        "the step scaled by the norm of the parameter",
        {
            "move": lambda self, p, s, lr, wd: (
                p - np.asarray(lr, p.dtype) * np.asarray(np.linalg.norm(p), p.dtype) * (s + np.asarray(wd, p.dtype) * p)
            )
        },
    ),
]
