"""What the sign rules share: they step by ±rate, so that one judge serves them all."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from signopt.conformance.oracle.arithmetic import Array, floats
from signopt.conformance.oracle.examine import Laws, examine, join
from signopt.conformance.oracle.formats import format_of
from signopt.conformance.oracle.habits import SignHabits
from signopt.conformance.oracle.judge import Allowed, judge, judge_shrink
from signopt.conformance.oracle.law import Law, Shrink, units_of
from signopt.conformance.oracle.rules._rule import Approach, Discrimination, Optimizer, finite
from signopt.conformance.oracle.sieve import discriminating
from signopt.conformance.oracle.step import Arrays, Judged, Step

__all__ = ["Average", "SignRule"]

Average = tuple[Fraction, Fraction]
"""The exact coefficients (b, a) of b·m + a·g."""


class SignRule(Optimizer):
    """A rule whose step is p − rate·(sign of an average + wd·p).

    Attributes
    ----------
    sign_of_memory : bool
        Whether the sign is that of the new momentum.
    elementwise : bool
        Whether an element's step depends on nothing but its own p, g and m, and not on its tensor's name.
    idle_at_zero : bool
        Whether no step reads the momentum if β is 0, so that a port may then leave it as it is.
    scale_free : bool
        Whether gradients and momentum times a power of two give the same step.
    """

    habits = SignHabits
    sign_of_memory = False
    elementwise = True
    idle_at_zero = False
    scale_free = True

    @abstractmethod
    def averages(self, hyper: Mapping[str, Any], step: int) -> tuple[Average, Average]:
        """The exact coefficients of the average in the sign, and of the one that is kept, at 0-based ``step``."""

    def law(
        self, habits: SignHabits, hyper: Mapping[str, Any], name: str, param: Array, grad: Array, step: int
    ) -> Law | Shrink:
        """The law of 0-based ``step`` for the tensor ``name``, whose parameter is ``param`` before it."""
        storage = format_of(param.dtype)
        units = units_of(habits, storage)
        direction, memory = self.averages(hyper, step)
        return Law(
            direction, memory, (Fraction(hyper["lr"]),), (units.uc,), Fraction(hyper["weight_decay"]), units, storage,
            sign_of_memory=self.sign_of_memory, nan=habits.nan,
        )  # fmt: skip

    def laws(self, habits: SignHabits, hyper: Mapping[str, Any], params: Arrays, grads: Arrays, step: int) -> Laws:
        """The laws of 0-based ``step``, each with its tensors; of an elementwise rule there is one."""
        first = next(iter(grads))
        return [(self.law(habits, hyper, first, params[first], grads[first], step), list(grads))]

    def judge(self, habits: SignHabits) -> _Judge:
        """See `Optimizer.judge`."""
        return _Judge(self, habits)

    def outcomes(self, habits: SignHabits, step: Step) -> dict[str, tuple[list[Allowed], list[Allowed]]]:
        """See `Optimizer.outcomes`."""
        return {name: self._outcome(habits, step, name) for name in step.params}

    def _outcome(self, habits: SignHabits, step: Step, name: str) -> tuple[list[Allowed], list[Allowed]]:
        param, memory, grad = step.params[name], step.memory[name], step.grads[name]
        law = self.law(habits, step.hyper, name, param, grad, step.index)
        ends = list(zip(floats(memory.low), floats(memory.high), strict=True))
        if isinstance(law, Shrink):
            return [judge_shrink(law, p) for p in floats(param)], [_unchanged(*m) for m in ends]
        judged = [
            judge(law, p, g, m, memory.storage, law.rate_at(i))
            for i, (p, g, m) in enumerate(zip(floats(param), floats(grad), ends, strict=True))
        ]
        return [element.param for element in judged], [element.momentum for element in judged]

    def discrimination(self, habits: SignHabits, step: Step) -> Discrimination:
        """See `Optimizer.discrimination`."""
        count = direction = decay = 0
        for law, names in self.laws(habits, step.hyper, step.params, step.grads, step.index):
            tensors = join(step, names)
            with np.errstate(all="ignore"):
                turned, shrunk = discriminating(law, tensors.p, tensors.g, tensors.m)
            count, direction, decay = count + tensors.p.size, direction + int(turned.sum()), decay + int(shrunk.sum())
        return Discrimination(count, direction, decay)

    def moves_every(self, hyper: Mapping[str, Any]) -> int:
        """How many steps there are to one that moves the parameters."""
        return 1

    def approach(self, habits: SignHabits, hyper: Mapping[str, Any], params: Arrays, momentum: Arrays) -> Approach:
        """See `Optimizer.approach`."""
        if not finite(momentum):
            raise ValueError("no gradient leads to a non-finite one")
        steps = self.moves_every(hyper)
        grads, starts = {}, {}
        with np.errstate(all="ignore"):
            for name, m in momentum.items():
                law = self.law(habits, hyper, name, params[name], np.zeros_like(params[name]), 0)
                if isinstance(law, Shrink):
                    raise TypeError("a gradient without NaN has a law of averages")
                kind, wide, p = params[name].dtype, m.astype(np.float64), params[name].astype(np.float64)
                grads[name] = (wide / (float(law.memory[1]) * steps)).astype(kind)
                starts[name] = _undone(law, p, np.sign(wide)).astype(kind)
        return Approach(starts, grads, steps)

    def near_zero(self, hyper: Mapping[str, Any], step: int, momentum: Array, deltas: Array) -> Array:
        """g = −(b/a)·m·(1 + δ), which puts c at −δ·b·m."""
        (b, a), _ = self.averages(hyper, step)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(-float(b / a) * momentum * (1 + np.asarray(deltas)))


class _Judge:
    """The laws of an elementwise rule stay as long as the hyperparameters do."""

    def __init__(self, rule: SignRule, habits: SignHabits) -> None:
        self._rule, self._habits = rule, habits
        self._hyper: Mapping[str, Any] | None = None
        self._laws: Laws = ()

    def __call__(self, step: Step) -> Judged:
        if not self._rule.elementwise or step.hyper is not self._hyper:
            self._hyper = step.hyper
            self._laws = self._rule.laws(self._habits, step.hyper, step.params, step.grads, step.index)
        return examine(self._laws, step)


def _unchanged(low: float, high: float) -> Allowed:
    return Allowed((), nan=True) if math.isnan(low) else Allowed(((low, high),))


def _undone(law: Law, p: Array, signs: Array) -> Array:
    """A parameter that a step with ``signs`` takes to about ``p``."""
    rate = float(law.rates[0]) if len(law.rates) == 1 else float(max(law.rates))
    kept = 1 - rate * float(law.weight_decay)
    return np.asarray((p + rate * signs) / (kept if abs(kept) > 0.25 else 1.0))
