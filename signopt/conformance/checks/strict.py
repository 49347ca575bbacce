"""The bits of the declared order of evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, sized
from signopt.conformance.driver import Tensors
from signopt.conformance.session import CannotRunError, Session


@check("strict/bits", profile="strict", essential=True)
def bits(s: Session) -> None:
    """Five steps on ordinary and near-zero data give the bits of the declared decay and form."""
    _follow(s, [lambda run: sized(s, 48).reshape(12, 4), lambda run: None])


@check("strict/magnitudes", profile="strict")
def magnitudes(s: Session) -> None:
    """The same for gradients and parameters of very different sizes."""
    span = 6 if s.storage.name == "float16" else 24
    _follow(s, [lambda run: sized(s, 48, -span, span).reshape(12, 4)], spread=span // 2)


@check("strict/betas", profile="strict")
def betas(s: Session) -> None:
    """The same for betas below one half, where forms that switch at 0.5 take their other branch."""
    _follow(s, [lambda run: sized(s, 48).reshape(12, 4), lambda run: None], betas=(0.3, 0.45))


def _follow(s: Session, makers: list[Any], betas: tuple[float, float] = (0.9, 0.99), spread: int = 2) -> None:
    if s.habits.order() is None:
        raise CannotRunError("the strict profile needs 'decay' and 'form' in describe()")
    names = s.optimizer.kinds
    params = {name: s.array(sized(s, 48, -3, spread).reshape(12, 4)) for name in names}
    run = s.start(params, s.hyper(lr=0.1, betas=betas, weight_decay=0.3))
    momenta = {name: np.zeros_like(p) for name, p in params.items()}
    for turn in range(5):
        made = makers[turn % len(makers)](run)
        deltas = graded(s, 48).reshape(12, 4)
        grads = run.near_zero(deltas) if made is None else {name: s.array(made) for name in names}
        before, at = run.param, run.step_index
        run.step(grads)
        momenta = _compare(s, run.hyper, at, before, grads, momenta, run.everything(), run.param)
        momenta = run.shown or momenta


def _compare(
    s: Session, hyper: Mapping[str, Any], step: int,
    before: Tensors, grads: Tensors, momenta: Tensors, got: Tensors, params: Tensors,
) -> Tensors:  # fmt: skip
    """Hold one step to its bits; the momentum that it should have left."""
    after = {}
    for name, param in before.items():
        candidates = list(s.optimizer.exact(s.habits, hyper, step, name, param, grads[name], momenta[name]))
        best = candidates[0]
        for other, _ in candidates[1:]:
            best = np.where(other == params[name], other, best[0]), best[1]
        wanted = {name: best[0], f"momentum of {name}": best[1]}
        shown = {key: array for key, array in wanted.items() if key in got}
        s.expect_equal(got, shown, f"not the bits of {s.habits.decay} decay and {s.habits.form}")
        after[name] = best[1]
    return after
