"""Bugs that only a Lion port can have: two betas, and a sign of something that is not stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.mutants.common import CPU_LION, common
from signopt.conformance.mutants.common_state import coupled, undecayed
from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array
from signopt.conformance.numpy_ports.lion import LionPort
from signopt.conformance.numpy_ports.variant import Variant, of_row

__all__ = ["LION"]

OPTIMISERS_JL = "https://github.com/FluxML/Optimisers.jl/blob/v0.4.8/src/rules.jl"
STOCHASTIC = "https://github.com/ppbrown/lion-pytorch-stochiastic"
QLION = "https://github.com/balovess/qlion"
CPU_LION_MASK = "https://github.com/deepspeedai/DeepSpeed/pull/4331"

_BITS = {np.dtype(np.float32): np.uint32, np.dtype(np.float64): np.uint64, np.dtype(np.float16): np.uint16}


def _optimisers_jl(self: LionPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    beta1, beta2 = self.betas()
    kind = m.dtype.type
    fresh = kind(beta2) * g + kind(1 - beta2) * m
    s = self.sign(kind(beta2 - beta1) * g + kind(beta1) * fresh)
    return self.move(p, s, self.lr(), self.decay(name, p, s)), fresh


def _masked_step(self: LionPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    c = np.atleast_1d(np.asarray(self.look(m, g)))
    bits = _BITS[c.dtype]
    wrong = (c.view(bits) & c.dtype.type(-1).view(bits)) ^ c.dtype.type(-self.lr()).view(bits)
    whole = np.arange(c.size).reshape(c.shape) < c.size - c.size % 16
    right = -c.dtype.type(self.lr()) * np.sign(c)
    step = np.where(whole, wrong.view(c.dtype), right).reshape(p.shape)
    wd = np.asarray(self.lr() * self.decay(name, p, step), p.dtype)
    return p - wd * p + step, self.remember(m, g, c)


def _momentum_first(self: LionPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    fresh = self.blend(m, g, self.betas()[1])
    s = self.sign(self.look(fresh, g))
    return self.move(p, s, self.lr(), self.decay(name, p, s)), fresh


def _signum(self: LionPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    fresh = self.blend(m, g, self.betas()[1])
    s = self.sign(fresh)
    return self.move(p, s, self.lr(), self.decay(name, p, s)), fresh


def _written_twice(self: LionPort, m: Array, g: Array, c: Array) -> Array:
    return self.blend(self.blend(m, g, self.betas()[0]), g, self.betas()[1])


def _clipped_and_first(self: LionPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    norm = float(np.linalg.norm(np.nan_to_num(g)))
    return _momentum_first(self, name, p, g if norm <= 1 else g * g.dtype.type(1 / norm), m)


def _coupled_sign_only(self: LionPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    c = self.look(m, g + p.dtype.type(self.wd()) * p)
    return p - p.dtype.type(self.lr()) * self.sign(c), self.remember(m, g, c)


def _coupled_momentum_only(self: LionPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    c = self.look(m, g)
    fresh = self.remember(m, g + p.dtype.type(self.wd()) * p, c)
    return p - p.dtype.type(self.lr()) * self.sign(c), fresh


def _mix(m: Array, g: Array, on_m: float, on_g: float) -> Array:
    return m.dtype.type(on_m) * m + m.dtype.type(on_g) * g


def _scaled_by_rms(self: LionPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    rms = p.dtype.type(np.sqrt(np.mean(np.square(p, dtype=np.float64))) if p.size else 0)
    return p - np.asarray(lr, p.dtype) * rms * (s + np.asarray(wd, p.dtype) * p)


_OWN: tuple[Variant, ...] = tuple(
    of_row("lion", row)
    for row in (
        (
            "momentum-times-lr",
            "the learning rate inside the momentum",
            {"remember": lambda self, m, g, c: self.blend(m, g * m.dtype.type(self.lr()), self.betas()[1])},
        ),
        (
            "momentum-of-update",
            "the step's own sign blended into the momentum",
            {"remember": lambda self, m, g, c: self.blend(m, np.sign(c), self.betas()[1])},
        ),
        (
            "betas-annealed",
            "beta1 growing with the steps",
            {"betas": lambda self: (self.hyper["betas"][0] * (1 - 0.5 ** (self.t + 1)), self.hyper["betas"][1])},
        ),
        (
            "betas-three-decimals",
            "betas near 1 rounded to three decimals",
            {"betas": lambda self: tuple(round(beta, 3) for beta in self.hyper["betas"])},
        ),
        (
            "optimisers-jl",
            "the coefficients of momentum and gradient exchanged, c from the new momentum",
            {"update": _optimisers_jl},
            OPTIMISERS_JL,
        ),
        (
            "sign-mask-minus-one",
            "a sign mask of −1.0 for −0.0: the step is no longer ±lr",
            {"update": _masked_step},
            CPU_LION_MASK,
        ),
        ("betas-swapped", "beta1 and beta2 exchanged", {"betas": lambda self: self.hyper["betas"][::-1]}),
        ("betas-first-for-both", "beta1 for both", {"betas": lambda self: (self.hyper["betas"][0],) * 2}),
        ("betas-second-for-both", "beta2 for both", {"betas": lambda self: (self.hyper["betas"][1],) * 2}),
        ("betas-default", "betas (0.9, 0.99) whatever is given", {"betas": lambda self: (0.9, 0.99)}),
        ("betas-beta1-fixed", "beta1 = 0.9 whatever is given", {"betas": lambda self: (0.9, self.hyper["betas"][1])}),
        ("betas-beta2-fixed", "beta2 = 0.99 whatever is given", {"betas": lambda self: (self.hyper["betas"][0], 0.99)}),
        (
            "betas-beta2-999",
            "beta2 = 0.999 where 0.99 is given",
            {
                "betas": lambda self: (
                    self.hyper["betas"][0],
                    0.999 if self.hyper["betas"][1] == 0.99 else self.hyper["betas"][1],
                )
            },
            CPU_LION,
        ),
        (
            "betas-float16",
            "betas held in float16",
            {"betas": lambda self: tuple(map(w.as_float16, self.hyper["betas"]))},
        ),
        (
            "betas-beta1-off",
            "beta1 too small by 1e-4",
            {"betas": lambda self: (max(0.0, self.hyper["betas"][0] - 1e-4), self.hyper["betas"][1])},
        ),
        (
            "betas-beta2-off",
            "beta2 too small by 1e-5",
            {"betas": lambda self: (self.hyper["betas"][0], max(0.0, self.hyper["betas"][1] - 1e-5))},
        ),
        (
            "betas-first-step",
            "betas of 0 at the first step",
            {"betas": lambda self: (0.0, 0.0) if self.t == 0 else tuple(self.hyper["betas"])},
        ),
        (
            "betas-squared-complement",
            "1−β² for 1−β",
            {"complement": lambda self, beta, dtype: dtype.type(1 - beta * beta)},
        ),
        (
            "betas-complement-float16",
            "1−β held in float16",
            {"complement": lambda self, beta, dtype: dtype.type(w.as_float16(1 - beta))},
        ),
        (
            "look-without-complement",
            "c = β1·m + g, without 1−β1",
            {"look": lambda self, m, g: _mix(m, g, self.betas()[0], 1)},
        ),
        (
            "look-crossed",
            "c = β1·m + (1−β2)·g",
            {"look": lambda self, m, g: _mix(m, g, self.betas()[0], 1 - self.betas()[1])},
        ),
        (
            "look-exchanged",
            "c = (1−β1)·m + β1·g",
            {"look": lambda self, m, g: _mix(m, g, 1 - self.betas()[0], self.betas()[0])},
        ),
        (
            "look-difference",
            "c = β1·m − (1−β1)·g",
            {"look": lambda self, m, g: _mix(m, g, self.betas()[0], self.betas()[0] - 1)},
        ),
        ("look-momentum-only", "the sign of the old momentum", {"look": lambda self, m, g: m}),
        ("look-gradient-only", "the sign of the gradient", {"look": lambda self, m, g: g}),
        ("look-average", "c = m + g: no betas in the sign", {"look": lambda self, m, g: m + g}),
        (
            "look-beta2",
            "beta2 in the sign, momentum right",
            {"look": lambda self, m, g: self.blend(m, g, self.betas()[1])},
        ),
        (
            "look-of-signs",
            "the sign of β1·sign(m) + (1−β1)·sign(g)",
            {"look": lambda self, m, g: self.blend(np.sign(m), np.sign(g), self.betas()[0])},
        ),
        ("momentum-first", "momentum updated before the sign is taken", {"update": _momentum_first}),
        ("signum", "the sign of the new momentum: Signum", {"update": _signum}),
        ("momentum-written-twice", "momentum written with β1, and then again with β2", {"remember": _written_twice}),
        (
            "momentum-written-twice-coupled",
            "momentum written with β1 and again with β2, decay in the gradient",
            {"remember": _written_twice, "gradient": coupled, "move": undecayed},
            STOCHASTIC,
        ),
        (
            "momentum-first-clipped",
            "the gradient clipped to norm 1, and the momentum updated before the sign is taken",
            {"update": _clipped_and_first},
            QLION,
        ),
        (
            "momentum-without-complement",
            "m = β2·m + g, without 1−β2",
            {"remember": lambda self, m, g, c: _mix(m, g, self.betas()[1], 1)},
        ),
        (
            "momentum-crossed",
            "m = β2·m + (1−β1)·g",
            {"remember": lambda self, m, g, c: _mix(m, g, self.betas()[1], 1 - self.betas()[0])},
        ),
        (
            "momentum-exchanged",
            "m = (1−β2)·m + β2·g",
            {"remember": lambda self, m, g, c: _mix(m, g, 1 - self.betas()[1], self.betas()[1])},
        ),
        ("momentum-is-c", "c stored as the momentum", {"remember": lambda self, m, g, c: c}),
        (
            "momentum-from-c",
            "m = β2·m + (1−β2)·c",
            {"remember": lambda self, m, g, c: self.blend(m, c, self.betas()[1])},
        ),
        (
            "momentum-onto-c",
            "m = β2·c + (1−β2)·g",
            {"remember": lambda self, m, g, c: self.blend(c, g, self.betas()[1])},
        ),
        (
            "momentum-of-sign",
            "the gradient's sign blended into the momentum",
            {"remember": lambda self, m, g, c: self.blend(m, np.sign(g), self.betas()[1])},
        ),
        (
            "momentum-beta1",
            "beta1 in the momentum, sign right",
            {"remember": lambda self, m, g, c: self.blend(m, g, self.betas()[0])},
        ),
        (
            "momentum-bias-corrected",
            "momentum divided by 1−β2^t",
            {
                "remember": lambda self, m, g, c: (
                    self.blend(m, g, self.betas()[1]) / m.dtype.type(1 - self.betas()[1] ** (self.t + 1))
                )
            },
        ),
        ("decay-in-sign-only", "decay added to the gradient in the sign", {"update": _coupled_sign_only}),
        ("decay-in-momentum-only", "decay added to the gradient in the momentum", {"update": _coupled_momentum_only}),
        (
            "decay-not-on-names",
            "no decay on tensors named bias, or with a number in it",
            {"decays": lambda self, name: float("bias" not in name and not any(map(str.isdigit, name)))},
        ),
        (
            "decay-not-on-norms",
            "no decay on tensors named norm or embedding",
            {"decays": lambda self, name: float(not any(part in name.lower() for part in ("norm", "embed")))},
        ),
        (
            "look-cut-near-zero",
            "c within 8 ulp of its terms taken as zero",
            {"look": lambda self, m, g: w.cut(self.blend(m, g, self.betas()[0]), m)},
        ),
        ("decay-capped-low", "weight decay capped at 0.1", {"wd": lambda self: min(0.1, self.hyper["weight_decay"])}),
        ("lr-times-rms", "the learning rate multiplied by RMS(θ), as Tiger does", {"move": _scaled_by_rms}),
    )
)

LION: tuple[Variant, ...] = (*_OWN, *common("lion"))
