"""What is kept between steps and between lives, and hyperparameters that change."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.checks.muon.values import (
    IDENTITY,
    MIX,
    asked,
    coarse,
    muon_check,
    normal,
    settings,
    simple,
    small_range,
    spectrum,
    tensors,
    walk,
)
from signopt.conformance.errors import PortRaised
from signopt.conformance.session import NotApplicableError, Session


@muon_check("carried/given")
def given(s: Session) -> None:
    """A momentum given at the start takes part in the first step, and the array that was given stays as it is."""
    for hyper in (simple(s), settings(s)):
        walk(s, MIX, hyper, 2, spectrum, momentum=0.5)
    momentum = {"w": normal(s, (3, 2))}
    before = {"w": momentum["w"].copy()}
    try:
        s.driver.call("init", {"w": normal(s, (3, 2))}, settings(s), momentum)
    except PortRaised as error:
        if isinstance(error.cause, NotImplementedError):
            return
        raise
    s.driver.step({"w": normal(s, (3, 2))})
    s.expect_equal(momentum, before, "the port changed the momentum that it was given")


@muon_check("carried/on")
def carried(s: Session) -> None:
    """A new life from the parameters and the momentum of another goes on where that was."""
    run = walk(s, MIX, settings(s), 2, spectrum)
    if run.shown is None:
        raise NotApplicableError("the momentum is not shown")
    run = s.start(run.param, settings(s), run.shown)
    for _ in range(2):
        run.step(tensors(s, MIX, spectrum))


@muon_check("carried/fresh", essential=True)
def fresh(s: Session) -> None:
    """init() starts anew, with other hyperparameters, names and shapes, and with or without a momentum."""
    walk(s, MIX, settings(s), 2, spectrum, momentum=0.5)
    for changes in ({"lr": 0.1}, {"weight_decay": 0.0}, {"nesterov": False}, {"beta": 0.5}, {"eps": 0.25}):
        with asked(s):
            walk(s, MIX, settings(s, **changes), 2, spectrum, size=0.25)
    with asked(s):
        walk(s, ((2, 3),), settings(s, adjust_lr_fn="match_rms_adamw"), 1, spectrum, momentum=0.25)
    run = s.start({"other": normal(s, (3, 3))}, settings(s))
    run.step({"other": spectrum(s, (3, 3))})


@muon_check("carried/repeatable", essential=True, metamorphic=True)
def repeatable(s: Session) -> None:
    """The same run twice gives the same bits."""
    first, second = (_finish(s) for _ in range(2))
    s.expect_equal(second, first, "the same run gave other bits the second time")


def _finish(s: Session) -> dict[str, Any]:
    s.reseed()
    return walk(s, MIX, settings(s), 3, spectrum).everything()


@muon_check("changed/rate")
def rate(s: Session) -> None:
    """A rate or a decay changed between steps holds from the next step on, for the step and for the decay."""
    run = walk(s, MIX, settings(s), 1, spectrum)
    for changes in ({"lr": 0.03125}, {"weight_decay": 1.5}, {"lr": 0.5}, {"weight_decay": 0.0}, {"lr": 0.125}):
        with asked(s):
            settings(s, **changes)
            run.configure(**changes)
            run.step(tensors(s, MIX, spectrum))


@muon_check("changed/beta")
def beta(s: Session) -> None:
    """A β changed between steps holds from the next step on, and what the momentum held before keeps its weight.

    A port may refuse that.
    """
    run = walk(s, MIX, simple(s), 1)
    for value in (0.5, 0.99, 0.8):
        with asked(s), s.edge("changing beta"):
            settings(s, beta=value)
            run.configure(beta=value)
            run.step(tensors(s, MIX))


@muon_check("changed/others")
def others(s: Session) -> None:
    """Look-ahead, ε, scale, coefficients and their number may change between steps too; a port may refuse that."""
    run = walk(s, MIX, settings(s), 1, spectrum)
    for changes in (
        {"nesterov": False}, {"eps": 0.5}, {"adjust_lr_fn": "match_rms_adamw"},
        {"ns_steps": 1, "ns_coefficients": IDENTITY},
    ):  # fmt: skip
        with asked(s), s.edge(f"changing {', '.join(changes)}"):
            settings(s, **changes)
            run.configure(**changes)
            run.step(tensors(s, MIX, spectrum))


@muon_check("changed/under-one-gradient")
def under_one_gradient(s: Session) -> None:
    """The same with β = 0 and one gradient in all steps: nothing is remembered of what was made of it before."""
    more = {} if coarse(s) else {"ns_steps": 2}
    grads = tensors(s, MIX, spectrum)
    with asked(s), s.edge("beta = 0"):
        run = walk(s, MIX, settings(s, beta=0.0), 0)
        run.step(grads)
        for changes in ({"eps": 0.5}, more, {"ns_coefficients": (2.0, -1.5, 0.5)}, {"ns_steps": 1}, {"lr": 0.0625}):
            with asked(s), s.edge(f"changing {', '.join(changes)}"):
                settings(s, **changes)
                run.configure(**changes)
                run.step(grads)


@muon_check("carried/tiny")
def tiny(s: Session) -> None:
    """Momenta below 1e-8 are kept and used, also beside large ones; in float32 subnormal ones are not far off."""
    if small_range(s):
        raise NotApplicableError("float16 has no numbers so small")
    walk(s, ((3, 2), (2, 2)), settings(s), 2, spectrum, momentum=1e-9, size=1e-9)
    run = walk(s, ((3, 2),), settings(s), 1, spectrum)
    grads = spectrum(s, (3, 2)).astype(np.float64)
    grads[0] *= 1e-9
    run.step({"w0": s.array(grads)})
    run = s.start({"w0": normal(s, (3, 2))}, settings(s))
    for _ in range(2):
        grads = spectrum(s, (3, 2)).astype(np.float64)
        run.step({"w0": s.array(grads * [[1e-13], [1.0], [1e-20]])})
