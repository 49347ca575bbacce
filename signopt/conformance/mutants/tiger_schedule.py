"""Tiger's schedule got wrong."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from signopt.conformance.numpy_ports.tiger import TigerPort
from signopt.conformance.numpy_ports.variant import Row

__all__ = ["SCHEDULE"]


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


SCHEDULE: list[Row] = [
    (
        "schedule-sorted-as-text",
        "the schedule's keys sorted as text: 10 before 9",
        {"points": _corners_as_text, "factor": _walked},
    ),
    (
        "schedule-unsorted",
        "the schedule's keys taken in the order given",
        {"points": _corners_as_given, "factor": _walked},
    ),
    ("schedule-ignored", "the schedule ignored", {"factor": lambda self: 1.0}),
    (
        "schedule-on-scales-missing",
        "the schedule not applied to scales",
        {"reach": lambda self, p, role: 0.5 * self.base_lr() if role == "scale" else TigerPort.reach(self, p, role)},
    ),
    ("schedule-by-step", "the schedule counts steps, not micro-steps", {"clock": lambda self: self.t // self.window()}),
    ("schedule-late", "the schedule one micro-step ahead", {"clock": lambda self: self.t + 1}),
    ("schedule-early", "the schedule one micro-step behind", {"clock": lambda self: max(0, self.t - 1)}),
    ("schedule-no-warm-up", "no (0, 0) in front: constant before the first key", {"points": _no_warm_up}),
    ("schedule-extrapolates", "the last stretch continued after the last key", {"factor": _extrapolated}),
    ("schedule-zero-after-last", "a factor of 0 after the last key", {"factor": _zero_after_last}),
    ("schedule-stepwise", "a staircase for the polyline", {"factor": _stepwise}),
    ("schedule-cosine", "cosine between the keys", {"factor": _cosine}),
    ("schedule-last-key-lost", "the last key ignored", {"points": _last_corner_lost}),
    (
        "schedule-on-biases-missing",
        "the schedule not applied to biases and scales",
        {
            "reach": lambda self, p, role: (
                0.5 * self.base_lr() if role in ("bias", "scale") else TigerPort.reach(self, p, role)
            )
        },
    ),
    ("schedule-squared", "the schedule applied twice", {"lr": lambda self: self.base_lr() * self.factor() ** 2}),
    ("schedule-capped", "the schedule's factor capped at 1", {"factor": lambda self: min(1.0, TigerPort.factor(self))}),
]
