"""Inf and NaN in gradients, momenta and parameters."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.tiger._shapes import TIGER
from signopt.conformance.checks.values import graded, random, sized
from signopt.conformance.oracle.rules import ELEMENTWISE
from signopt.conformance.session import Session


@check("nonfinite/inf-gradient")
def inf_gradient(s: Session) -> None:
    """An infinite gradient gives its sign, or NaN if the order of evaluation subtracts; its neighbours step.

    The momentum stays infinite, or NaN: a large gradient against it does not turn the direction.
    """
    g, against = sized(s, 24), sized(s, 24)
    g[[2, 11, 17]] = [np.inf, -np.inf, np.inf]
    against[[2, 11, 17]] = np.array([-1.0, 1.0, -1.0]) * 2.0 ** (s.storage.emax - 1)
    with s.edge("an infinite gradient"):
        run = s.start({"w/bias": s.array(sized(s, 24))}, s.hyper(weight_decay=0.25))
        run.step(s.array(g))
        run.step(s.array(sized(s, 24)))
        for _ in range(4):
            run.step(s.array(against))


@check("nonfinite/nan-gradient", rules=ELEMENTWISE)
def nan_gradient(s: Session) -> None:
    """A NaN gradient makes its momentum NaN and its parameter NaN, or 0 for the sign as declared; never a step."""
    g = sized(s, 24)
    g[[0, 7, 23]] = np.nan
    with s.edge("a NaN gradient"):
        run = s.start(sized(s, 24), s.hyper(weight_decay=0.25))
        run.step(s.array(sized(s, 24)))
        run.step(s.array(g))
        run.step(s.array(sized(s, 24)))


@check("nonfinite/everything-nan", rules=ELEMENTWISE)
def everything_nan(s: Session) -> None:
    """A gradient of NaN alone follows the same declaration."""
    with s.edge("a NaN gradient"):
        run = s.start(sized(s, 9), s.hyper(weight_decay=0.25))
        run.step(s.array(np.full(9, np.nan)))


@check("nonfinite/momentum", rules=ELEMENTWISE)
def momentum(s: Session) -> None:
    """A momentum that is NaN or infinite stays so."""
    m = sized(s, 16)
    m[[1, 5, 9]] = [np.nan, np.inf, -np.inf]
    with s.edge("a momentum that is not finite"):
        run = s.start(sized(s, 16), s.hyper(weight_decay=0.25), m)
        run.step(s.array(sized(s, 16)))
        run.step(s.array(sized(s, 16)))


@check("nonfinite/parameter", rules=ELEMENTWISE)
def parameter(s: Session) -> None:
    """A NaN parameter stays NaN, an infinite one never becomes finite, and their momentum goes on."""
    p = sized(s, 16)
    p[[1, 5, 9]] = [np.nan, np.inf, -np.inf]
    with s.edge("a parameter that is not finite"):
        run = s.start(p, s.hyper(weight_decay=0.25))
        run.step(s.array(sized(s, 16)))
        run.step(run.near_zero(graded(s, 16)))


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
        run = s.start(random(s, dict.fromkeys(names, (16,))), s.hyper(), {name: s.array(m) for name in names})
        run.step(s.array(g))
        run.step(s.array(sized(s, 16)))
