"""Muon: momentum, orthogonalised by Newton–Schulz, in place of its sign."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from signopt.conformance.oracle.arithmetic import Array
from signopt.conformance.oracle.formats import format_of
from signopt.conformance.oracle.judge import ANYTHING, Allowed
from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.exact import remembered
from signopt.conformance.oracle.muon.habits import MuonHabits
from signopt.conformance.oracle.muon.judge import MuonJudge
from signopt.conformance.oracle.muon.law import Expected, Known, expect
from signopt.conformance.oracle.muon.spread import FALSE_ALARMS, MISSES
from signopt.conformance.oracle.rules._rule import Approach, Discrimination, Hyper, Optimizer, finite
from signopt.conformance.oracle.step import Arrays, Step

__all__ = ["MUON"]

JORDAN = (3.4445, -4.7750, 2.0315)
_DIFFERING = {"lr": 1e-3, "weight_decay": 0.1}
"""Defaults in which the sources differ, those of torch: they hold if a port has these fixed."""


STATISTICAL = (
    "The random spread judged a 16-bit iteration of more applications than one can prove a bound for: a claim of "
    f"statistics. It raised {FALSE_ALARMS[0]} alarms in {FALSE_ALARMS[1]} right iterations, and missed "
    f"{MISSES['bfloat16'][0]} to {MISSES['bfloat16'][1]} % of each kind of wrong ones in bfloat16, "
    f"{MISSES['float16'][0]} to {MISSES['float16'][1]} % in float16."
)
COUNTED = "What no polynomial gives (an orthogonalizer, an SVD) was held to a tolerance that is counted, not proven."
NOTHING = "Some parameters could not be judged, as no bound is known for them."


class Muon(Optimizer):
    """The rule as the suite knows it."""

    name = "muon"
    sources = (
        "https://kellerjordan.github.io/posts/muon/",
        "https://arxiv.org/abs/2502.16982",
        "https://docs.pytorch.org/docs/stable/generated/torch.optim.Muon.html",
    )
    hyper = (
        Hyper("lr", usual=0.1),
        Hyper("beta", default=0.95),
        Hyper("weight_decay", usual=0.0),
        Hyper("nesterov", "flag", default=True),
        Hyper("ns_coefficients", "triples", default=JORDAN),
        Hyper("ns_steps", "count", default=5),
        Hyper("eps", default=1e-7),
        Hyper("adjust_lr_fn", "name", default="original"),
    )
    habits = MuonHabits
    grounds = MappingProxyType({
        "radius": "", "trajectory": "", "spread": STATISTICAL, "units": COUNTED, "nothing": NOTHING,
    })  # fmt: skip
    kinds = ("w/kernel", "e/embeddings")

    def judge(self, habits: MuonHabits) -> MuonJudge:
        """See `Optimizer.judge`."""
        return MuonJudge(habits)

    def complete(self, habits: MuonHabits, hyper: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
        """Hyperparameters that the port has fixed have their defaults."""
        return {**hyper, **self.fixed(habits)}

    def fixed(self, habits: MuonHabits) -> dict[str, Any]:
        """What the hyperparameters are that cannot be set: the port's declared defaults, else those of the rule."""
        known = {**self.defaults, **_DIFFERING, **(habits.defaults or {})}
        return {name: known[name] for name in habits.fixed}

    def spread(self, array: Array) -> dict[str, Array]:
        """One matrix; a vector is folded into one as square as its length allows."""
        if array.ndim > 1:
            return {"w": array.copy()}
        rows = next(rows for rows in range(int(array.size**0.5), 0, -1) if array.size % rows == 0)
        return {"w": array.reshape(rows, -1).copy()}

    def _expected(self, habits: MuonHabits, step: Step, name: str, *, unread: bool = False) -> Expected:
        """What the step must do to one tensor, in the first form that the port may have.

        With ``unread``, by a port that uses the momentum before it is rounded to its storage.
        """
        p, g = (arrays[name].astype(np.float64) for arrays in (step.params, step.grads))
        memory = step.memory[name]
        precision = habits.precision(format_of(step.params[name].dtype), memory.storage)
        known, forms = Known.shown(memory.low), habits.learnt.forms[0]
        read = remembered(known.value, Block.of(g), float(step.hyper["beta"]), forms.momentum) if unread else None
        return expect(p, g, known, step.hyper, forms, precision, read)

    def outcomes(self, habits: MuonHabits, step: Step) -> dict[str, tuple[list[Allowed], list[Allowed]]]:
        """See `Optimizer.outcomes`; if no radius is known a parameter may be anything."""
        return {name: _ranges(self._expected(habits, step, name)) for name in step.params}

    def discrimination(self, habits: MuonHabits, step: Step) -> Discrimination:
        """Elements whose slack is below half of their own step, and below half of their decay."""
        judged = direction = decay = 0
        for name, param in step.params.items():
            judged += param.size
            if not all(np.isfinite(a[name].astype(np.float64)).all() for a in (step.params, step.grads)):
                continue
            if not param.size or not np.isfinite(step.memory[name].low).all():
                continue
            expected = self._expected(habits, step, name, unread=True)
            pull = float(step.hyper["lr"]) * float(step.hyper["weight_decay"]) * param.astype(np.float64)
            moved = expected.param.floats() - param.astype(np.float64) + pull
            direction += int(_told(expected, -moved, param.dtype).sum())
            decay += int(_told(expected, pull, param.dtype).sum())
        return Discrimination(judged, direction, decay)

    def approach(self, habits: MuonHabits, hyper: Mapping[str, Any], params: Arrays, momentum: Arrays) -> Approach:
        """From zero one gradient m/(1 − β), or m itself, leads to m; the parameters then are where that led them."""
        if not finite(momentum):
            raise ValueError("no gradient leads to a non-finite one")
        ema = habits.learnt.forms[0].momentum == "ema"
        weight = 1 - float(hyper["beta"]) if ema else 1.0
        grads = {name: (m.astype(np.float64) / weight).astype(params[name].dtype) for name, m in momentum.items()}
        return Approach({name: np.array(param) for name, param in params.items()}, grads)


def _told(expected: Expected, missing: Array, dtype: np.dtype[Any]) -> Array:
    """Which elements would be outside by the slack without a part of the step, or be rounded to another number."""
    far = expected.param_slack < np.abs(missing) / 2
    if dtype.itemsize > 2:
        return np.asarray(far)
    exact, away = expected.param.floats(), expected.unstored
    low, high, other = (x.astype(dtype).astype(np.float64) for x in (exact - away, exact + away, exact + missing))
    return np.asarray(far | (other < low) | (other > high))


def _ranges(expected: Expected) -> tuple[list[Allowed], list[Allowed]]:
    pairs = ((expected.param, expected.param_slack), (expected.momentum.value, expected.momentum.slack))
    param, momentum = ([_around(*pair) for pair in _flat(*each)] for each in pairs)
    return param, momentum


def _flat(values: Any, slack: Array) -> list[tuple[float, float]]:
    return list(zip(values.floats().ravel().tolist(), np.ravel(slack).tolist(), strict=True))


def _around(middle: float, slack: float) -> Allowed:
    return Allowed(((middle - slack, middle + slack),)) if np.isfinite(slack) else ANYTHING


MUON = Muon()
