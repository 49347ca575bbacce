"""A NumPy port made of small pieces, whatever its rule.

A mutant replaces one piece by a wrong one, a right port by another legal one. The pieces share nothing with
:mod:`signopt.rules`: these ports are a third party to the suite, as the real ones are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np

from signopt.conformance.port import Arrays

__all__ = ["Array", "NumpyPort"]

Array: TypeAlias = Any
"""A NumPy array; the static types of mixed NumPy arithmetic are Any in any case."""


class NumpyPort:
    """What the rules have in common; every method is a piece that a variant may replace."""

    rule: ClassVar[str] = ""
    label: ClassVar[str] = ""
    declared: ClassVar[Mapping[str, Any]] = {}

    def describe(self) -> Mapping[str, Any]:
        """The port's name, rule and declarations."""
        return {"name": self.label or f"NumPy {self.rule}", "rule": self.rule, **self.declared}

    def init(self, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        """Start afresh, from copies."""
        self.hyper = dict(hyper)
        self.first_hyper = dict(hyper)
        self.t = 0
        self.memo: dict[str, Any] = {}
        self.p = {name: np.array(value) for name, value in params.items()}
        self.m = {name: self.start(name, value) for name, value in params.items()}
        if momentum is not None:
            self.m = {name: np.array(momentum[name]) for name in params}

    def configure(self, hyper: Mapping[str, Any]) -> None:
        """Go on with other hyperparameters."""
        self.hyper = {**self.hyper, **hyper}

    def step(self, grads: Arrays) -> None:
        """Update every tensor once."""
        with np.errstate(all="ignore"):
            for name in self.visit():
                self.advance(name, self.fetch(grads, name))
        self.t += 1

    def params(self) -> Arrays:
        """Copies of the parameters."""
        return {name: value.copy() for name, value in self.p.items()}

    def momentum(self) -> Arrays | None:
        """Copies of the momentum."""
        return {name: value.copy() for name, value in self.m.items()}

    def start(self, name: str, param: Array) -> Array:
        """The momentum before the first step."""
        return np.zeros_like(param)

    def visit(self) -> Iterable[str]:
        """The tensors that a step updates, in order."""
        return list(self.p)

    def fetch(self, grads: Arrays, name: str) -> Array:
        """The gradient of one tensor, as the caller gave it."""
        return grads[name]

    def compute(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """The dtype of the arithmetic."""
        return np.dtype(np.float64 if dtype == np.float64 else np.float32)

    def advance(self, name: str, grad: Array) -> None:
        """Update one tensor: widen, update, round once."""
        work = self.compute(self.p[name].dtype)
        p, m = self.p[name].astype(work), self.m[name].astype(work)
        g = self.gradient(name, p, np.asarray(grad).astype(work))
        self.keep(name, *self.tamper(name, (p, m), self.update(name, p, g, m)))

    def gradient(self, name: str, p: Array, g: Array) -> Array:
        """The gradient that the update sees."""
        return g

    def tamper(self, name: str, old: tuple[Array, Array], new: tuple[Array, Array]) -> tuple[Array, Array]:
        """What of the updated (param, momentum) is written: all of it."""
        return new

    def keep(self, name: str, p: Array, m: Array) -> None:
        """Write the results, rounded to the storage dtypes."""
        self.p[name][...] = p
        self.m[name][...] = m

    def update(self, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        """The rule: new parameter and momentum in the compute dtype."""
        raise NotImplementedError

    def complement(self, beta: float, dtype: np.dtype[Any]) -> Any:
        """1 − β as the arithmetic uses it."""
        return dtype.type(1.0 - beta)

    def blend(self, m: Array, g: Array, beta: float) -> Array:
        """β·m + (1−β)·g."""
        return m.dtype.type(beta) * m + self.complement(beta, m.dtype) * g

    def sign(self, c: Array) -> Array:
        """−1, 0, 1 or NaN."""
        return np.sign(c)

    def base_lr(self) -> float:
        """The learning rate that was asked for."""
        return float(self.hyper["lr"])

    def lr(self) -> float:
        """The learning rate of this step."""
        return self.base_lr()

    def wd(self) -> float:
        """The weight decay of this step."""
        return float(self.hyper["weight_decay"])

    def decays(self, name: str) -> float:
        """1 if weight decay applies to the tensor, else 0."""
        return 1.0

    def decay_mask(self, name: str, p: Array, s: Array) -> Any:
        """A further factor on the weight decay, for the tensor or for each element."""
        return 1.0

    def decay(self, name: str, p: Array, s: Array) -> Any:
        """The weight decay of this tensor, or of each of its elements."""
        return self.wd() * self.decays(name) * self.decay_mask(name, p, s)

    def move(self, p: Array, s: Array, lr: Any, wd: Any) -> Array:
        """p − lr·(s + wd·p), in the bracket's order; lr and wd are scalars or arrays."""
        return p - np.asarray(lr, p.dtype) * (s + np.asarray(wd, p.dtype) * p)
