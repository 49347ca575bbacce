"""The momentum, which is written, remembered and read."""

from __future__ import annotations

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import exact_class, graded, sized
from signopt.conformance.session import Session


@check("momentum/written", profile="core", essential=True)
def written(s: Session) -> None:
    """The momentum is written with its own coefficient, and the next direction reads it."""
    run = s.start(sized(s, 64), s.hyper())
    run.step(s.array(sized(s, 64)))
    for _ in range(3):
        run.step(run.near_zero(graded(s, 64)))


@check("momentum/exact", profile="core", essential=True)
def exact(s: Session) -> None:
    """Over four steps that are exact in every order, the momentum is exactly the moving average."""
    p, g, m = exact_class(s, 40)
    run = s.start(p, s.hyper(lr=0.0625, betas=(0.5, 0.75)), m)
    for _ in range(4):
        run.step(s.array(g))
        s.rng.shuffle(g)


@check("momentum/remembers")
def remembers(s: Session) -> None:
    """After steps of many sizes the momentum still is the moving average: nothing clipped, reset or narrowed."""
    run = s.start(sized(s, 96), s.hyper(lr=0.015625))
    for scale in (1.0, 64.0, 2.0**-8, 2.0**-3):
        run.step(s.array(sized(s, 96) * scale))
    for _ in range(4):
        run.step(run.near_zero(graded(s, 96)))


@check("momentum/slow")
def slow(s: Session) -> None:
    """A gradient far smaller than the momentum still arrives in it."""
    run = s.start(sized(s, 48), s.hyper(betas=(0.5, 0.75)), sized(s, 48, 2, 4))
    for _ in range(3):
        run.step(s.array(sized(s, 48, -4, 0)))
    run.step(run.near_zero(graded(s, 48)))


@check("momentum/still")
def still(s: Session) -> None:
    """The momentum moves even if the parameter's direction is zero or opposed to the gradient."""
    m = sized(s, 48)
    run = s.start(sized(s, 48), s.hyper(betas=(0.5, 0.75)), m)
    run.step(s.array(-m))
    run.step(run.near_zero(graded(s, 48)))
