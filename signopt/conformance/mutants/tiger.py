"""Tiger's windows and averages got wrong, and all of Tiger's mutants together."""

from __future__ import annotations

from typing import Any

from signopt.conformance.mutants.common import common
from signopt.conformance.mutants.tiger_nan import NAN
from signopt.conformance.mutants.tiger_places import PLACES
from signopt.conformance.mutants.tiger_published import PUBLISHED
from signopt.conformance.mutants.tiger_roles import ROLES
from signopt.conformance.mutants.tiger_schedule import SCHEDULE
from signopt.conformance.mutants.tiger_stale import STALE
from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.tiger import TigerPort
from signopt.conformance.numpy_ports.variant import Row, Variant, of_row
from signopt.conformance.port import Arrays

__all__ = ["TIGER"]


def _step_keeps_last_gradient(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    if not self.closes():
        return p, m
    fresh = self.blend(m, g, self.beta())
    s = self.sign(fresh)
    return self.move(p, s, self.reach(p, self.role(name)), self.decay(name, p, s)), fresh


def _restart_window(self: TigerPort, params: Arrays, hyper: Any, momentum: Arrays | None = None) -> None:
    t = getattr(self, "t", 0)
    NumpyPort.init(self, params, hyper, momentum)
    self.t = t


def _mean_before(self: TigerPort) -> tuple[float, float]:
    return (self.beta() if self.opens() else 1.0), 1.0 - self.beta()


def _counts_tensors(self: TigerPort, name: str, grad: Array) -> None:
    NumpyPort.advance(self, name, grad)
    self.t += 1


def _step_uncounted(self: TigerPort, grads: Arrays) -> None:
    NumpyPort.step(self, grads)
    self.t -= 1


_WINDOWS: list[Row] = [
    (
        "window-counts-tensors",
        "the micro-step counted once for every tensor",
        {"advance": _counts_tensors, "step": _step_uncounted},
    ),
    ("window-missing", "no accumulation: every micro-step is a step", {"window": lambda self: 1}),
    ("window-moves-always", "the parameter moves at every micro-step", {"closes": lambda self: True}),
    ("window-moves-first", "the parameter moves at a window's first micro-step", {"closes": lambda self: self.opens()}),
    (
        "window-off-by-one",
        "the parameter moves one micro-step late",
        {"closes": lambda self: (self.t > 0 and self.t % self.window() == 0) or self.window() == 1},
    ),
    (
        "window-decays-always",
        "β at every micro-step of a window",
        {"coefficients": lambda self: (self.beta(), TigerPort.coefficients(self)[1])},
    ),
    ("window-decays-last", "β at a window's last micro-step", {"opens": lambda self: self.closes()}),
    (
        "window-decays-once",
        "β only at the very first micro-step",
        {"opens": lambda self: self.t == 0 or self.window() == 1},
    ),
    (
        "window-decay-missing",
        "no β at all where k > 1",
        {
            "coefficients": lambda self: (
                1.0 if self.window() > 1 else self.beta(),
                TigerPort.coefficients(self)[1],
            )
        },
    ),
    ("window-sum", "the window's sum for its mean: no 1/k", {"coefficients": _mean_before}),
    ("window-last-gradient", "only the last gradient of a window used", {"update": _step_keeps_last_gradient}),
    (
        "window-k-plus-one",
        "a window of k+1",
        {"window": lambda self: self.hyper["accumulation_steps"] + (self.hyper["accumulation_steps"] > 1)},
    ),
    (
        "window-divisor-root",
        "1/sqrt(k) for 1/k",
        {
            "coefficients": lambda self: (
                TigerPort.coefficients(self)[0],
                (1 - self.beta()) / self.window() ** 0.5,
            )
        },
    ),
    ("window-kept-between-runs", "the micro-step counted on from an earlier run", {"init": _restart_window}),
    (
        "window-shrinks-rate",
        "the rate divided by k",
        {"reach": lambda self, p, role: TigerPort.reach(self, p, role) / self.window()},
    ),
]

_AVERAGES: list[Row] = [
    ("beta-default", "beta = 0.965 whatever is given", {"beta": lambda self: 0.965}),
    (
        "beta-fixed-complement",
        "1−β of the default β",
        {"coefficients": lambda self: (TigerPort.coefficients(self)[0], 0.035 / self.window())},
    ),
    ("beta-off", "beta too small by 1e-4", {"beta": lambda self: max(0.0, self.hyper["beta"] - 1e-4)}),
    ("beta-float16", "beta held in float16", {"beta": lambda self: w.as_float16(self.hyper["beta"])}),
    (
        "beta-dampening-missing",
        "m = β·m + g/k, without 1−β",
        {"coefficients": lambda self: (TigerPort.coefficients(self)[0], 1 / self.window())},
    ),
    (
        "beta-exchanged",
        "m = (1−β)·m + β·g",
        {
            "coefficients": lambda self: (
                1 - self.beta() if self.opens() else 1.0,
                self.beta() / self.window(),
            )
        },
    ),
    ("look-old-momentum", "the sign of the old momentum", {"look": lambda self, m, g, fresh: m}),
    ("look-gradient", "the sign of the gradient", {"look": lambda self, m, g, fresh: g}),
    (
        "look-lion",
        "the sign of β·m + (1−β)·g with the new m",
        {"look": lambda self, m, g, fresh: self.blend(fresh, g, self.beta())},
    ),
]


def _meaningless(key: str) -> bool:
    return key.startswith("gradient-nan") or key in {
        "sign-nan-plus",
        "sign-nan-minus",
        "sign-nan-zero-undeclared",
        "trust-ratio",
    }


TIGER: tuple[Variant, ...] = (
    *(of_row("tiger", row) for row in (*ROLES, *PLACES, *STALE, *PUBLISHED, *_WINDOWS, *NAN, *SCHEDULE, *_AVERAGES)),
    *common("tiger", _meaningless),
)
