"""What the caller hands over: in whatever memory layout, and unchanged afterwards."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from signopt.conformance.checks.inputs import LAYOUTS
from signopt.conformance.checks.muon.values import muon_check, normal, settings, small_range, spectrum
from signopt.conformance.session import Run, Session


def _laid(s: Session, lay: Callable[[Any], Any], shape: tuple[int, int] = (5, 4)) -> Any:
    return lay(spectrum(s, shape))


@muon_check("handed/gradients")
def gradients(s: Session) -> None:
    """Gradients are read by index, whatever their strides: transposed, every second element, reversed, offset."""
    for layout, lay in LAYOUTS.items():
        with s.edge(f"a {layout} gradient") if layout == "reversed" else nullcontext():
            run = s.start({"a": normal(s, (5, 4)), "b": normal(s, (3, 3))}, settings(s))
            for _ in range(2):
                run.step({"a": _laid(s, lay), "b": _laid(s, lay, (3, 3))}, as_given=True)


@muon_check("handed/parameters")
def parameters(s: Session) -> None:
    """Parameters and momenta may start transposed, strided or reversed."""
    for layout, lay in LAYOUTS.items():
        with s.edge(f"a {layout} parameter"):
            momentum = {"a": lay(normal(s, (5, 4)))}
            run = s.start({"a": lay(normal(s, (5, 4)))}, settings(s), momentum, as_given=True)
            for _ in range(2):
                run.step({"a": spectrum(s, (5, 4))})


@muon_check("handed/untouched", essential=True)
def untouched(s: Session) -> None:
    """The caller's gradient is the same after the step as before it, with look-ahead and without.

    Also if it is large, small, zero, strided or NaN, for which a port may have a way of its own.
    """
    either: tuple[dict[str, Any], ...] = ({"nesterov": True}, {"nesterov": False})
    for wanted in ({},) if "nesterov" in s.habits.fixed else either:
        run = s.start({"a": normal(s, (3, 2)), "b": normal(s, (2, 3))}, settings(s, **wanted))
        for _ in range(2):
            _untouched(s, run, {"a": spectrum(s, (3, 2)), "b": spectrum(s, (2, 3))})
    far = 64.0 if small_range(s) else 1e6
    for size in (far, 1 / far, 0.0):
        run = s.start({"a": normal(s, (3, 2)), "b": normal(s, (1, 4))}, settings(s))
        for _ in range(2):
            _untouched(s, run, {"a": spectrum(s, (3, 2), size=size), "b": normal(s, (1, 4), size)})
    for layout in ("transposed", "strided"):
        run = s.start({"a": normal(s, (5, 4))}, settings(s))
        _untouched(s, run, {"a": _laid(s, LAYOUTS[layout])})
    with s.edge("a NaN in a gradient"):
        run = s.start({"a": normal(s, (3, 2))}, settings(s))
        _untouched(s, run, {"a": s.array(np.where(np.arange(6).reshape(3, 2) == 3, np.nan, 1.0))})


def _untouched(s: Session, run: Run, grads: dict[str, Any]) -> None:
    """One step, after which the gradients are what they were."""
    before = {name: grad.copy() for name, grad in grads.items()}
    run.step(grads, as_given=True)
    s.expect_equal(grads, before, "the port changed the caller's gradient")


@muon_check("handed/reused")
def reused(s: Session) -> None:
    """One gradient object in several steps, changed by its owner between them, does not reach the port's state."""
    run = s.start({"a": normal(s, (3, 2))}, settings(s))
    grad = spectrum(s, (3, 2))
    for _ in range(3):
        run.step({"a": grad}, as_given=True)
        grad[...] = s.array(-3 * grad.astype(np.float64))
        params, momenta = run.read()
        s.expect_equal(params, run.param, "the parameter changed with the caller's gradient")
        if momenta is not None and run.shown is not None:
            s.expect_equal(momenta, run.shown, "the momentum changed with the caller's gradient")
    for _ in range(2):
        run.step({"a": grad}, as_given=True)


@muon_check("handed/kept-parameter")
def kept_parameter(s: Session) -> None:
    """Reading changes nothing: parameters and momenta are read again after a step, and are the same."""
    given = {"a": normal(s, (3, 2))}
    run = s.start(given, settings(s))
    run.step({"a": spectrum(s, (3, 2))})
    s.expect_equal(run.read()[0], run.param, "reading the parameters twice gives two results")
    momenta = run.read()[1]
    if momenta is not None and run.shown is not None:
        s.expect_equal(momenta, run.shown, "reading the momentum twice gives two results")
