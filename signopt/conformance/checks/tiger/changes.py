"""Hyperparameters of Tiger that change between micro-steps."""

from __future__ import annotations

from typing import Any

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.tiger._shapes import MIXED, TIGER
from signopt.conformance.checks.values import graded, random, sized, with_nan_in_some
from signopt.conformance.errors import PortRaised
from signopt.conformance.session import NotApplicableError, Run, Session


@check("changes/window", rules=TIGER)
def window(s: Session) -> None:
    """A window's length changed where one ends, and the old and the new divide the count, holds from there on."""
    run = s.start(random(s, MIXED), s.hyper(betas=(0.75, 0.75), weight_decay=0.25, accumulation_steps=2))
    for k, steps in ((2, 4), (4, 4), (1, 1), (3, 3)):
        _change(s, run, accumulation_steps=k)
        for _ in range(steps):
            run.step(random(s, MIXED))


@check("changes/weights", rules=TIGER)
def weights(s: Session) -> None:
    """What came into the momentum under one β and k keeps its weight under others, which later signs show to a few ulp.

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
    run = s.start(random(s, MIXED), s.hyper(weight_decay=0.25, accumulation_steps=3, schedule=schedule))
    for change in ({"lr": 0.25}, {"weight_decay": 0.5}, {"shrink": 0.5}, {"lr": 0.0625}):
        run.step(random(s, MIXED))
        run.step(random(s, MIXED))
        _change(s, run, **change)
    for _ in range(3):
        run.step(random(s, MIXED))


@check("changes/schedule", rules=TIGER)
def schedule(s: Session) -> None:
    """A schedule that is changed, removed or given later holds from the next micro-step on, and the count goes on."""
    run = s.start(random(s, MIXED), s.hyper(schedule={0: 0.25, 4: 1.0}))
    for changed in ({0: 1.0, 8: 0.5}, None, {2: 0.5, 14: 2.0}):
        run.step(random(s, MIXED))
        run.step(random(s, MIXED))
        _change(s, run, schedule=changed)
    for _ in range(3):
        run.step(random(s, MIXED))


@check("changes/shrink", rules=TIGER)
def shrink(s: Session) -> None:
    """A factor of the shrinking changed between steps holds at the next NaN."""
    with s.edge("a NaN gradient"):
        run = s.start(random(s, MIXED), s.hyper(shrink=0.75))
        for factor in (0.75, 0.5, 0.9):
            _change(s, run, shrink=factor)
            run.step(with_nan_in_some(s, random(s, MIXED), 1.0))


def _change(s: Session, run: Run, **changes: Any) -> None:
    """Change hyperparameters within one life of the port: a new life would count micro-steps from 0 again."""
    if not s.driver.configurable:
        raise NotApplicableError("no configure(hyper): a new start begins a new window and a new schedule")
    try:
        run.configure(**changes)
    except PortRaised as error:
        raise NotApplicableError(f"refuses to change {', '.join(changes)}: {error}") from None
