"""16-bit storage."""

from __future__ import annotations

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, sized
from signopt.conformance.session import NotApplicableError, Session


@check("storage/narrow")
def narrow(s: Session) -> None:
    """In a 16-bit dtype the arithmetic is the declared one: each result is rounded once to storage."""
    if s.storage.precision >= 24:
        raise NotApplicableError(f"{s.storage.name} is computed in itself")
    run = s.start(sized(s, 96), s.hyper(weight_decay=0.25), sized(s, 96))
    for _ in range(3):
        run.step(run.near_zero(graded(s, 96)))
        run.step(s.array(sized(s, 96, -6, 3)))
