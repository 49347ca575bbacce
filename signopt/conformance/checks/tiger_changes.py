"""Tiger's own hyperparameters changed between micro-steps, and all that makes Tiger at once."""

from __future__ import annotations

import math
from typing import Any

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, sized
from signopt.conformance.driver import Tensors
from signopt.conformance.session import NotApplicableError, Run, Session

TIGER = ("tiger",)
SHAPES = {"a/kernel": (3, 4), "b/embeddings": (4, 3), "c/bias": (5,), "d/gamma": (5,), "e/kernel": (7,)}
ROLES = ("matrix", "embedding", "bias", "scale")


def _each(s: Session) -> Tensors:
    return {name: s.array(sized(s, math.prod(shape)).reshape(shape)) for name, shape in SHAPES.items()}


def _demand_configure(s: Session) -> None:
    """A new life counts micro-steps from 0 again, so only a port that can change within one life is asked."""
    if not s.driver.configurable:
        raise NotApplicableError("no configure(hyper): a new start begins a new window and a new schedule")


@check("changes/window", rules=TIGER)
def window(s: Session) -> None:
    """A window's length changed where one ends, and the old and the new divide the count, holds from there on."""
    _demand_configure(s)
    run = s.start(_each(s), s.hyper(betas=(0.75, 0.75), weight_decay=0.25, accumulation_steps=2))
    for k, steps in ((2, 4), (4, 4), (1, 1), (3, 3)):
        run.configure(accumulation_steps=k)
        for _ in range(steps):
            run.step(_each(s))


@check("changes/within-window", rules=TIGER)
def within_window(s: Session) -> None:
    """A rate, a decay or a factor of the shrinking changed within a window leaves the count of micro-steps alone."""
    _demand_configure(s)
    schedule = {0: 0.5, 6: 2.0, 12: 0.25}
    run = s.start(_each(s), s.hyper(weight_decay=0.25, accumulation_steps=3, schedule=schedule))
    for change in ({"lr": 0.25}, {"weight_decay": 0.5}, {"shrink": 0.5}, {"lr": 0.0625}):
        run.step(_each(s))
        run.step(_each(s))
        run.configure(**change)
    for _ in range(3):
        run.step(_each(s))


@check("changes/schedule", rules=TIGER)
def schedule(s: Session) -> None:
    """A schedule that is changed, removed or given later holds from the next micro-step on, and the count goes on."""
    _demand_configure(s)
    run = s.start(_each(s), s.hyper(schedule={0: 0.25, 4: 1.0}))
    for changed in ({0: 1.0, 8: 0.5}, None, {2: 0.5, 14: 2.0}):
        run.step(_each(s))
        run.step(_each(s))
        run.configure(schedule=changed)
    for _ in range(3):
        run.step(_each(s))


@check("changes/shrink", rules=TIGER)
def shrink(s: Session) -> None:
    """A factor of the shrinking changed between steps holds at the next NaN."""
    _demand_configure(s)
    with s.edge("a NaN gradient"):
        run = s.start(_each(s), s.hyper(shrink=0.75))
        for factor in (0.75, 0.5, 0.9):
            run.configure(shrink=factor)
            run.step(_spoilt(s, 1.0))


def _spoilt(s: Session, share: float) -> Tensors:
    """Gradients of which about ``share`` of the tensors have a NaN somewhere."""
    grads = _each(s)
    for grad in grads.values():
        if s.rng.random() < share:
            grad.reshape(-1)[s.rng.integers(grad.size)] = math.nan
    return grads


def _any_hyper(s: Session) -> dict[str, Any]:
    """Hyperparameters at random: window, schedule, roles, rate, decay, β and the factor of the shrinking."""
    first, second = (int(gap) for gap in s.rng.integers(2, 6, 2))
    low, middle, high = (float(factor) for factor in s.rng.uniform(0.25, 2.0, 3))
    beta = float(s.rng.uniform(0.5, 0.97))
    hyper = s.hyper(
        lr=float(2 ** s.rng.uniform(-5, -1)),
        betas=(beta, beta),
        weight_decay=float(s.rng.choice([0.0, 0.3, 1.5])),
        accumulation_steps=int(s.rng.integers(1, 5)),
        shrink=float(s.rng.uniform(0.5, 0.99)),
        schedule=[None, {0: low, first: middle, first + second: high}, {first: middle, first + second: high}][
            s.rng.integers(3)
        ],
    )
    if "given" in s.declared.roles:
        hyper["roles"] = {name: str(s.rng.choice(ROLES)) for name in SHAPES}
    return hyper


@check("tiger/everything", rules=TIGER)
def everything(s: Session) -> None:
    """Windows, schedules, roles, decay and NaN at random, all at once, follow the one rule."""
    with s.edge("a NaN gradient"):
        for _ in range(8):
            run = s.start(_each(s), _any_hyper(s), _each(s))
            for _ in range(9):
                _any_step(s, run)


def _any_step(s: Session, run: Run) -> None:
    if s.rng.random() < 0.25:
        run.step(run.near_zero({name: graded(s, p.size, 1).reshape(p.shape) for name, p in run.param.items()}))
    else:
        run.step(_spoilt(s, 0.15))
