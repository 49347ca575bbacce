"""Lion, Signum and Tiger as NumPy ports made of small pieces.

A mutant replaces one piece by a wrong one, a right port by another legal one. The pieces share nothing with
:mod:`signopt.rules`: these ports are a third party to the suite, as the real ones are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np

from signopt.conformance.port import Arrays

__all__ = ["BASES", "Array", "LionPort", "NumpyPort", "SignumPort", "TigerPort"]

Array: TypeAlias = Any
"""A NumPy array; the static types of mixed NumPy arithmetic are Any in any case."""


class NumpyPort:
    """What the three rules have in common; every method is a piece that a variant may replace."""

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
        """1 where weight decay applies to the tensor, else 0."""
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


class LionPort(NumpyPort):
    """Lion: the sign of a blend of the old momentum and the gradient."""

    rule = "lion"

    def betas(self) -> tuple[float, float]:
        """β1 of the sign, β2 of the momentum."""
        beta1, beta2 = self.hyper["betas"]
        return float(beta1), float(beta2)

    def look(self, m: Array, g: Array) -> Array:
        """What the sign is taken of."""
        return self.blend(m, g, self.betas()[0])

    def remember(self, m: Array, g: Array, c: Array) -> Array:
        """The new momentum."""
        return self.blend(m, g, self.betas()[1])

    def update(self, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        """One Lion step of one tensor."""
        c = self.look(m, g)
        s = self.sign(c)
        return self.move(p, s, self.lr(), self.decay(name, p, s)), self.remember(m, g, c)


class SignumPort(NumpyPort):
    """Signum: the sign of the new momentum."""

    rule = "signum"

    def beta(self) -> float:
        """β of the momentum."""
        return float(self.hyper["beta"])

    def remember(self, m: Array, g: Array) -> Array:
        """The new momentum."""
        return self.blend(m, g, self.beta())

    def look(self, m: Array, g: Array, fresh: Array) -> Array:
        """What the sign is taken of: the new momentum."""
        return fresh

    def update(self, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        """One Signum step of one tensor."""
        fresh = self.remember(m, g)
        s = self.sign(self.look(m, g, fresh))
        return self.move(p, s, self.lr(), self.decay(name, p, s)), fresh


class TigerPort(NumpyPort):
    """Tiger: Signum with accumulation without a buffer, rate and decay by role, a NaN rule and a schedule."""

    rule = "tiger"

    def beta(self) -> float:
        """β of the momentum."""
        return float(self.hyper["beta"])

    def window(self) -> int:
        """k, the micro-steps of one window."""
        return int(self.hyper["accumulation_steps"])

    def opens(self) -> bool:
        """Whether this micro-step is a window's first."""
        return self.t % self.window() == 0

    def closes(self) -> bool:
        """Whether this micro-step is a window's last, the one that moves the parameter."""
        return (self.t + 1) % self.window() == 0

    def role(self, name: str) -> str:
        """The role given, else the one that the name says."""
        return (self.hyper.get("roles") or {}).get(name) or self.role_of(name)

    def role_of(self, name: str) -> str:
        """The role that a name says, by the source's order of substrings."""
        if "gamma" in name:
            return "scale"
        if "bias" in name or "beta" in name:
            return "bias"
        return "embedding" if "embeddings" in name else "matrix"

    def centre(self, role: str) -> float:
        """Where a NaN pulls the parameter to."""
        return 1.0 if role == "scale" else 0.0

    def points(self) -> list[tuple[int, float]]:
        """The schedule's corners."""
        schedule = self.hyper.get("schedule") or {0: 1.0}
        corners = sorted((int(at), float(factor)) for at, factor in schedule.items())
        return corners if corners[0][0] == 0 else [(0, 0.0), *corners]

    def clock(self) -> int:
        """The step that the schedule counts."""
        return self.t

    def factor(self) -> float:
        """The schedule's factor now: linear between its corners, constant after the last."""
        at, factors = zip(*self.points(), strict=True)
        return float(np.interp(self.clock(), at, factors))

    def lr(self) -> float:
        """The learning rate of this micro-step."""
        return self.base_lr() * self.factor()

    def rms(self, p: Array, role: str) -> Any:
        """Root mean square of the tensor, or of each of its rows."""
        squares = np.square(p.astype(np.float64))
        axis = -1 if role == "embedding" and p.ndim else None
        return np.sqrt(np.mean(squares, axis=axis, keepdims=axis is not None)) if p.size else np.float64(0)

    def reach(self, p: Array, role: str) -> Any:
        """How far the parameter moves."""
        if role in ("bias", "scale"):
            return 0.5 * self.lr()
        return p.dtype.type(self.lr()) * self.rms(p, role).astype(p.dtype)

    def decays(self, name: str) -> float:
        """Biases and scales do not decay."""
        return 0.0 if self.role(name) in ("bias", "scale") else 1.0

    def poisoned(self, g: Array) -> Any:
        """Whether the NaN rule fires: any NaN in the tensor's gradient."""
        return bool(np.isnan(g).any())

    def shrunk(self, p: Array, role: str) -> Array:
        """(p − centre)·s + centre, in place of a step."""
        centre = p.dtype.type(self.centre(role))
        return (p - centre) * p.dtype.type(self.hyper["shrink"]) + centre

    def coefficients(self) -> tuple[float, float]:
        """b1 on the old momentum, b2 on the gradient."""
        return (self.beta() if self.opens() else 1.0), (1.0 - self.beta()) / self.window()

    def remember(self, m: Array, g: Array) -> Array:
        """The new momentum."""
        b1, b2 = self.coefficients()
        return m.dtype.type(b1) * m + m.dtype.type(b2) * g

    def look(self, m: Array, g: Array, fresh: Array) -> Array:
        """What the sign is taken of: the new momentum."""
        return fresh

    def update(self, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        """One Tiger micro-step of one tensor."""
        if self.poisoned(g):
            return self.shrunk(p, self.role(name)), m
        fresh = self.remember(m, g)
        if not self.closes():
            return p, fresh
        s = self.sign(self.look(m, g, fresh))
        return self.move(p, s, self.reach(p, self.role(name)), self.decay(name, p, s)), fresh


BASES: Mapping[str, type[NumpyPort]] = {"lion": LionPort, "signum": SignumPort, "tiger": TigerPort}
