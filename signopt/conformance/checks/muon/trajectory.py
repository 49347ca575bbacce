"""A 16-bit iteration: step by step, which is the one proof for more than one application, and where nothing rounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.checks.muon.values import (
    CUBE,
    FIFTH,
    IDENTITY,
    Array,
    asked,
    coarse,
    muon_check,
    settings,
    spectrum,
)
from signopt.conformance.oracle.formats import format_of
from signopt.conformance.oracle.muon.exact import schedule
from signopt.conformance.oracle.muon.law import scale_of
from signopt.conformance.oracle.muon.trajectory import follows
from signopt.conformance.session import NotApplicableError, Run, Session

MOST_STEPS = 5
SIGNS: tuple[Array, ...] = tuple(
    np.array(rows)
    for rows in (
        [[1]], [[1, 1], [1, 1]], [[1, -1], [1, 1]], [[1, -1, 1, 1]], [[1], [1], [-1], [1]], [[1, 0, 1], [-1, 0, 1]],
        [[0, 1], [0, 0], [1, -1], [0, 1]], [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]],
    )
)  # fmt: skip
"""Matrices with 1, 4 or 16 elements that are not zero, so that their norm is 1, 2 or 4."""
EXACT = ((IDENTITY, 1), (CUBE, 1), (FIFTH, 1), ((2.0, -1.5, 0.5), 1), ((0.5, 0.0, 0.0), 7), ((0.5, 0.0, 0.0), 12))
"""Polynomials, and how often they are applied: 16 bits hold all that an evaluation with such a matrix stores."""


@muon_check("trajectory/local", "core")
def local(s: Session) -> None:
    """Runs with 1 to 5 applications show every iterate of a 16-bit iteration: each follows from the one before.

    The bound of one application holds in any dtype. It is proven for a port whose first applications are the same
    whatever their number; the iterates of others are held to the spread of random rounding instead.
    """
    _asks_for_16_bits(s)
    for shape in ((1, 1), (1, 3), (2, 2), (3, 3), (2, 3), (4, 1)):
        for values in ((1.0,), (1.0, 0.6, 0.3)):
            _follow(s, shape, spectrum(s, shape, values))


@muon_check("trajectory/exact")
def exact(s: Session) -> None:
    """Where a 16-bit iteration has nothing to round it is as right as one in float32: signs, small coefficients."""
    _asks_for_16_bits(s)
    for triple, count in EXACT:
        wanted = {"lr": 1.0, "weight_decay": 0.0, "ns_coefficients": triple, "ns_steps": count}
        for size in (4.0, 32.0):
            with asked(s):
                if "nesterov" in s.habits.fixed:
                    _steps_of_signs(s, size, settings(s, **wanted), 1)
                else:
                    hyper = settings(s, beta=0.5, nesterov=False, **wanted)
                    grads = _signs(s, size)
                    s.start({name: np.zeros_like(grad) for name, grad in grads.items()}, hyper).step(grads)
    with asked(s):
        hyper = settings(s, lr=1.0, weight_decay=0.0, ns_coefficients=(0.5, 0.0, 0.0), ns_steps=3)
        _steps_of_signs(s, 4.0, hyper, 33, 2)


def _signs(s: Session, size: float, most: int = len(SIGNS)) -> dict[str, Array]:
    return {f"w{i}": s.array(size * s.rng.choice((-1.0, 1.0)) * signs) for i, signs in enumerate(SIGNS[:most])}


def _steps_of_signs(s: Session, size: float, hyper: dict[str, Any], count: int, most: int = len(SIGNS)) -> None:
    """From a momentum that the gradient keeps, so that u is the signs in every step."""
    grads = _signs(s, size, most)
    kept = 1 / (1 - hyper["beta"]) if s.habits.learnt.forms[0].momentum == "sum" else 1.0
    run = s.start(
        {name: np.zeros_like(grad) for name, grad in grads.items()}, hyper,
        {name: s.array(kept * grad) for name, grad in grads.items()},
    )  # fmt: skip
    for _ in range(count):
        run.step(grads)


def _asks_for_16_bits(s: Session) -> None:
    habits = s.habits
    if not coarse(s) or not habits.ns_dtype or s.storage.precision < format_of(habits.ns_dtype).precision:
        raise NotApplicableError("the iteration has no 16 bits, or a parameter cannot show them")
    if habits.orthogonalizer is not None:
        raise NotApplicableError("the port declares an orthogonalizer of its own")


def _follow(s: Session, shape: tuple[int, int], grad: Array) -> None:
    before: Array | None = None
    for count in range(1, MOST_STEPS + 1):
        hyper = settings(s, lr=1.0, weight_decay=0.0, ns_steps=count, adjust_lr_fn="original")
        rate = 1.0 / float(scale_of(shape, hyper, s.habits.learnt.forms[0]))
        hyper = settings(s, lr=rate, weight_decay=0.0, ns_steps=count, adjust_lr_fn="original")
        kept = len(s.result.failures)
        run = _run(s, shape, grad, hyper, judged=count == 1)
        x = -run.param["w"].astype(np.float64)
        if before is not None:
            if follows(before, x, schedule(hyper)[-1], s.habits.precision(s.storage, s.storage)):
                s.result.count({"trajectory": grad.size})
            else:
                _run(s, shape, grad, hyper, judged=True)
        if len(s.result.failures) > kept:
            return
        before = x


def _run(s: Session, shape: tuple[int, int], grad: Array, hyper: dict[str, Any], *, judged: bool) -> Run:
    run = s.start({"w": np.zeros(shape, s.dtype)}, hyper)
    if judged:
        run.step({"w": grad})
        return run
    s.driver.step({"w": grad.copy()})
    run.param = s.driver.params(run.param)
    s.result.judged += grad.size
    return run
