"""Many tensors, their names and their order."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import probe, random
from signopt.conformance.session import Session


@check("tensors/many", essential=True)
def many(s: Session) -> None:
    """Each tensor has its own momentum and takes part in every step, also among others of the same shape."""
    shapes = {"a/kernel": (4, 3), "b/kernel": (4, 3), "b/bias": (3,), "c/kernel": (2, 2, 2), "d/bias": (3,)}
    params = random(s, shapes)
    run = s.start(params, s.hyper(weight_decay=0.25))
    run.step(random(s, shapes))
    for _ in range(3):
        probe(s, run)


@check("tensors/hundreds")
def hundreds(s: Session) -> None:
    """400 small tensors are all stepped: tables of tensors in kernel arguments end at 24, 110 or 320."""
    shapes = {f"layer{i}/{'bias' if i % 3 else 'kernel'}": (1 + i % 4,) for i in range(400)}
    run = s.start(random(s, shapes), s.hyper(weight_decay=0.25))
    run.step(random(s, shapes))
    probe(s, run)


@check("tensors/names")
def names(s: Session) -> None:
    """Gradients belong to parameters by name, even if names are in no order and gradients come in another."""
    shapes = dict.fromkeys(("w10/bias", "w9/bias", "a/bias", "Z/bias", "w1/bias"), (4,))
    run = s.start(random(s, shapes), s.hyper(weight_decay=0.25))
    run.step(random(s, shapes))
    for _ in range(2):
        run.step(dict(reversed(random(s, shapes).items())))


@check("tensors/some-zero")
def some_zero(s: Session) -> None:
    """A tensor whose gradient is all zero does not disturb the others, nor they it."""
    shapes = {"a/bias": (5,), "b/bias": (5,), "c/bias": (5,)}
    run = s.start(random(s, shapes), s.hyper(weight_decay=0.5))
    for _ in range(3):
        run.step(random(s, shapes) | {"b/bias": s.array(np.zeros(5))})
