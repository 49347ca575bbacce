"""One step: direction, size, decay and momentum."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import exact_class, graded, signs, sized
from signopt.conformance.session import Session


@check("step/exact", profile="core", essential=True)
def exact(s: Session) -> None:
    """Where every order of evaluation is exact, one step gives exactly the result, and zero where c cancels."""
    for weight_decay in (0.0, 0.25):
        p, g, m = exact_class(s, 40)
        run = s.start(p, s.hyper(lr=0.125, betas=(0.5, 0.75), weight_decay=weight_decay), m)
        run.step(s.array(g))


@check("step/near-zero", profile="core", essential=True)
def near_zero(s: Session) -> None:
    """The direction is the sign of c = β1·m + (1−β1)·g, also where c is a few ulp of its terms away from zero."""
    m = sized(s, 96)
    run = s.start(sized(s, 96), s.hyper(weight_decay=0.5), m)
    run.step(run.near_zero(graded(s, 96)))


@check("step/from-zero", profile="core", essential=True)
def from_zero(s: Session) -> None:
    """From a momentum of zero the first steps follow the gradient, whatever its size."""
    run = s.start(sized(s, 48), s.hyper(weight_decay=0.1))
    for scale in (1.0, 2.0**-12, 2.0**10):
        run.step(s.array(sized(s, 48) * scale))


@check("step/several", essential=True)
def several(s: Session) -> None:
    """Ten steps in a row, gradients with and against the momentum, stay within legal rounding at each step."""
    run = s.start(sized(s, 64), s.hyper(lr=0.03125, weight_decay=0.25))
    for turn in range(10):
        if turn % 3 == 2:
            run.step(run.near_zero(graded(s, 64)))
        else:
            run.step(s.array(sized(s, 64)))


@check("decay/size", profile="core", essential=True)
def decay_size(s: Session) -> None:
    """Weight decay is lr·λ·p, decoupled from the gradient and multiplied by the rate."""
    for lr, weight_decay in ((0.1, 0.5), (0.0625, 2.0), (0.25, 0.03125)):
        p, g = sized(s, 32, 0, 3), sized(s, 32, -12, -6)
        s.start(p, s.hyper(lr=lr, weight_decay=weight_decay)).step(s.array(g))


@check("zero/gradient", profile="core", essential=True)
def zero_gradient(s: Session) -> None:
    """A zero gradient, +0 or −0, from a zero momentum moves nothing: the parameter only decays."""
    for weight_decay in (0.0, 0.5):
        run = s.start(sized(s, 17), s.hyper(weight_decay=weight_decay))
        for _ in range(2):
            run.step(s.array(signs(s, 17) * 0.0))


@check("momentum/written", profile="core", essential=True)
def momentum_written(s: Session) -> None:
    """The momentum is written with its own coefficient, and the next direction reads it."""
    run = s.start(sized(s, 64), s.hyper(weight_decay=0.25))
    run.step(s.array(sized(s, 64)))
    for _ in range(3):
        run.step(run.near_zero(graded(s, 64)))


@check("momentum/remembers")
def momentum_remembers(s: Session) -> None:
    """After steps of many sizes the momentum still is the moving average: nothing clipped, reset or narrowed."""
    run = s.start(sized(s, 96), s.hyper(lr=0.015625))
    for scale in (1.0, 64.0, 2.0**-8, 2.0**-3):
        run.step(s.array(sized(s, 96) * scale))
    for _ in range(4):
        run.step(run.near_zero(graded(s, 96)))


@check("tensors/many")
def many_tensors(s: Session) -> None:
    """Each tensor has its own momentum and takes part in every step, also among others of the same shape."""
    shapes = {"a/kernel": (4, 3), "b/kernel": (4, 3), "b/bias": (3,), "c/kernel": (2, 2, 2), "d/bias": (1,)}
    params = {name: s.array(sized(s, int(np.prod(shape))).reshape(shape)) for name, shape in shapes.items()}
    run = s.start(params, s.hyper(weight_decay=0.25))
    run.step({name: s.array(sized(s, p.size).reshape(p.shape)) for name, p in params.items()})
    for _ in range(2):
        run.step(run.near_zero({name: graded(s, p.size).reshape(p.shape) for name, p in params.items()}))
