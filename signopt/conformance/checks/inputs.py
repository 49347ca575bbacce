"""What a caller hands over: every layout is read by index, and nothing of it is changed or kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.tiger._shapes import ROLE_NAMES, TIGER
from signopt.conformance.checks.values import graded, plant, random, sized
from signopt.conformance.session import Session


def _strided(array: Any) -> Any:
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    wide[..., 1::2] = np.array(777.0).astype(array.dtype)
    return wide[..., ::2]


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "strided": _strided,
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "offset": lambda a: np.concatenate([a[:1], a])[1:],
}


@check("inputs/layouts")
def layouts(s: Session) -> None:
    """Gradients are read by index, whatever their strides: transposed, every second element, reversed, broadcast.

    A port may refuse the last two, which some array libraries cannot hold.
    """
    for layout, lay in {**LAYOUTS, "broadcast": _broadcast}.items():
        with s.edge(f"a {layout} gradient") if layout in ("reversed", "broadcast") else nullcontext():
            _laid_out(s, lay)


def _laid_out(s: Session, lay: Callable[[Any], Any]) -> None:
    shapes = {"a/bias": (5, 7), "b/bias": (6, 6)}
    run = s.start(random(s, shapes), s.hyper(weight_decay=0.25))
    for _ in range(2):
        run.step({name: lay(grad) for name, grad in random(s, shapes).items()}, as_given=True)


def _broadcast(array: Any) -> Any:
    return np.broadcast_to(array[:, :1], array.shape)


@check("inputs/parameter-layouts")
def parameter_layouts(s: Session) -> None:
    """Parameters may start transposed, strided or reversed."""
    for name, lay in LAYOUTS.items():
        with s.edge(f"a {name} parameter"):
            run = s.start(
                {"w/bias": lay(s.array(sized(s, 35).reshape(5, 7)))}, s.hyper(weight_decay=0.25), as_given=True
            )
            for _ in range(2):
                run.step({"w/bias": s.array(sized(s, 35).reshape(5, 7))})


@check("inputs/gradient-untouched")
def gradient_untouched(s: Session) -> None:
    """The caller's gradient is the same after the step as before it."""
    run = s.start(sized(s, 24), s.hyper(weight_decay=0.5), sized(s, 24))
    for _ in range(2):
        grads = s.spread(sized(s, 24) * 64)
        before = {name: grad.copy() for name, grad in grads.items()}
        run.step(grads, as_given=True)
        s.expect_equal(grads, before, "the port changed the caller's gradient")


@check("inputs/gradient-reused")
def gradient_reused(s: Session) -> None:
    """What the caller does to its gradient after the step does not reach the port's state."""
    run = s.start(sized(s, 24), s.hyper(weight_decay=0.5))
    grads = s.spread(sized(s, 24))
    for _ in range(3):
        run.step(grads, as_given=True)
        for grad in grads.values():
            grad[...] = s.array(-3 * grad.astype(np.float64))
        params, momenta = run.read()
        s.expect_equal(params, run.param, "the parameter changed with the caller's gradient")
        if momenta is not None and run.shown is not None:
            s.expect_equal(momenta, run.shown, "the momentum changed with the caller's gradient")
    run.step(run.near_zero(graded(s, 24)))


@check("inputs/roles-layouts", rules=TIGER)
def roles_layouts(s: Session) -> None:
    """Gradients of every role are read by index, whatever their strides."""
    shapes = {name.replace("w/", part): (6, 6) if part == "square/" else (5, 7)
              for name in ROLE_NAMES for part in ("square/", "wide/")}  # fmt: skip
    for lay in LAYOUTS.values():
        run = s.start(random(s, shapes), s.hyper(weight_decay=0.25))
        for _ in range(2):
            run.step({name: lay(grad) for name, grad in random(s, shapes).items()}, as_given=True)


@check("inputs/roles-parameter-layouts", rules=TIGER)
def roles_parameter_layouts(s: Session) -> None:
    """Parameters of every role may start transposed, strided or reversed, and rows stay rows."""
    shapes = dict.fromkeys(ROLE_NAMES, (5, 7)) | {"v/embeddings": (6, 6)}
    for layout, lay in LAYOUTS.items():
        with s.edge(f"a {layout} parameter"):
            params = {name: lay(p) for name, p in random(s, shapes).items()}
            run = s.start(params, s.hyper(weight_decay=0.25), as_given=True)
            for _ in range(2):
                run.step(random(s, shapes))


@check("inputs/window-untouched", rules=TIGER)
def window_untouched(s: Session) -> None:
    """The caller's gradients are the same after each micro-step of a window, also one with a NaN in it."""
    shapes = dict.fromkeys(ROLE_NAMES, (3, 4))
    run = s.start(random(s, shapes), s.hyper(weight_decay=0.25, accumulation_steps=3))
    with s.edge("a NaN gradient"):
        for turn in range(6):
            grads = random(s, shapes)
            if turn in (1, 5):
                plant(grads, [turn])
            before = {name: grad.copy() for name, grad in grads.items()}
            run.step(grads, as_given=True)
            s.expect_equal(grads, before, "the port changed the caller's gradient")
