"""Windows of micro-steps: gradients accumulated without a buffer."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.tiger._shapes import SHAPES, TIGER
from signopt.conformance.checks.values import graded, probe, random_like, sized, uneven
from signopt.conformance.session import Session


@check("window/steps", rules=TIGER, essential=True)
def window_steps(s: Session) -> None:
    """With k micro-steps m decays at the first and takes (1−β)/k of each, and only the last moves the parameter."""
    for k in (2, 3, 4):
        params = uneven(s, SHAPES)
        run = s.start(params, s.hyper(betas=(0.75, 0.75), weight_decay=0.25, accumulation_steps=k))
        for _ in range(3 * k):
            run.step(random_like(s, params))


@check("window/probe", rules=TIGER)
def window_probe(s: Session) -> None:
    """At the end of a window the direction is the sign of the momentum, even if it is only a few ulp away from zero.

    It starts from a momentum, which the window's gradients join with their share of (1−β)/k: a share that is off by a
    factor would not show in any sign if all came from gradients.
    """
    for k in (2, 5):
        run = s.start(uneven(s, SHAPES), s.hyper(accumulation_steps=k), uneven(s, SHAPES))
        for micro in range(3 * k):
            if micro % k == k - 1:
                probe(s, run, 1)
            else:
                run.step(random_like(s, run.param))


@check("window/long", rules=TIGER)
def window_long(s: Session) -> None:
    """After 260 micro-steps windows and schedule are where the count says: it is not cut, rounded or begun anew."""
    shapes = {"a/bias": (3,), "b/kernel": (2,)}
    hyper = s.hyper(lr=0.03125, weight_decay=0.125, accumulation_steps=3, schedule={0: 1.0, 200: 0.5, 262: 2.0})
    run = s.start(uneven(s, shapes), hyper)
    for _ in range(264):
        run.step(random_like(s, run.param))


@check("window/mean", rules=TIGER, metamorphic=True)
def window_mean(s: Session) -> None:
    """A window of k micro-steps gives the parameters of one step on the mean gradient, for numbers that are exact."""
    p, grads = s.array(s.rng.integers(1, 5, 12) / 4), s.rng.integers(-4, 5, (4, 12)).astype(np.float64)
    hyper = s.hyper(lr=0.125, betas=(0.5, 0.5))
    whole = s.start({"w/bias": p}, hyper)
    whole.step(s.array(grads.mean(0)))
    run = s.start({"w/bias": p}, {**hyper, "accumulation_steps": 4})
    for grad in grads:
        run.step(s.array(grad))
    s.expect_equal(run.param, whole.param, "a window does not give the step on the mean gradient")


@check("window/given-momentum", rules=TIGER)
def given_momentum(s: Session) -> None:
    """The window's gradients join a momentum that is given with the weight (1−β)/k, which later signs show."""
    for k in (2, 3):
        start = {"a/bias": s.array(sized(s, 24))}
        run = s.start(start, s.hyper(accumulation_steps=k), {"a/bias": s.array(sized(s, 24))})
        for _ in range(k - 1):
            run.step(s.array(sized(s, 24, -6, -4)))
        run.step(run.near_zero(graded(s, 24)))
