"""Corners that only the suite's own mutants drew attention to: each is a bug that the other checks let pass."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, sized
from signopt.conformance.driver import Tensors
from signopt.conformance.session import NotApplicableError, Session


def _matrices(s: Session, names: list[str], side: int = 4) -> Tensors:
    """Square matrices whose rows have very different sizes."""
    rows = 4.0 ** np.resize([0, 1, -1], side)[:, None]
    return {name: s.array(sized(s, side * side, -1, 1).reshape(side, side) * rows) for name in names}


def _reversed(tensors: Tensors) -> Tensors:
    return dict(reversed(tensors.items()))


@check("tensors/gradient-order")
def gradient_order(s: Session) -> None:
    """A gradient belongs to the parameter of its name, in whatever order the gradients are given."""
    names = ["b/bias", "a/bias", "c/bias"]
    run = s.start({name: s.array(sized(s, 6)) for name in names}, s.hyper(weight_decay=0.25))
    for _ in range(2):
        run.step(_reversed({name: s.array(sized(s, 6)) for name in names}))


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


@check("roles/case", rules=("tiger",))
def case(s: Session) -> None:
    """Names are matched as they are written: "Beta", "GAMMA", "Bias" and "Embeddings" are matrices."""
    if "names" not in s.declared.roles:
        raise NotApplicableError("the port declares that it takes given roles alone")
    names = ["Beta/kernel", "GAMMA", "Bias", "word/Embeddings"]
    run = s.start(_matrices(s, names, 3), s.hyper(weight_decay=0.5, roles=None))
    for _ in range(2):
        run.step(_matrices(s, names, 3))
