"""Square matrices, schedules in disorder, windows on a momentum: mutants showed that other checks let these pass."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, sized
from signopt.conformance.driver import Tensors
from signopt.conformance.session import Session


def _matrices(s: Session, names: list[str], side: int = 4) -> Tensors:
    """Square matrices whose rows have very different sizes."""
    rows = 4.0 ** np.resize([0, 1, -1], side)[:, None]
    return {name: s.array(sized(s, side * side, -1, 1).reshape(side, side) * rows) for name in names}


@check("sizes/square")
def square(s: Session) -> None:
    """Square matrices are read and written the right way round, and so is their momentum."""
    names = ["a/kernel", "b/kernel"]
    run = s.start(_matrices(s, names), s.hyper(weight_decay=0.25))
    for _ in range(2):
        run.step(_matrices(s, names))
    run.step(run.near_zero(graded(s, 16, 1).reshape(4, 4)))


@check("rms/square-embedding", rules=("tiger",))
def square_embedding(s: Session) -> None:
    """In a square embedding each row has its own rate, not each column."""
    run = s.start(_matrices(s, ["a/embeddings"]), s.hyper(lr=0.25, weight_decay=0.25))
    for _ in range(2):
        run.step(_matrices(s, ["a/embeddings"]))


@check("schedule/order", rules=("tiger",))
def schedule_order(s: Session) -> None:
    """A schedule's keys count by their value, in whatever order they are written."""
    run = s.start(sized(s, 8), s.hyper(schedule={7: 0.25, 0: 0.5, 3: 1.0}))
    for _ in range(9):
        run.step(s.array(sized(s, 8)))


@check("window/given-momentum", rules=("tiger",))
def given_momentum(s: Session) -> None:
    """The window's gradients join a momentum that is given with the weight (1−β)/k, which later signs tell."""
    for k in (2, 3):
        start = {"a/bias": s.array(sized(s, 24))}
        run = s.start(start, s.hyper(accumulation_steps=k), {"a/bias": s.array(sized(s, 24))})
        for _ in range(k - 1):
            run.step(s.array(sized(s, 24, -6, -4)))
        run.step(run.near_zero(graded(s, 24)))
