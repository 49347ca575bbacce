"""Tiger's windows, NaN rule, schedule and momentum got wrong, and all of Tiger's mutants together."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from signopt.conformance.mutants.common import common
from signopt.conformance.mutants.tiger_places import PLACES
from signopt.conformance.mutants.tiger_published import KOZISTR, PUBLISHED
from signopt.conformance.mutants.tiger_roles import ROLES
from signopt.conformance.mutants.tiger_stale import STALE
from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.tiger import TigerPort
from signopt.conformance.numpy_ports.variant import Row, Variant, variant
from signopt.conformance.port import Arrays

__all__ = ["TIGER"]

BALOVESS = "https://github.com/balovess/Tiger-Optimizer-For-Pytorch"


def _elementwise_nan(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    bad = np.isnan(g)
    healthy_p, healthy_m = TigerPort.update(self, name, p, np.where(bad, 0, g).astype(g.dtype), m)
    return np.where(bad, self.shrunk(p, self.role(name)), healthy_p), np.where(bad, m, healthy_m)


def _global_nan(self: TigerPort, grads: Arrays) -> None:
    self.memo["any"] = any(np.isnan(np.asarray(g, np.float64)).any() for g in grads.values())
    NumpyPort.step(self, grads)


def _nan_then_steps(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    if not self.has_nan(g):
        new: tuple[Array, Array] = TigerPort.update(self, name, p, g, m)
        return new
    p = self.shrunk(p, self.role(name))
    s = self.sign(m)
    return (self.move(p, s, self.reach(p, self.role(name)), self.decay(name, p, s)) if self.closes() else p), m


def _on_nan(momentum: Any, param: Any = None) -> Any:
    def update(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        new = TigerPort.update(self, name, p, g, m)
        if not np.isnan(g).any():
            return new
        return (new[0] if param is None else param(self, name, p)), momentum(self, m)

    return update


def _nan_delays(self: TigerPort, grads: Arrays) -> None:
    NumpyPort.step(self, grads)
    if any(np.isnan(np.asarray(g, np.float64)).any() for g in grads.values()):
        self.t -= 1


def _nan_shortens(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    if self.opens():
        self.memo[name] = 0
    self.memo[name] = self.memo.get(name, 0) + bool(np.isnan(g).any())
    return TigerPort.update(self, name, p, g, m)


def _shorter_divisor(self: TigerPort) -> tuple[float, float]:
    missing = max((n for n in self.memo.values() if isinstance(n, int)), default=0)
    b1, _ = TigerPort.coefficients(self)
    return b1, (1 - self.beta()) / max(1, self.window() - missing)


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


def _last_corner_lost(self: TigerPort) -> list[tuple[int, float]]:
    corners = TigerPort.points(self)
    return corners if len(corners) < 3 else corners[:-1]


def _extrapolated(self: TigerPort) -> float:
    corners = TigerPort.points(self)
    if len(corners) < 2 or self.t <= corners[-1][0]:
        return TigerPort.factor(self)
    (t0, f0), (t1, f1) = corners[-2:]
    return max(0.0, f1 + (f1 - f0) * (self.t - t1) / (t1 - t0))


def _stepwise(self: TigerPort) -> float:
    return [factor for at, factor in TigerPort.points(self) if at <= self.t][-1]


def _no_warm_up(self: TigerPort) -> list[tuple[int, float]]:
    return sorted((self.hyper.get("schedule") or {0: 1.0}).items())


def _zero_after_last(self: TigerPort) -> float:
    corners = TigerPort.points(self)
    return 0.0 if len(corners) > 1 and self.t > corners[-1][0] else TigerPort.factor(self)


def _cosine(self: TigerPort) -> float:
    corners = TigerPort.points(self)
    for (t0, f0), (t1, f1) in pairwise(corners):
        if t0 <= self.t < t1:
            return f0 + (f1 - f0) * 0.5 * (1 - float(np.cos(np.pi * (self.t - t0) / (t1 - t0))))
    return corners[-1][1]


def _mean_before(self: TigerPort) -> tuple[float, float]:
    return (self.beta() if self.opens() else 1.0), 1.0 - self.beta()


def _counts_tensors(self: TigerPort, name: str, grad: Array) -> None:
    NumpyPort.advance(self, name, grad)
    self.t += 1


def _step_uncounted(self: TigerPort, grads: Arrays) -> None:
    NumpyPort.step(self, grads)
    self.t -= 1


def _sticky(self: TigerPort, g: Array) -> bool:
    if np.isnan(g).any():
        self.memo["sticky"] = self.t
    return bool(self.t - self.memo.get("sticky", -9) <= 1)


def _stops_at_nan(self: TigerPort, grads: Arrays) -> None:
    self.memo["grads"] = grads
    NumpyPort.step(self, grads)


def _before_nan(self: TigerPort) -> list[str]:
    names = list(self.p)
    bad = [i for i, n in enumerate(names) if np.isnan(np.asarray(self.memo["grads"][n], np.float64)).any()]
    return names[: bad[0] + 1] if bad else names


def _corners_as_text(self: TigerPort) -> list[tuple[int, float]]:
    schedule = self.hyper.get("schedule") or {0: 1.0}
    corners = [(int(at), float(factor)) for at, factor in sorted(schedule.items(), key=lambda item: str(item[0]))]
    return corners if corners[0][0] == 0 else [(0, 0.0), *corners]


def _corners_as_given(self: TigerPort) -> list[tuple[int, float]]:
    corners = [(int(at), float(factor)) for at, factor in (self.hyper.get("schedule") or {0: 1.0}).items()]
    return corners if corners[0][0] == 0 else [(0, 0.0), *corners]


def _walked(self: TigerPort) -> float:
    corners = self.points()
    for (t0, f0), (t1, f1) in pairwise(corners):
        if t0 <= self.t < t1:
            return f0 + (f1 - f0) * (self.t - t0) / (t1 - t0)
    return corners[-1][1]


_ROWS: list[Row] = [
    (
        "window-counts-tensors",
        "the micro-step counted once for every tensor",
        "",
        {"advance": _counts_tensors, "step": _step_uncounted},
    ),
    ("nan-sticky", "the NaN rule fires for all tensors, and again a step later", "", {"has_nan": _sticky}),
    ("nan-ends-step", "tensors after one with a NaN skipped", "", {"step": _stops_at_nan, "visit": _before_nan}),
    (
        "schedule-sorted-as-text",
        "the schedule's keys sorted as text: 10 before 9",
        "",
        {"points": _corners_as_text, "factor": _walked},
    ),
    (
        "schedule-unsorted",
        "the schedule's keys taken in the order given",
        "",
        {"points": _corners_as_given, "factor": _walked},
    ),
    ("window-missing", "no accumulation: every micro-step is a step", "", {"window": lambda self: 1}),
    ("window-moves-always", "the parameter moves at every micro-step", "", {"closes": lambda self: True}),
    (
        "window-moves-first",
        "the parameter moves at a window's first micro-step",
        "",
        {"closes": lambda self: self.opens()},
    ),
    (
        "window-off-by-one",
        "the parameter moves one micro-step late",
        "",
        {"closes": lambda self: (self.t > 0 and self.t % self.window() == 0) or self.window() == 1},
    ),
    (
        "window-decays-always",
        "β at every micro-step of a window",
        "",
        {"coefficients": lambda self: (self.beta(), TigerPort.coefficients(self)[1])},
    ),
    ("window-decays-last", "β at a window's last micro-step", "", {"opens": lambda self: self.closes()}),
    (
        "window-decays-once",
        "β only at the very first micro-step",
        "",
        {"opens": lambda self: self.t == 0 or self.window() == 1},
    ),
    (
        "window-decay-missing",
        "no β at all where k > 1",
        "",
        {
            "coefficients": lambda self: (
                1.0 if self.window() > 1 else self.beta(),
                TigerPort.coefficients(self)[1],
            )
        },
    ),
    ("window-sum", "the window's sum for its mean: no 1/k", "", {"coefficients": _mean_before}),
    (
        "window-last-gradient",
        "only the last gradient of a window used",
        "",
        {"update": _step_keeps_last_gradient},
    ),
    (
        "window-k-plus-one",
        "a window of k+1",
        "",
        {"window": lambda self: self.hyper["accumulation_steps"] + (self.hyper["accumulation_steps"] > 1)},
    ),
    (
        "window-divisor-root",
        "1/sqrt(k) for 1/k",
        "",
        {
            "coefficients": lambda self: (
                TigerPort.coefficients(self)[0],
                (1 - self.beta()) / self.window() ** 0.5,
            )
        },
    ),
    (
        "window-kept-between-runs",
        "the micro-step counted on from an earlier run",
        "",
        {"init": _restart_window},
    ),
    (
        "window-shrinks-rate",
        "the rate divided by k",
        "",
        {"reach": lambda self, p, role: TigerPort.reach(self, p, role) / self.window()},
    ),
    ("nan-rule-missing", "no NaN rule", KOZISTR, {"has_nan": lambda self, g: False}),
    ("nan-by-element", "the NaN rule by element", BALOVESS, {"update": _elementwise_nan}),
    (
        "nan-all-elements",
        "the NaN rule only where every element is NaN",
        "",
        {"has_nan": lambda self, g: bool(g.size and np.isnan(g).all())},
    ),
    (
        "nan-first-element",
        "the NaN rule looks at the first element only",
        "",
        {"has_nan": lambda self, g: bool(g.size and np.isnan(g.flat[0]))},
    ),
    (
        "nan-by-sum",
        "the NaN rule by the sum: Inf − Inf fires it",
        "",
        {"has_nan": lambda self, g: bool(np.isnan(np.sum(g)))},
    ),
    (
        "nan-catches-inf",
        "the NaN rule catches Inf",
        "",
        {"has_nan": lambda self, g: not bool(np.isfinite(g).all())},
    ),
    (
        "nan-all-tensors",
        "a NaN in one tensor fires the rule for all",
        "",
        {"step": _global_nan, "has_nan": lambda self, g: bool(self.memo["any"])},
    ),
    ("nan-not-shrunk", "a NaN leaves the parameter alone", "", {"shrunk": lambda self, p, role: p}),
    (
        "nan-shrink-fixed",
        "0.99 whatever shrink is given",
        "",
        {
            "shrunk": lambda self, p, role: (
                (p - p.dtype.type(self.centre(role))) * p.dtype.type(0.99) + p.dtype.type(self.centre(role))
            )
        },
    ),
    (
        "nan-shrink-and-decay",
        "shrink made weaker by the learning rate",
        "",
        {"shrunk": lambda self, p, role: p + p.dtype.type(self.lr()) * (TigerPort.shrunk(self, p, role) - p)},
    ),
    ("nan-centre-zero", "scales pulled to 0 after a NaN", "", {"centre": lambda self, role: 0.0}),
    ("nan-centre-one", "everything pulled to 1 after a NaN", "", {"centre": lambda self, role: 1.0}),
    (
        "nan-shrinks-last-only",
        "a NaN shrinks only at a window's last micro-step",
        "",
        {"shrunk": lambda self, p, role: TigerPort.shrunk(self, p, role) if self.closes() else p},
    ),
    ("nan-steps-too", "a NaN shrinks and the step is taken as well", "", {"update": _nan_then_steps}),
    (
        "nan-decays-momentum",
        "β on the momentum at a NaN",
        "",
        {"update": _on_nan(lambda self, m: m.dtype.type(self.beta()) * m)},
    ),
    (
        "nan-opens-window",
        "β on the momentum at a NaN that opens a window",
        "",
        {"update": _on_nan(lambda self, m: m.dtype.type(self.coefficients()[0]) * m)},
    ),
    (
        "nan-clears-momentum",
        "momentum zeroed at a NaN",
        "",
        {"update": _on_nan(lambda self, m: np.zeros_like(m))},
    ),
    (
        "nan-shrinks-momentum",
        "momentum shrunk at a NaN",
        "",
        {"update": _on_nan(lambda self, m: m.dtype.type(self.hyper["shrink"]) * m)},
    ),
    ("nan-not-counted", "a NaN micro-step not counted", "", {"step": _nan_delays}),
    (
        "nan-divisor",
        "the divisor of a window less by its NaN micro-steps",
        "",
        {"update": _nan_shortens, "coefficients": _shorter_divisor},
    ),
    ("schedule-ignored", "the schedule ignored", "", {"factor": lambda self: 1.0}),
    (
        "schedule-on-scales-missing",
        "the schedule not applied to scales",
        "",
        {"reach": lambda self, p, role: 0.5 * self.base_lr() if role == "scale" else TigerPort.reach(self, p, role)},
    ),
    (
        "schedule-by-step",
        "the schedule counts steps, not micro-steps",
        "",
        {"clock": lambda self: self.t // self.window()},
    ),
    ("schedule-late", "the schedule one micro-step ahead", "", {"clock": lambda self: self.t + 1}),
    ("schedule-early", "the schedule one micro-step behind", "", {"clock": lambda self: max(0, self.t - 1)}),
    ("schedule-no-warm-up", "no (0, 0) in front: constant before the first key", "", {"points": _no_warm_up}),
    ("schedule-extrapolates", "the last stretch continued after the last key", "", {"factor": _extrapolated}),
    ("schedule-zero-after-last", "a factor of 0 after the last key", "", {"factor": _zero_after_last}),
    ("schedule-stepwise", "a staircase for the polyline", "", {"factor": _stepwise}),
    ("schedule-cosine", "cosine between the keys", "", {"factor": _cosine}),
    ("schedule-last-key-lost", "the last key ignored", "", {"points": _last_corner_lost}),
    (
        "schedule-on-biases-missing",
        "the schedule not applied to biases and scales",
        "",
        {
            "reach": lambda self, p, role: (
                0.5 * self.base_lr() if role in ("bias", "scale") else TigerPort.reach(self, p, role)
            )
        },
    ),
    (
        "schedule-squared",
        "the schedule applied twice",
        "",
        {"lr": lambda self: self.base_lr() * self.factor() ** 2},
    ),
    (
        "schedule-capped",
        "the schedule's factor capped at 1",
        "",
        {"factor": lambda self: min(1.0, TigerPort.factor(self))},
    ),
    ("beta-default", "beta = 0.965 whatever is given", "", {"beta": lambda self: 0.965}),
    (
        "beta-fixed-complement",
        "1−β of the default β",
        "",
        {"coefficients": lambda self: (TigerPort.coefficients(self)[0], 0.035 / self.window())},
    ),
    ("beta-off", "beta too small by 1e-4", "", {"beta": lambda self: max(0.0, self.hyper["beta"] - 1e-4)}),
    ("beta-float16", "beta held in float16", "", {"beta": lambda self: w.as_float16(self.hyper["beta"])}),
    (
        "beta-dampening-missing",
        "m = β·m + g/k, without 1−β",
        "",
        {"coefficients": lambda self: (TigerPort.coefficients(self)[0], 1 / self.window())},
    ),
    (
        "beta-exchanged",
        "m = (1−β)·m + β·g",
        "",
        {
            "coefficients": lambda self: (
                1 - self.beta() if self.opens() else 1.0,
                self.beta() / self.window(),
            )
        },
    ),
    ("look-old-momentum", "the sign of the old momentum", "", {"look": lambda self, m, g, fresh: m}),
    ("look-gradient", "the sign of the gradient", "", {"look": lambda self, m, g, fresh: g}),
    (
        "look-lion",
        "the sign of β·m + (1−β)·g with the new m",
        "",
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
    *(
        variant("tiger", key, summary, source, **pieces)
        for key, summary, source, pieces in (*ROLES, *PLACES, *STALE, *PUBLISHED, *_ROWS)
    ),
    *common("tiger", _meaningless),
)
