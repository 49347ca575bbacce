"""Zero gradients, zero directions and parameters that are zero."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, signs, sized
from signopt.conformance.session import Session


@check("zero/gradient", profile="core", essential=True)
def zero_gradient(s: Session) -> None:
    """A zero gradient, +0 or −0, from a zero momentum moves nothing."""
    run = s.start(sized(s, 17), s.hyper())
    for _ in range(3):
        run.step(s.array(signs(s, 17) * 0.0))
    negative = s.array(np.full(17, -0.0))
    s.start(sized(s, 17), s.hyper(), negative).step(negative)


@check("zero/some", profile="core")
def zero_some(s: Session) -> None:
    """Elements with a zero gradient stay still beside elements that move."""
    g = sized(s, 33)
    g[::2] = signs(s, 17) * 0.0
    run = s.start(sized(s, 33), s.hyper())
    run.step(s.array(g))
    run.step(s.array(g))


@check("zero/after-steps")
def zero_after_steps(s: Session) -> None:
    """With a zero gradient the momentum decays by its β and still gives the direction."""
    run = s.start(sized(s, 32), s.hyper(weight_decay=0.125))
    run.step(s.array(sized(s, 32)))
    for _ in range(3):
        run.step(s.array(signs(s, 32) * 0.0))
    run.step(run.near_zero(graded(s, 32)))


@check("zero/parameter")
def zero_parameter(s: Session) -> None:
    """A parameter that is ±0 moves like any other, by the rate alone; under Tiger's RMS an all-zero matrix stays."""
    run = s.start(signs(s, 16) * 0.0, s.hyper(weight_decay=0.5))
    run.step(s.array(sized(s, 16)))
    run.step(s.array(sized(s, 16)))
