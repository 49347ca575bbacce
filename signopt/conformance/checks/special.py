"""Extreme magnitudes, subnormals, Inf and NaN."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, signs, sized
from signopt.conformance.oracle.rules import ELEMENTWISE
from signopt.conformance.session import NotApplicableError, Run, Session


def _reach(s: Session) -> int:
    """A power of two far out, whose sums and products with betas still are normal numbers."""
    return min(s.storage.emax, -s.storage.emin, 830) - s.storage.precision - 2


def _probe(s: Session, run: Run, coarsest: int = 0) -> None:
    """A step near zero, unless the hidden momentum is of a size at which nothing is known of it."""
    if all(np.isfinite(run.momentum(name)).all() for name in run.param):
        run.step(run.near_zero({name: graded(s, p.size, coarsest) for name, p in run.param.items()}))


@check("magnitude/large")
def large(s: Session) -> None:
    """Gradients far above 1 give the same step, and arrive in the momentum unclipped."""
    top = s.storage.emax - 4
    for power in (6, max(top // 2, 8), top):
        run = s.start(sized(s, 32), s.hyper(weight_decay=0.25))
        run.step(s.array(sized(s, 32, -1, 1) * 2.0**power))
        _probe(s, run, 2)


@check("magnitude/small")
def small(s: Session) -> None:
    """Gradients far below 1 give the same step: no ε, no threshold."""
    for power in (6, max(_reach(s) // 2, 7), max(_reach(s), 8)):
        run = s.start(sized(s, 32), s.hyper(weight_decay=0.25))
        run.step(s.array(sized(s, 32, -1, 1) * 2.0**-power))
        if s.storage.precision >= 24:
            run.step(run.near_zero(graded(s, 32)))


@check("magnitude/windows", rules=("tiger",))
def windows(s: Session) -> None:
    """Gradients far above and far below 1 count with their share in a window: nothing is clipped, and there is no ε."""
    top = s.storage.emax - 4
    for power in (6, max(top // 2, 8), top, -6, -max(_reach(s) // 2, 7)):
        run = s.start(sized(s, 32), s.hyper(weight_decay=0.25, accumulation_steps=2))
        for _ in range(2):
            run.step(s.array(sized(s, 32, -1, 1) * 2.0**power))
            if power > 0 or s.storage.precision >= 24:
                _probe(s, run, 2)
            else:
                run.step(s.array(sized(s, 32, -1, 1) * 2.0**power))


@check("magnitude/mixed")
def mixed(s: Session) -> None:
    """Large and small gradients in one tensor do not reach each other: nothing is normalised over the tensor."""
    scale = 2.0 ** s.rng.integers(-min(_reach(s), 60), min(_reach(s), 60) + 1, 48)
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


@check("subnormal/gradient")
def subnormal(s: Session) -> None:
    """Subnormal gradients have their sign and arrive in the momentum, unless the port declares that it flushes them."""
    smallest = float(s.storage.smallest)
    counts = s.rng.integers(1, 2 ** (s.storage.precision - 2), 24)
    counts[::2] = 2 ** s.rng.integers(1, s.storage.precision - 2, 12)
    run = s.start(sized(s, 24), s.hyper(betas=(0.5, 0.75), weight_decay=0.25))
    run.step(s.array(signs(s, 24) * counts * smallest))
    run.step(s.array(signs(s, 24) * counts[::-1] * smallest))
    _probe(s, run)


@check("subnormal/parameter")
def subnormal_parameter(s: Session) -> None:
    """A subnormal parameter stays what it is under a zero gradient, unless the port declares that it flushes them."""
    counts = s.rng.integers(1, 2 ** (s.storage.precision - 2), 24)
    run = s.start({"w/bias": s.array(signs(s, 24) * counts * float(s.storage.smallest))}, s.hyper())
    run.step(s.array(np.zeros(24)))


@check("nonfinite/inf-gradient")
def inf_gradient(s: Session) -> None:
    """An infinite gradient gives its sign, or NaN where the order of evaluation subtracts; its neighbours step.

    The momentum stays infinite, or NaN: a large gradient against it does not turn the direction.
    """
    g, against = sized(s, 24), sized(s, 24)
    g[[2, 11, 17]] = [np.inf, -np.inf, np.inf]
    against[[2, 11, 17]] = np.array([-1.0, 1.0, -1.0]) * 2.0 ** (s.storage.emax - 1)
    with s.edge("an infinite gradient"):
        run = s.start({"w/bias": s.array(sized(s, 24))}, s.hyper(weight_decay=0.25))
        run.step(s.array(g))
        run.step(s.array(sized(s, 24)))
        for _ in range(4):
            run.step(s.array(against))


@check("nonfinite/nan-gradient", rules=ELEMENTWISE)
def nan_gradient(s: Session) -> None:
    """A NaN gradient makes its momentum NaN and its parameter NaN, or 0 for the sign as declared; never a step."""
    g = sized(s, 24)
    g[[0, 7, 23]] = np.nan
    with s.edge("a NaN gradient"):
        run = s.start(sized(s, 24), s.hyper(weight_decay=0.25))
        run.step(s.array(sized(s, 24)))
        run.step(s.array(g))
        run.step(s.array(sized(s, 24)))


@check("nonfinite/everything-nan", rules=ELEMENTWISE)
def everything_nan(s: Session) -> None:
    """A gradient of NaN alone follows the same declaration."""
    with s.edge("a NaN gradient"):
        run = s.start(sized(s, 9), s.hyper(weight_decay=0.25))
        run.step(s.array(np.full(9, np.nan)))


@check("nonfinite/momentum", rules=ELEMENTWISE)
def momentum(s: Session) -> None:
    """A momentum that is NaN or infinite stays so."""
    m = sized(s, 16)
    m[[1, 5, 9]] = [np.nan, np.inf, -np.inf]
    with s.edge("a momentum that is not finite"):
        run = s.start(sized(s, 16), s.hyper(weight_decay=0.25), m)
        run.step(s.array(sized(s, 16)))
        run.step(s.array(sized(s, 16)))


@check("nonfinite/parameter", rules=ELEMENTWISE)
def parameter(s: Session) -> None:
    """A NaN parameter stays NaN, an infinite one never becomes finite, and their momentum goes on."""
    p = sized(s, 16)
    p[[1, 5, 9]] = [np.nan, np.inf, -np.inf]
    with s.edge("a parameter that is not finite"):
        run = s.start(p, s.hyper(weight_decay=0.25))
        run.step(s.array(sized(s, 16)))
        run.step(run.near_zero(graded(s, 16)))


@check("storage/narrow")
def narrow(s: Session) -> None:
    """In a 16-bit dtype the arithmetic is the declared one: each result is rounded once to storage."""
    if s.storage.precision >= 24:
        raise NotApplicableError(f"{s.storage.name} is computed in itself")
    run = s.start(sized(s, 96), s.hyper(weight_decay=0.25), sized(s, 96))
    for _ in range(3):
        run.step(run.near_zero(graded(s, 96)))
        run.step(s.array(sized(s, 96, -6, 3)))
