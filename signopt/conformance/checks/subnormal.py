"""Subnormal numbers."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import probe, signs, sized
from signopt.conformance.session import Session


@check("subnormal/gradient")
def subnormal(s: Session) -> None:
    """Subnormal gradients have their sign and arrive in the momentum, unless the port declares that it flushes them."""
    smallest = float(s.storage.smallest)
    counts = s.rng.integers(1, 2 ** (s.storage.precision - 2), 24)
    counts[::2] = 2 ** s.rng.integers(1, s.storage.precision - 2, 12)
    run = s.start(sized(s, 24), s.hyper(betas=(0.5, 0.75), weight_decay=0.25))
    run.step(s.array(signs(s, 24) * counts * smallest))
    run.step(s.array(signs(s, 24) * counts[::-1] * smallest))
    probe(s, run)


@check("subnormal/parameter")
def subnormal_parameter(s: Session) -> None:
    """A subnormal parameter stays what it is under a zero gradient, unless the port declares that it flushes them."""
    counts = s.rng.integers(1, 2 ** (s.storage.precision - 2), 24)
    run = s.start({"w/bias": s.array(signs(s, 24) * counts * float(s.storage.smallest))}, s.hyper())
    run.step(s.array(np.zeros(24)))
