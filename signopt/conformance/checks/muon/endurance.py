"""A thousand steps along one gradient, of which only the end is looked at: what has a longer period than others see."""

from __future__ import annotations

import math

import numpy as np

from signopt.conformance.checks.muon.values import Array, asked, simple
from signopt.conformance.oracle.formats import Format, format_of
from signopt.conformance.oracle.step import Step
from signopt.conformance.session import Run, Session

__all__ = ["endures"]

STEPS = 1030
SLOW, QUICK = 1 - 2.0**-10, 0.95
"""SLOW: most of what a thousand steps have added is still there. QUICK: so is what 16 bits can hold of it."""
STRONG = 3.0
"""A decay that keeps the parameter as small as a step, so that 16 bits can show what is wrong with the next."""
ALONE = 64
"""How much larger a gradient is beside which the momentum hardly counts, so that rate and decay show alone."""


def endures(s: Session) -> None:
    """After `STEPS` equal gradients the momentum is what they add up to, and further steps are those of the rule.

    The gradients are multiples of rotations, as is every sum of them: X is a multiple of a rotation, too, whose angle
    says how large the momentum was against a gradient at right angles to it. A port that hides its momentum shows that.
    """
    with asked(s):
        narrow = bool(s.habits.precision(s.storage, _storage(s)).momentum_rounding)
        wanted = {"beta": QUICK if narrow else SLOW, "weight_decay": STRONG}
        free = {name: value for name, value in wanted.items() if name not in s.habits.fixed}
        run = s.start({"w": s.array(np.zeros((2, 2)))}, simple(s, **free))
        angle = float(s.rng.uniform(0, 2 * math.pi))
        along, across = _rotation(angle), _rotation(angle + math.pi / 2)
        _repeat(s, run, s.array(along))
        size = _balance(run)
        for grad in (size * across, along, -size * across, ALONE * size * across):
            run.step({"w": s.array(grad)})


def _storage(s: Session) -> Format:
    return format_of(s.habits.momentum_dtype) if s.habits.momentum_dtype else s.storage


def _rotation(angle: float) -> Array:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _balance(run: Run) -> float:
    """How much larger than those before it a gradient must be to take as large a part in u as the momentum."""
    beta = float(run.hyper["beta"])
    kept = beta * (1 - beta**STEPS)
    ahead = (beta * kept, 1 - beta**2) if run.hyper["nesterov"] else (kept, 1 - beta)
    return ahead[0] / ahead[1] if 0 < beta < 1 else 1.0


def _repeat(s: Session, run: Run, grad: Array) -> None:
    """Equal steps, which only the end is judged of."""
    before = run.param
    for _ in range(STEPS):
        s.driver.step({"w": grad.copy()})
    params, momenta = run.read()
    s.result.judged += grad.size if momenta is not None else 0
    judged = run.judge.after(Step(0, run.hyper, before, {"w": grad}, run.memory, params, momenta), STEPS)  # type: ignore[attr-defined]
    for fault in judged.faults:
        run.record(fault)
    run.go_on_from(params, momenta, judged.memory)
