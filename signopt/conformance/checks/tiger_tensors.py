"""Tiger's roles on tensors of every size, rank and layout, and a NaN at every place in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.tensors import LAYOUTS
from signopt.conformance.checks.values import graded, sized
from signopt.conformance.driver import Tensors
from signopt.conformance.session import Session

TIGER = ("tiger",)
ROLES = ("w/kernel", "w/embeddings", "w/bias", "w/gamma")
"""A name of each role."""

Floats = np.ndarray[Any, np.dtype[np.float64]]


def _each(s: Session, shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    return {name: s.array(sized(s, math.prod(shape)).reshape(shape)) for name, shape in shapes.items()}


def _heavy_ends(s: Session, shape: tuple[int, ...]) -> Floats:
    """Numbers of which the last of each row, and most of all the last row, decide the RMS."""
    values = sized(s, math.prod(shape), -1, 1).reshape(shape)
    values[..., -1] *= 32
    values[-1] *= 8
    return values


@check("rms/large", rules=TIGER)
def rms_large(s: Session) -> None:
    """The RMS of a large matrix takes in its last elements, and all of them make their step."""
    for shape in ((257,), (1025,), (65, 64), (65_537,)):
        run = s.start({"w/kernel": s.array(_heavy_ends(s, shape))}, s.hyper(lr=0.25, weight_decay=0.25))
        run.step(_each(s, {"w/kernel": shape}))


@check("rms/rows", rules=TIGER)
def rms_rows(s: Session) -> None:
    """An embedding with many rows, or long ones, has the RMS of each whole row, and all rows make their step."""
    for shape in ((300, 3), (3, 1030), (17, 33), (2, 9, 130)):
        run = s.start({"w/embeddings": s.array(_heavy_ends(s, shape))}, s.hyper(lr=0.25, weight_decay=0.25))
        run.step(_each(s, {"w/embeddings": shape}))


@check("rms/still-rows", rules=TIGER)
def rms_still_rows(s: Session) -> None:
    """Rows of an embedding without a gradient are no exception: momentum, step and decay go on as in all others."""
    for k in (1, 2):
        params = _each(s, {"w/embeddings": (6, 5), "v/embeddings": (2, 3, 4)})
        run = s.start(params, s.hyper(weight_decay=0.5, accumulation_steps=k))
        for turn in range(3 * k):
            grads = _each(s, {name: p.shape for name, p in params.items()})
            for grad in grads.values():
                grad[:: 1 + turn] = 0.0 if turn else grad
            run.step(grads)
        for _ in range(k):
            run.step(run.near_zero({name: graded(s, p.size).reshape(p.shape) for name, p in params.items()}))


@check("roles/scalar", rules=TIGER)
def roles_scalar(s: Session) -> None:
    """A 0-d parameter has its role like any other; its RMS is its magnitude."""
    for name in ROLES:
        with s.edge(f"a 0-d parameter called {name}"):
            params = {name: s.array(3.0), "v/kernel": s.array(sized(s, 3))}
            run = s.start(params, s.hyper(weight_decay=0.5))
            for _ in range(2):
                run.step(_each(s, {name: (), "v/kernel": (3,)}))


@check("roles/empty", rules=TIGER)
def roles_empty(s: Session) -> None:
    """A tensor of any role without elements disturbs no other."""
    for name in ROLES:
        for shape in ((0, 3), (3, 0)):
            with s.edge(f"{name} of shape {shape}"):
                shapes = {name: shape, "v/kernel": (3,), "v/embeddings": (2, 3)}
                run = s.start(_each(s, shapes), s.hyper(weight_decay=0.5))
                run.step(_each(s, shapes))


@check("inputs/roles-layouts", rules=TIGER)
def roles_layouts(s: Session) -> None:
    """Gradients of every role are read by index, whatever their strides."""
    shapes = {name.replace("w/", part): (6, 6) if part == "square/" else (5, 7)
              for name in ROLES for part in ("square/", "wide/")}  # fmt: skip
    for lay in LAYOUTS.values():
        run = s.start(_each(s, shapes), s.hyper(weight_decay=0.25))
        for _ in range(2):
            run.step({name: lay(grad) for name, grad in _each(s, shapes).items()}, as_given=True)


@check("inputs/roles-parameter-layouts", rules=TIGER)
def roles_parameter_layouts(s: Session) -> None:
    """Parameters of every role may start transposed, strided or reversed, and rows stay rows."""
    shapes = dict.fromkeys(ROLES, (5, 7)) | {"v/embeddings": (6, 6)}
    for layout, lay in LAYOUTS.items():
        with s.edge(f"a {layout} parameter"):
            params = {name: lay(p) for name, p in _each(s, shapes).items()}
            run = s.start(params, s.hyper(weight_decay=0.25), as_given=True)
            for _ in range(2):
                run.step(_each(s, shapes))


@check("inputs/window-untouched", rules=TIGER)
def window_untouched(s: Session) -> None:
    """The caller's gradients are the same after each micro-step of a window, also one with a NaN in it."""
    shapes = dict.fromkeys(ROLES, (3, 4))
    run = s.start(_each(s, shapes), s.hyper(weight_decay=0.25, accumulation_steps=3))
    with s.edge("a NaN gradient"):
        for turn in range(6):
            grads = _each(s, shapes)
            if turn in (1, 5):
                _poison(grads, [turn])
            before = {name: grad.copy() for name, grad in grads.items()}
            run.step(grads, as_given=True)
            s.expect_equal(grads, before, "the port changed the caller's gradient")


def _poison(grads: Tensors, places: Iterable[int], value: float = math.nan) -> None:
    for grad in grads.values():
        for place in places:
            grad.reshape(-1)[place] = value


@check("nan/places", rules=TIGER)
def nan_places(s: Session) -> None:
    """A single NaN of either sign at any place, with an Inf beside it or not, shrinks its tensor."""
    shapes = dict.fromkeys(ROLES, (5, 13))
    with s.edge("a NaN gradient"):
        run = s.start(_each(s, shapes), s.hyper(shrink=0.75))
        for turn, place in enumerate((0, 1, 12, 13, 31, 33, 63, int(s.rng.integers(2, 63)))):
            grads = _each(s, shapes)
            _poison(grads, [place], math.copysign(math.nan, (-1) ** turn))
            if turn % 3 == 2:
                _poison(grads, [place + 1], math.inf)
            run.step(grads)


@check("nan/large", rules=TIGER)
def nan_large(s: Session) -> None:
    """A NaN anywhere in a large tensor shrinks all of it, far from the NaN too."""
    shapes = {"w/kernel": (41, 101), "w/embeddings": (101, 41), "w/bias": (4141,), "w/gamma": (4141,)}
    with s.edge("a NaN gradient"):
        run = s.start(_each(s, shapes), s.hyper(shrink=0.5))
        for place in (300, 2100, 4140, int(s.rng.integers(0, 4141))):
            grads = _each(s, shapes)
            _poison(grads, [place])
            run.step(grads)


@check("nonfinite/bias-parameter", rules=TIGER)
def bias_parameter(s: Session) -> None:
    """A NaN or Inf in a bias or a scale stays where it is: it is no NaN of the gradient, and its neighbours step."""
    values = sized(s, 16)
    values[[1, 5, 9]] = [np.nan, np.inf, -np.inf]
    with s.edge("a parameter that is not finite"):
        run = s.start({"w/bias": s.array(values), "w/gamma": s.array(values[::-1])}, s.hyper(weight_decay=0.25))
        run.step(s.array(sized(s, 16)))
        run.step(run.near_zero(graded(s, 16)))


@check("nonfinite/tiger-momentum", rules=TIGER)
def tiger_momentum(s: Session) -> None:
    """A momentum that is Inf or NaN, or becomes NaN as Inf − Inf, is no NaN of the gradient and shrinks nothing."""
    m = sized(s, 16)
    m[[1, 5, 9]] = [np.nan, np.inf, -np.inf]
    g = sized(s, 16)
    g[5] = -np.inf
    with s.edge("a momentum that is not finite"):
        names = ("w/bias", "w/gamma")
        run = s.start(_each(s, dict.fromkeys(names, (16,))), s.hyper(), {name: s.array(m) for name in names})
        run.step(s.array(g))
        run.step(s.array(sized(s, 16)))
