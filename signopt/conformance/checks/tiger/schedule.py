"""The schedule of the rate."""

from __future__ import annotations

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.tiger._shapes import TIGER
from signopt.conformance.checks.values import random_like, sized, uneven
from signopt.conformance.session import Session

SCHEDULES: tuple[dict[int, float], ...] = (
    {0: 1.0},
    {0: 0.25, 3: 1.0},
    {4: 1.0},
    {2: 1.0, 6: 0.5},
    {0: 1.0, 5: 0.125},
    {1: 0.5, 3: 2.0, 4: 0.25},
)


@check("schedule/points", rules=TIGER)
def schedule_points(s: Session) -> None:
    """The factor is linear between its keys, 0 at step 0 if that is no key, and constant after the last."""
    for schedule in SCHEDULES:
        params = uneven(s, {"a/kernel": (3, 2), "b/bias": (4,), "c/gamma": (3,), "d/embeddings": (3, 2)})
        run = s.start(params, s.hyper(lr=0.5, schedule=schedule))
        for _ in range(9):
            run.step(random_like(s, params))


@check("schedule/micro-steps", rules=TIGER)
def schedule_micro(s: Session) -> None:
    """The schedule counts micro-steps, not windows."""
    for k in (2, 3):
        params = uneven(s, {"a/kernel": (3, 2), "b/bias": (4,)})
        run = s.start(params, s.hyper(lr=0.5, schedule={2: 0.25, 10: 1.0}, accumulation_steps=k))
        for _ in range(5 * k):
            run.step(random_like(s, params))


@check("schedule/decay", rules=TIGER)
def schedule_decay(s: Session) -> None:
    """The factor is on the rate, and so on the decay; never on the momentum."""
    params = uneven(s, {"a/kernel": (3, 2), "b/embeddings": (4, 3)})
    run = s.start(params, s.hyper(lr=0.25, weight_decay=1.0, schedule={0: 0.5, 4: 1.0}))
    for _ in range(5):
        run.step(random_like(s, params))


@check("schedule/order", rules=TIGER)
def schedule_order(s: Session) -> None:
    """A schedule's keys count by their value, in whatever order they are written."""
    run = s.start(sized(s, 8), s.hyper(schedule={7: 0.25, 0: 0.5, 3: 1.0}))
    for _ in range(9):
        run.step(s.array(sized(s, 8)))
