"""State that is given, carried and begun anew."""

from __future__ import annotations

from typing import Any

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, signs, sized, walk
from signopt.conformance.driver import Tensors
from signopt.conformance.oracle.rules import OPTIMIZERS
from signopt.conformance.session import NotApplicableError, Session


@check("state/as-given", profile="core", rules=OPTIMIZERS, essential=True)
def as_given(s: Session) -> None:
    """Before the first step the parameters, and the momentum if it can be set, are those given."""
    run = s.start(sized(s, 24), s.hyper())
    s.expect_equal(s.driver.params(run.param), run.param, "the parameters are not those given to init()")
    momentum = s.spread(sized(s, 24))
    run = s.start(sized(s, 24), s.hyper(), momentum)
    shown, wanted = run.read()[1], s.as_kept(momentum)
    if run.step_index == 0 and shown is not None and wanted is not None:
        s.expect_equal(shown, wanted, "the momentum is not that given to init()")


@check("state/carried")
def carried(s: Session) -> None:
    """A new port that starts from the parameters and the momentum of another goes on where it was."""
    run = s.start(sized(s, 32), s.hyper(weight_decay=0.25))
    walk(s, run)
    if run.shown is None:
        raise NotApplicableError("the momentum is not shown")
    run = s.start(run.param, s.hyper(weight_decay=0.25), run.shown)
    walk(s, run)


@check("state/fresh", essential=True)
def fresh(s: Session) -> None:
    """init() starts anew: nothing of an earlier life is left, neither momentum nor step count nor parameter."""
    run = s.start(sized(s, 32), s.hyper(weight_decay=0.25), sized(s, 32))
    walk(s, run)
    for _ in range(2):
        run = s.start(sized(s, 32), s.hyper(lr=0.25, weight_decay=0.25))
        run.step(s.array(sized(s, 32) * 2.0**-6))
        run.step(run.near_zero(graded(s, 32)))


@check("state/other-names")
def other_names(s: Session) -> None:
    """init() with other names and shapes than before works on these."""
    s.start({"first/bias": s.array(sized(s, 4)), "second/bias": s.array(sized(s, 3))}, s.hyper()).step(
        {"first/bias": s.array(sized(s, 4)), "second/bias": s.array(sized(s, 3))}
    )
    run = s.start({"second/bias": s.array(sized(s, 6))}, s.hyper(weight_decay=0.5))
    for _ in range(2):
        run.step({"second/bias": s.array(sized(s, 6))})


@check("state/determinism", essential=True, metamorphic=True)
def determinism(s: Session) -> None:
    """The same run twice gives the same bits."""
    p, grads = 2.0 ** s.rng.integers(-1, 2, 64) * signs(s, 64), [sized(s, 64) for _ in range(3)]
    first, second = (_finish(s, p, grads) for _ in range(2))
    s.expect_equal(second, first, "the same run gave other bits the second time")


def _finish(s: Session, p: Any, grads: list[Any]) -> Tensors:
    run = s.start({"w/bias": s.array(p)}, s.hyper(weight_decay=0.25))
    for grad in grads:
        run.step(s.array(grad))
    return run.everything()
