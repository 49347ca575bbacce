"""Many tensors, every size, every layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, sized
from signopt.conformance.driver import Tensors
from signopt.conformance.session import Run, Session

SMALL = (1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1023, 1024, 1025)
LARGE = (4095, 4096, 4097, 65_537, 131_077)


@check("tensors/many", essential=True)
def many(s: Session) -> None:
    """Each tensor has its own momentum and takes part in every step, also among others of the same shape."""
    shapes = {"a/kernel": (4, 3), "b/kernel": (4, 3), "b/bias": (3,), "c/kernel": (2, 2, 2), "d/bias": (3,)}
    params = _random(s, shapes)
    run = s.start(params, s.hyper(weight_decay=0.25))
    run.step(_random(s, shapes))
    for _ in range(3):
        _probe(s, run)


@check("tensors/hundreds")
def hundreds(s: Session) -> None:
    """400 small tensors are all stepped: tables of tensors in kernel arguments end at 24, 110 or 320."""
    shapes = {f"layer{i}/{'bias' if i % 3 else 'kernel'}": (1 + i % 4,) for i in range(400)}
    run = s.start(_random(s, shapes), s.hyper(weight_decay=0.25))
    run.step(_random(s, shapes))
    _probe(s, run)


@check("tensors/names")
def names(s: Session) -> None:
    """Gradients belong to parameters by name, also where names are in no order and gradients come in another."""
    shapes = dict.fromkeys(("w10/bias", "w9/bias", "a/bias", "Z/bias", "w1/bias"), (4,))
    run = s.start(_random(s, shapes), s.hyper(weight_decay=0.25))
    run.step(_random(s, shapes))
    for _ in range(2):
        run.step(dict(reversed(_random(s, shapes).items())))


@check("tensors/some-zero")
def some_zero(s: Session) -> None:
    """A tensor whose gradient is all zero does not disturb the others, nor they it."""
    shapes = {"a/bias": (5,), "b/bias": (5,), "c/bias": (5,)}
    run = s.start(_random(s, shapes), s.hyper(weight_decay=0.5))
    for _ in range(3):
        run.step(_random(s, shapes) | {"b/bias": s.array(np.zeros(5))})


@check("sizes/small", profile="core")
def small(s: Session) -> None:
    """Every element of tensors of 1 to 1025 elements is updated once: no tail is skipped or done twice."""
    for size in SMALL if s.sign_rule.elementwise else SMALL[:12] + SMALL[-3:]:
        _sized_run(s, (size,))


@check("sizes/every")
def every(s: Session) -> None:
    """The same for every size from 1 to 130 and from 1026 to 1041: whatever is left over from a block."""
    sizes = [*range(1, 131), *range(1026, 1042)]
    for start in range(10):
        shapes = {f"t{size}/bias": (size,) for size in sizes[start::10]}
        run = s.start(_random(s, shapes), s.hyper(weight_decay=0.25))
        run.step(_random(s, shapes))
        _probe(s, run)


@check("sizes/large")
def large(s: Session) -> None:
    """The same for 4095 to 131 077 elements, where implementations cut into blocks."""
    for size in LARGE:
        _sized_run(s, (size,))


@check("sizes/matrices")
def matrices(s: Session) -> None:
    """The same for matrices with odd sides, rows and columns of one, and higher ranks."""
    for shape in ((17, 5), (1, 33), (33, 1), (3, 5, 7), (2, 1, 3, 1, 2)):
        _sized_run(s, shape)


@check("sizes/empty")
def empty(s: Session) -> None:
    """A tensor without elements goes through, beside one that has some."""
    for shape in ((0,), (0, 3)):
        with s.edge(f"a tensor of shape {shape}"):
            params = {"a/bias": s.array(np.zeros(shape)), "b/bias": s.array(sized(s, 5))}
            run = s.start(params, s.hyper(weight_decay=0.5))
            run.step({"a/bias": s.array(np.zeros(shape)), "b/bias": s.array(sized(s, 5))})


@check("sizes/scalar")
def scalar(s: Session) -> None:
    """A 0-d parameter is updated like any other and stays 0-d."""
    with s.edge("a 0-d parameter"):
        run = s.start({"a/bias": s.array(1.5), "b/bias": s.array(sized(s, 3))}, s.hyper(weight_decay=0.5))
        for _ in range(3):
            run.step({"a/bias": s.array(s.rng.standard_normal()), "b/bias": s.array(sized(s, 3))})


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
    run = s.start(_random(s, shapes), s.hyper(weight_decay=0.25))
    for _ in range(2):
        run.step({name: lay(grad) for name, grad in _random(s, shapes).items()}, as_given=True)


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


def _random(s: Session, shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    return {name: s.array(sized(s, math.prod(shape)).reshape(shape)) for name, shape in shapes.items()}


def _probe(s: Session, run: Run) -> None:
    run.step(run.near_zero({name: graded(s, p.size).reshape(p.shape) for name, p in run.param.items()}))


def _sized_run(s: Session, shape: tuple[int, ...]) -> None:
    """Two steps at one shape; under Tiger a bias, whose bounds do not depend on the size, and up to 300 a matrix."""
    matrix = not s.sign_rule.elementwise and math.prod(shape) <= 300
    names = ("w/bias", "w/kernel") if matrix else ("w/bias",)
    run = s.start(_random(s, dict.fromkeys(names, shape)), s.hyper(weight_decay=0.25))
    run.step(_random(s, dict.fromkeys(names, shape)))
    _probe(s, run)
