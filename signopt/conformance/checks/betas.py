"""The coefficients of both averages are those given."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, sized
from signopt.conformance.session import Session


@check("betas/given")
def betas_given(s: Session) -> None:
    """The betas are those given, not the defaults: (0.2, 0.7), (0.95, 0.98), the first above the second, both equal."""
    for betas in ((0.2, 0.7), (0.95, 0.98), (0.97, 0.6), (0.8, 0.8)):
        run = s.start(sized(s, 48), s.hyper(betas=betas), sized(s, 48))
        run.step(run.near_zero(graded(s, 48)))
        run.step(run.near_zero(graded(s, 48)))


@check("betas/near-one")
def betas_near_one(s: Session) -> None:
    """Betas near 1 keep their distance to it."""
    for betas in ((0.999, 0.9995), (0.99, 0.9999), (0.9999, 0.9995)):
        run = s.start(sized(s, 48), s.hyper(betas=betas), sized(s, 48, -1, 1))
        run.step(s.array(sized(s, 48, 2, 5)))
        run.step(run.near_zero(graded(s, 48, 4)))


@check("betas/half", profile="core")
def betas_half(s: Session) -> None:
    """β1 = 0.5 and β2 = 0.75 weigh old and new exactly, whatever the order of evaluation."""
    m, g = s.rng.integers(-8, 9, (2, 60)).astype(np.float64)
    s.start(np.ones(60), s.hyper(lr=0.25, betas=(0.5, 0.75)), m).step(s.array(g))
    s.start(np.ones(60), s.hyper(lr=0.25, betas=(0.75, 0.5)), m).step(s.array(g))


@check("betas/zero")
def betas_zero(s: Session) -> None:
    """With β1 = 0 the direction is the sign of the gradient; with β2 = 0 the momentum is the gradient."""
    for betas in ((0.0, 0.9), (0.9, 0.0), (0.0, 0.0)):
        (key, value), *_ = s.sign_rule.of_betas(betas).items()
        with s.edge(f"{key} = {value}"):
            run = s.start(sized(s, 24), s.hyper(betas=betas))
            run.step(s.array(sized(s, 24)))
            run.step(s.array(sized(s, 24)))
            run.step(run.near_zero(graded(s, 24)) if betas[0] else s.array(sized(s, 24)))
