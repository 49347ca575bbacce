"""One step and several: the direction, where it is easy and where it is not, and the rate."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import exact_class, graded, signs, sized
from signopt.conformance.session import Session


@check("step/exact", profile="core", essential=True)
def exact(s: Session) -> None:
    """On numbers exact in every order of evaluation, one step gives exactly the result, and zero where c cancels."""
    for lr in (0.125, 0.25):
        p, g, m = exact_class(s, 40)
        s.start(p, s.hyper(lr=lr, betas=(0.5, 0.75)), m).step(s.array(g))


@check("step/near-zero", profile="core", essential=True)
def near_zero(s: Session) -> None:
    """The direction is the sign of c = β1·m + (1−β1)·g, even if c is only a few ulp of its terms away from zero."""
    run = s.start(sized(s, 96), s.hyper(), sized(s, 96))
    run.step(run.near_zero(graded(s, 96)))


@check("step/cancelling", profile="core")
def cancelling(s: Session) -> None:
    """On numbers exact in every order, a c of a few ulp of its terms has its sign: nothing near zero is cut off."""
    bits, p = s.storage.precision - 2, signs(s, 40)
    m = s.rng.integers(2 ** (bits - 1), 2**bits, 40) * signs(s, 40)
    g = -m + np.resize([1, 2, 3, 5, 8], 40) * signs(s, 40)
    s.start(p, s.hyper(lr=0.125, betas=(0.5, 0.5)), m).step(s.array(g))


@check("step/from-zero", profile="core", essential=True)
def from_zero(s: Session) -> None:
    """From a momentum of zero the first step follows the gradient and moves by the rate, whatever its size."""
    for scale in (1.0, 2.0**-10, 2.0**8):
        run = s.start(sized(s, 48), s.hyper())
        run.step(s.array(sized(s, 48) * scale))


@check("step/against", essential=True)
def against(s: Session) -> None:
    """Momentum and gradient of opposite signs: the larger of β1·|m| and (1−β1)·|g| decides."""
    m = sized(s, 64)
    weights = 2.0 ** s.rng.uniform(-6, 6, 64)
    for betas in ((0.9, 0.99), (0.3, 0.6)):
        run = s.start(sized(s, 64), s.hyper(betas=betas, weight_decay=0.25), m)
        run.step(run.near_zero(weights - 1))


@check("step/several", essential=True)
def several(s: Session) -> None:
    """Ten steps in a row, gradients with and against the momentum, stay within legal rounding at each step."""
    run = s.start(sized(s, 64), s.hyper(lr=0.03125, weight_decay=0.25))
    for turn in range(10):
        run.step(run.near_zero(graded(s, 64)) if turn % 3 == 2 else s.array(sized(s, 64)))


@check("step/many")
def many(s: Session) -> None:
    """After a thousand steps the rule is the same: nothing is reset, warmed up, worn out or shy of outliers."""
    run = s.start({"w/bias": s.array(sized(s, 6))}, s.hyper(lr=0.03125, weight_decay=0.125))
    for turn in range(1030):
        outlier = 2.0**8 if turn in (600, 900) else 1.0
        run.step(run.near_zero(graded(s, 6, 2)) if turn % 5 == 4 else s.array(outlier * sized(s, 6)))


@check("step/rate", profile="core")
def rate(s: Session) -> None:
    """The step is the rate times the sign, to the last bit that a parameter of the size of the rate can show."""
    for lr in (1e-4, 3e-3, 0.37, 1.0):
        _at_its_own_scale(s, lr)


@check("step/rate-tiny")
def rate_tiny(s: Session) -> None:
    """A rate of 1e-8, or of 1e-20, moves a parameter of that size by the rate."""
    for lr in (2.0**-12,) if s.result.dtype == "float16" else (1e-8, 1e-20):
        _at_its_own_scale(s, lr)


@check("step/rate-large")
def rate_large(s: Session) -> None:
    """A rate above 1 is not capped."""
    for lr in (3.0, 1000.0):
        with s.edge(f"lr = {lr}"):
            _at_its_own_scale(s, lr)


def _at_its_own_scale(s: Session, lr: float) -> None:
    p = sized(s, 24) * lr
    p[::3] = 0.0
    s.start(p, s.hyper(lr=lr)).step(s.array(sized(s, 24)))


@check("step/rate-zero")
def rate_zero(s: Session) -> None:
    """With a rate of zero the momentum moves and the parameter stays."""
    with s.edge("lr = 0"):
        run = s.start(sized(s, 16), s.hyper(lr=0.0, weight_decay=0.5))
        run.step(s.array(sized(s, 16)))
        run.step(run.near_zero(graded(s, 16)))
