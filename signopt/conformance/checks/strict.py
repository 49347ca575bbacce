"""The bits of the declared order of evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, sized
from signopt.conformance.driver import Tensors
from signopt.conformance.oracle import arithmetic as exact
from signopt.conformance.oracle.arithmetic import Array, Order
from signopt.conformance.oracle.law import role_by_name
from signopt.conformance.session import CannotRunError, Session

_PARTS = ("w/kernel", "e/embeddings", "b/bias", "n/gamma")


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
    order = s.declared.order()
    if order is None:
        raise CannotRunError("the strict profile needs 'decay' and 'form' in describe()")
    names = _PARTS if s.rule == "tiger" else _PARTS[:2]
    params = {name: s.array(sized(s, 48, -3, spread).reshape(12, 4)) for name in names}
    run = s.start(params, s.hyper(lr=0.1, betas=betas, weight_decay=0.3))
    momenta = {name: np.zeros_like(p) for name, p in params.items()}
    for turn in range(5):
        made = makers[turn % len(makers)](run)
        deltas = graded(s, 48).reshape(12, 4)
        grads = run.near_zero(deltas) if made is None else {name: s.array(made) for name in names}
        before, at = run.param, run.step_index
        run.step(grads)
        momenta = _compare(s, run.hyper, order, at, before, grads, momenta, run.everything(), run.param)
        momenta = run.shown or momenta


def _compare(
    s: Session, hyper: Mapping[str, Any], order: Order, step: int,
    before: Tensors, grads: Tensors, momenta: Tensors, got: Tensors, params: Tensors,
) -> Tensors:  # fmt: skip
    """Hold one step to its bits; the momentum that it should have left."""
    after = {}
    for name, param in before.items():
        candidates = list(_steps(s, hyper, order, step, name, param, grads[name], momenta[name]))
        best = candidates[0]
        for other, _ in candidates[1:]:
            best = np.where(other == params[name], other, best[0]), best[1]
        wanted = {name: best[0], f"momentum of {name}": best[1]}
        shown = {key: array for key, array in wanted.items() if key in got}
        s.expect_equal(got, shown, f"not the bits of {order.decay} decay and {order.form}")
        after[name] = best[1]
    return after


def _steps(
    s: Session, hyper: Mapping[str, Any], order: Order, step: int, name: str, p: Array, g: Array, m: Array
) -> Iterator[tuple[Array, Array]]:
    """The step in the declared order; under Tiger for the RMS and its next two neighbours on either side."""
    compute = s.declared.compute_format(s.storage).name
    options: dict[str, Any] = {key: hyper[key] for key in ("lr", "weight_decay")} | {"order": order, "compute": compute}
    if s.rule == "lion":
        yield exact.lion(p, g, m, betas=hyper["betas"], **options)
    elif s.rule == "signum":
        yield exact.signum(p, g, m, beta=hyper["beta"], **options)
    else:
        role = role_by_name(name)
        central = exact.scales(p, role)
        spacing = np.spacing(central.astype("float64" if compute == "float64" else "float32")).astype(np.float64)
        for ulps in (0, 1, -1, 2, -2) if role in ("matrix", "embedding") else (0,):
            rms = central + ulps * spacing
            yield exact.tiger(p, g, m, step=step, beta=hyper["beta"], role=role, rms=rms, **options)
