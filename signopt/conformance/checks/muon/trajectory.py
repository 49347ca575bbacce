"""A 16-bit iteration, step by step: the one proof that there is for more than one application."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.checks.muon.values import Array, coarse, muon_check, settings, spectrum
from signopt.conformance.oracle.formats import format_of
from signopt.conformance.oracle.muon.exact import schedule
from signopt.conformance.oracle.muon.law import scale_of
from signopt.conformance.oracle.muon.trajectory import follows
from signopt.conformance.session import NotApplicableError, Run, Session

MOST_STEPS = 5


@muon_check("trajectory/local", "core")
def local(s: Session) -> None:
    """Runs with 1 to 5 applications show every iterate of a 16-bit iteration: each follows from the one before.

    The bound of one application holds in any dtype. It is proven for a port whose first applications are the same
    whatever their number; the iterates of others are held to the spread of random rounding instead.
    """
    habits = s.habits
    if not coarse(s) or not habits.ns_dtype or s.storage.precision < format_of(habits.ns_dtype).precision:
        raise NotApplicableError("the iteration has no 16 bits, or a parameter cannot show them")
    if habits.orthogonalizer is not None:
        raise NotApplicableError("the port declares an orthogonalizer of its own")
    for shape in ((1, 1), (1, 3), (2, 2), (3, 3), (2, 3), (4, 1)):
        for values in ((1.0,), (1.0, 0.6, 0.3)):
            _follow(s, shape, spectrum(s, shape, values))


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
