"""Hyperparameters that change between steps."""

from __future__ import annotations

from typing import Any

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import sized, walk
from signopt.conformance.session import Session


@check("changes/rate")
def rate(s: Session) -> None:
    """A rate changed between steps holds from the next step on, for the step and for the decay."""
    run = s.start(sized(s, 32), s.hyper(lr=0.125, weight_decay=0.5))
    walk(s, run, 1)
    for lr in (0.03125, 0.25):
        run.configure(lr=lr)
        walk(s, run, 1)


@check("changes/to-zero")
def to_zero(s: Session) -> None:
    """A rate or a beta that becomes 0 between steps is 0 from then on, and holds again when it comes back."""
    _to_zero_and_back(s, "lr", 0.0)
    key, zero = next(iter(s.sign_rule.of_betas((0.0, 0.0)).items()))
    if s.sign_rule.idle_at_zero:
        _to_sign_descent(s, key, zero)
    else:
        _to_zero_and_back(s, key, zero)


def _to_zero_and_back(s: Session, key: str, zero: Any) -> None:
    with s.edge(f"{key} = {zero}"):
        run = s.start(sized(s, 32), s.hyper(weight_decay=0.5), sized(s, 32))
        before = run.hyper[key]
        run.step(s.array(sized(s, 32)))
        for value in (zero, before):
            run.configure(**{key: value})
            run.step(s.array(sized(s, 32, -1, 1)))
            run.step(s.array(sized(s, 32)))


def _to_sign_descent(s: Session, key: str, zero: Any) -> None:
    """With β = 0 no step reads the momentum, so a port may leave what it has of it alone; only its step is compared."""
    with s.edge(f"{key} = {zero}"):
        run = s.start(sized(s, 32), s.hyper(weight_decay=0.5), sized(s, 32))
        run.step(s.array(sized(s, 32)))
        run.configure(**{key: zero})
        grads = {name: s.array(sized(s, 32, -1, 1)) for name in run.param}
        s.driver.step({name: grad.copy() for name, grad in grads.items()})
        changed = s.driver.params(run.param)
        fresh = s.start(run.param, run.hyper)
        fresh.step(grads)
        s.expect_equal(changed, fresh.param, f"with {key} changed to 0 the step is not that of a port made with it")


@check("changes/decay")
def decay(s: Session) -> None:
    """A weight decay changed between steps holds from the next step on."""
    run = s.start(sized(s, 32, 0, 2), s.hyper(lr=0.125, weight_decay=0.5))
    walk(s, run, 1)
    for weight_decay in (0.0, 1.5):
        run.configure(weight_decay=weight_decay)
        walk(s, run, 1)


@check("changes/betas")
def betas(s: Session) -> None:
    """Betas changed between steps hold from the next step on, and what the momentum held before keeps its weight."""
    run = s.start(sized(s, 32), s.hyper(betas=(0.9, 0.99)))
    walk(s, run, 1)
    for pair in ((0.5, 0.75), (0.9995, 0.9999), (0.8, 0.95)):
        run.step(s.array(sized(s, 32)))
        run.configure(**s.optimizer.of_betas(pair))
        walk(s, run, 1)
