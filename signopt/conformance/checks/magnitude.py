"""Extreme magnitudes."""

from __future__ import annotations

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.tiger._shapes import TIGER
from signopt.conformance.checks.values import graded, probe, reach, sized
from signopt.conformance.session import Session


@check("magnitude/large")
def large(s: Session) -> None:
    """Gradients far above 1 give the same step, and arrive in the momentum unclipped."""
    top = s.storage.emax - 4
    for power in (6, max(top // 2, 8), top):
        run = s.start(sized(s, 32), s.hyper(weight_decay=0.25))
        run.step(s.array(sized(s, 32, -1, 1) * 2.0**power))
        probe(s, run, 2)


@check("magnitude/small")
def small(s: Session) -> None:
    """Gradients far below 1 give the same step: no ε, no threshold."""
    for power in (6, max(reach(s) // 2, 7), max(reach(s), 8)):
        run = s.start(sized(s, 32), s.hyper(weight_decay=0.25))
        run.step(s.array(sized(s, 32, -1, 1) * 2.0**-power))
        if s.storage.precision >= 24:
            run.step(run.near_zero(graded(s, 32)))


@check("magnitude/windows", rules=TIGER)
def windows(s: Session) -> None:
    """Gradients far above and far below 1 count with their share in a window: nothing is clipped, and there is no ε."""
    top = s.storage.emax - 4
    for power in (6, max(top // 2, 8), top, -6, -max(reach(s) // 2, 7)):
        run = s.start(sized(s, 32), s.hyper(weight_decay=0.25, accumulation_steps=2))
        for _ in range(2):
            run.step(s.array(sized(s, 32, -1, 1) * 2.0**power))
            if power > 0 or s.storage.precision >= 24:
                probe(s, run, 2)
            else:
                run.step(s.array(sized(s, 32, -1, 1) * 2.0**power))


@check("magnitude/mixed")
def mixed(s: Session) -> None:
    """Large and small gradients in one tensor do not reach each other: nothing is normalised over the tensor."""
    scale = 2.0 ** s.rng.integers(-min(reach(s), 60), min(reach(s), 60) + 1, 48)
    run = s.start(sized(s, 48), s.hyper(weight_decay=0.25))
    run.step(s.array(sized(s, 48, -1, 1) * scale))
    run.step(s.array(sized(s, 48, -1, 1) * scale[::-1]))


@check("magnitude/parameters")
def parameters(s: Session) -> None:
    """Large parameters decay in proportion, small ones move by the rate."""
    span = 8 if s.storage.name == "float16" else 100
    run = s.start({"w/bias": s.array(sized(s, 48, -span, span))}, s.hyper(weight_decay=0.25))
    run.step(s.array(sized(s, 48)))
    run.step(s.array(sized(s, 48)))
