"""Tiger's own hyperparameters changed between micro-steps, and all that makes Tiger at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, sized
from signopt.conformance.driver import PortRaisedError, Tensors
from signopt.conformance.session import NotApplicableError, Run, Session

TIGER = ("tiger",)
SHAPES = {"a/kernel": (3, 4), "b/embeddings": (4, 3), "c/bias": (5,), "d/gamma": (5,), "e/kernel": (7,)}
ROLES = ("matrix", "embedding", "bias", "scale")


def _each(s: Session) -> Tensors:
    return {name: s.array(sized(s, math.prod(shape)).reshape(shape)) for name, shape in SHAPES.items()}


def _change(s: Session, run: Run, **changes: Any) -> None:
    """Change hyperparameters within one life of the port: a new life would count micro-steps from 0 again."""
    if not s.driver.configurable:
        raise NotApplicableError("no configure(hyper): a new start begins a new window and a new schedule")
    try:
        run.configure(**changes)
    except PortRaisedError as error:
        raise NotApplicableError(f"refuses to change {', '.join(changes)}: {error}") from None


def _scaled(s: Session, scale: float) -> Tensors:
    return {name: s.array(scale * values.astype(np.float64)) for name, values in _each(s).items()}


@check("changes/window", rules=TIGER)
def window(s: Session) -> None:
    """A window's length changed where one ends, and the old and the new divide the count, holds from there on."""
    run = s.start(_each(s), s.hyper(betas=(0.75, 0.75), weight_decay=0.25, accumulation_steps=2))
    for k, steps in ((2, 4), (4, 4), (1, 1), (3, 3)):
        _change(s, run, accumulation_steps=k)
        for _ in range(steps):
            run.step(_each(s))


@check("changes/weights", rules=TIGER)
def weights(s: Session) -> None:
    """What came into the momentum under one β and k keeps its weight under others, which later signs tell to a few ulp.

    Under one β and k alone a common factor on all weights shows in no sign.
    """
    for (beta, k), (later, window) in (((0.9, 3), (0.5, 1)), ((0.5, 3), (0.9, 3)), ((0.7, 5), (0.6, 1))):
        run = s.start({name: s.array(sized(s, 110)) for name in ("a/bias", "b/kernel")},
                      s.hyper(betas=(beta, beta), accumulation_steps=k))  # fmt: skip
        for _ in range(k):
            run.step(s.array(sized(s, 110)))
        _change(s, run, beta=later, accumulation_steps=window)
        for _ in range(window - 1):
            run.step(s.array(sized(s, 110, -6, -3)))
        run.step(run.near_zero(graded(s, 110)))


@check("changes/within-window", rules=TIGER)
def within_window(s: Session) -> None:
    """A rate, a decay or a factor of the shrinking changed within a window leaves the count of micro-steps alone."""
    schedule = {0: 0.5, 6: 2.0, 12: 0.25}
    run = s.start(_each(s), s.hyper(weight_decay=0.25, accumulation_steps=3, schedule=schedule))
    for change in ({"lr": 0.25}, {"weight_decay": 0.5}, {"shrink": 0.5}, {"lr": 0.0625}):
        run.step(_each(s))
        run.step(_each(s))
        _change(s, run, **change)
    for _ in range(3):
        run.step(_each(s))


@check("changes/schedule", rules=TIGER)
def schedule(s: Session) -> None:
    """A schedule that is changed, removed or given later holds from the next micro-step on, and the count goes on."""
    run = s.start(_each(s), s.hyper(schedule={0: 0.25, 4: 1.0}))
    for changed in ({0: 1.0, 8: 0.5}, None, {2: 0.5, 14: 2.0}):
        run.step(_each(s))
        run.step(_each(s))
        _change(s, run, schedule=changed)
    for _ in range(3):
        run.step(_each(s))


@check("changes/shrink", rules=TIGER)
def shrink(s: Session) -> None:
    """A factor of the shrinking changed between steps holds at the next NaN."""
    with s.edge("a NaN gradient"):
        run = s.start(_each(s), s.hyper(shrink=0.75))
        for factor in (0.75, 0.5, 0.9):
            _change(s, run, shrink=factor)
            run.step(_spoilt(s, 1.0))


def _spoilt(s: Session, share: float, scale: float = 1.0) -> Tensors:
    """Gradients times ``scale``, of which about ``share`` of the tensors have a NaN somewhere."""
    grads = _scaled(s, scale)
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
    if "given" in s.habits.roles:
        hyper["roles"] = {name: str(s.rng.choice(ROLES)) for name in SHAPES}
    return hyper


@check("tiger/everything", rules=TIGER)
def everything(s: Session) -> None:
    """Windows, schedules, roles, decay and NaN at random, all at once, follow the one rule."""
    with s.edge("a NaN gradient"):
        reach = 3 if s.storage.name == "float16" else 24
        for _ in range(8):
            scale = 2.0 ** int(s.rng.integers(-reach, reach + 1))
            run = s.start(_each(s), _any_hyper(s), _scaled(s, scale))
            for _ in range(9):
                _any_step(s, run, scale)


def _any_step(s: Session, run: Run, scale: float) -> None:
    if s.rng.random() < 0.25:
        run.step(run.near_zero({name: graded(s, p.size, 1).reshape(p.shape) for name, p in run.param.items()}))
    else:
        run.step(_spoilt(s, 0.15, scale))
