"""Four ports of Lion for ``signopt demo``: the rule as published, and three that real libraries shipped in its place.

Each wrong one is written as its library computes it, on NumPy, with the rest as in the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

__all__ = ["DEMO_PORTS", "CoupledDecay", "DemoLion", "ExchangedCoefficients", "WrongMask"]

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]


class DemoLion:
    """Lion as the paper has it; a port is any object with these five methods."""

    label: ClassVar[str] = "Lion, as published"
    source: ClassVar[str] = "https://arxiv.org/abs/2302.06675"
    bug: ClassVar[str] = ""
    """The known bug that the report must name, by its id in the table of mutants; none for a right port."""

    def describe(self) -> Mapping[str, Any]:
        """Its name and the rule that it claims to be."""
        return {"name": self.label, "rule": "lion"}

    def init(self, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        """Start afresh on copies."""
        self.lr, self.betas, self.decay = hyper["lr"], hyper["betas"], hyper["weight_decay"]
        self.p = {name: p.copy() for name, p in params.items()}
        self.m = {name: np.zeros_like(p) if momentum is None else momentum[name].copy() for name, p in params.items()}

    def step(self, grads: Arrays) -> None:
        """Update every tensor."""
        for name, g in grads.items():
            self.p[name], self.m[name] = self.update(self.p[name], g, self.m[name])

    def update(self, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        """c = β1·m + (1−β1)·g ; p ← p − lr·(sign(c) + λ·p) ; m ← β2·m + (1−β2)·g"""
        beta1, beta2 = self.betas
        c = beta1 * m + (1 - beta1) * g
        return p - self.lr * (np.sign(c) + self.decay * p), beta2 * m + (1 - beta2) * g

    def params(self) -> Arrays:
        """The parameters as they are now."""
        return self.p

    def momentum(self) -> Arrays:
        """The momentum as it is now."""
        return self.m


class ExchangedCoefficients(DemoLion):
    """The momentum keeps 1 − β2 of the past and takes β2 of the gradient, so that its sign is nearly the gradient's."""

    label = "FluxML Optimisers.jl 0.4.8"
    source = "https://github.com/FluxML/Optimisers.jl/blob/v0.4.8/src/rules.jl"
    bug = "optimisers-jl"

    def update(self, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        """β2 and 1 − β2 change places in the momentum; the sign is taken of a blend with the new one."""
        beta1, beta2 = self.betas
        m = beta2 * g + (1 - beta2) * m
        c = (beta2 - beta1) * g + beta1 * m
        return p - self.lr * (np.sign(c) + self.decay * p), m


class WrongMask(DemoLion):
    """The sign bit is taken with the bits of −1.0 in place of those of −0.0: most steps become about 1e-34."""

    label = "DeepSpeed CPULion with AVX, before 0.19.8"
    source = "https://github.com/deepspeedai/DeepSpeed/pull/4331"
    bug = "sign-mask-minus-one"

    def update(self, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        """Whole vectors of 16 elements go through the mask, the rest through an ordinary sign."""
        right, new_m = super().update(p, g, m)
        c = np.atleast_1d(np.asarray(self.betas[0] * m + (1 - self.betas[0]) * g, p.dtype))
        bits = {4: np.uint32, 8: np.uint64}[c.itemsize]
        minus_one, minus_lr = (c.dtype.type(number).view(bits) for number in (-1.0, -self.lr))
        step = ((c.view(bits) & minus_one) ^ minus_lr).view(c.dtype).reshape(p.shape)
        vectorised = (np.arange(p.size) < p.size - p.size % 16).reshape(p.shape)
        return np.where(vectorised, p - self.lr * self.decay * p + step, right), new_m


class CoupledDecay(DemoLion):
    """The decay is added to the gradient, where the sign swallows it."""

    label = "bitsandbytes Lion, before 0.50"
    source = "https://github.com/bitsandbytes-foundation/bitsandbytes/issues/1992"
    bug = "decay-coupled"

    def update(self, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        """The rule without decay, on g + λ·p."""
        c = self.betas[0] * m + (1 - self.betas[0]) * (g + self.decay * p)
        return p - self.lr * np.sign(c), self.betas[1] * m + (1 - self.betas[1]) * (g + self.decay * p)


DEMO_PORTS: tuple[type[DemoLion], ...] = (DemoLion, ExchangedCoefficients, WrongMask, CoupledDecay)
