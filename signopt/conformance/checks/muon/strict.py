"""The bits of the declared order: momentum and decay, which no product of matrices takes part in."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks.muon.values import muon_check, normal, settings, spectrum
from signopt.conformance.oracle.rules.signum import step as averaged
from signopt.conformance.session import CannotRunError, Session


@muon_check("strict/momentum", "strict", essential=True)
def momentum(s: Session) -> None:
    """The momentum has the bits of the declared form of the average."""
    order = s.habits.order()
    if order is None:
        raise CannotRunError('strict needs the declarations "form" and "decay"')
    run = s.start({"a": normal(s, (3, 2))}, settings(s))
    compute = s.habits.compute_format(s.storage).name
    for _ in range(4):
        p, grad = run.param["a"], spectrum(s, (3, 2))
        m = np.zeros_like(p) if run.shown is None else run.shown["a"]
        run.step({"a": grad})
        if run.shown is None:
            raise CannotRunError("strict needs a momentum that is shown")
        _, wanted = averaged(p, grad, m, lr=0.0, beta=run.hyper["beta"], weight_decay=0.0, order=order, compute=compute)
        s.expect_equal(run.shown, {"a": wanted}, "the momentum does not have the bits of the declared form")


@muon_check("strict/decay", "strict")
def decay(s: Session) -> None:
    """With gradients of zero the parameter has the bits of the declared order of the decay."""
    order = s.habits.order()
    if order is None:
        raise CannotRunError('strict needs the declarations "form" and "decay"')
    compute = s.habits.compute_format(s.storage).name
    run = s.start({"a": normal(s, (3, 2))}, settings(s, lr=0.1, weight_decay=0.3))
    zero = np.zeros((3, 2), s.dtype)
    for _ in range(3):
        p = run.param["a"]
        run.step({"a": zero})
        wanted, _ = averaged(p, zero, zero, lr=0.1, beta=0.5, weight_decay=0.3, order=order, compute=compute)
        s.expect_equal(run.param, {"a": wanted}, "the parameter does not have the bits of the declared order")
