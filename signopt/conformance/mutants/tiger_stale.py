"""Tiger's hyperparameters that are read once, and counts that start anew or stand still."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.tiger import TigerPort
from signopt.conformance.numpy_ports.variant import Row
from signopt.conformance.port import Arrays

__all__ = ["STALE"]


def _holds_nan(grads: Arrays) -> bool:
    return any(np.isnan(np.asarray(grad, np.float64)).any() for grad in grads.values())


def _first(key: str) -> Any:
    """``configure`` that leaves one hyperparameter at what it was first."""

    def configure(self: TigerPort, hyper: Any) -> None:
        NumpyPort.configure(self, {**hyper, key: self.first_hyper[key]})

    return configure


def _stale_share(self: TigerPort) -> tuple[float, float]:
    return TigerPort.coefficients(self)[0], (1 - self.beta()) / int(self.first_hyper["accumulation_steps"])


def _configures_anew(self: TigerPort, hyper: Any) -> None:
    NumpyPort.configure(self, hyper)
    self.t = 0


def _scheduled_first_rate(self: TigerPort) -> float:
    stale = self.hyper.get("schedule") is not None
    return float(self.first_hyper["lr"] if stale else self.hyper["lr"]) * self.factor()


def _counts_healthy_steps(self: TigerPort, grads: Arrays) -> None:
    NumpyPort.step(self, grads)
    self.memo["healthy"] = self.memo.get("healthy", 0) + (not _holds_nan(grads))


def _window_of_healthy_steps(self: TigerPort, grads: Arrays) -> None:
    """A NaN anywhere begins all windows anew."""
    NumpyPort.step(self, grads)
    self.memo["window"] = 0 if _holds_nan(grads) else self.memo.get("window", 0) + 1


def _opens_after_nan(self: TigerPort) -> bool:
    return int(self.memo.get("window", 0)) % self.window() == 0


def _closes_after_nan(self: TigerPort) -> bool:
    return (int(self.memo.get("window", 0)) + 1) % self.window() == 0


def _owes_decay(self: TigerPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    """A window whose first micro-step had a NaN decays at its next one."""
    due = self.memo.get(name, False) or self.opens()
    self.memo[name] = bool(due and np.isnan(g).any())
    self.memo["due"] = due
    return TigerPort.update(self, name, p, g, m)


def _owed_coefficients(self: TigerPort) -> tuple[float, float]:
    return (self.beta() if self.memo["due"] else 1.0), TigerPort.coefficients(self)[1]


STALE: list[Row] = [
    (
        "window-count-of-eight-bits",
        "micro-steps counted in eight bits: after 256 a window is cut short",
        {"opens": lambda self: self.t % 256 % self.window() == 0},
    ),
    (
        "window-clips-momentum",
        "momentum clipped to ±1e4 where k > 1",
        {
            "remember": lambda self, m, g: np.clip(
                TigerPort.remember(self, m, g), *((-1e4, 1e4) if self.window() > 1 else (-np.inf, np.inf))
            ).astype(m.dtype)
        },
    ),
    ("window-stale", "a changed window ignored", {"configure": _first("accumulation_steps")}),
    ("window-share-stale", "1/k of the first window kept after a change", {"coefficients": _stale_share}),
    ("window-restarts-at-change", "a change of hyperparameters begins a new window", {"configure": _configures_anew}),
    ("nan-shrink-stale", "a changed shrink ignored", {"configure": _first("shrink")}),
    ("schedule-stale", "a changed schedule ignored", {"configure": _first("schedule")}),
    ("schedule-first-rate", "a schedule on the first learning rate", {"lr": _scheduled_first_rate}),
    (
        "schedule-skips-nan",
        "a NaN micro-step not counted by the schedule",
        {"step": _counts_healthy_steps, "clock": lambda self: self.memo.get("healthy", 0)},
    ),
    (
        "nan-restarts-windows",
        "a NaN anywhere begins all windows anew",
        {"step": _window_of_healthy_steps, "opens": _opens_after_nan, "closes": _closes_after_nan},
    ),
    (
        "nan-owes-decay",
        "the decay that a NaN skips made up for at the next micro-step",
        {"update": _owes_decay, "coefficients": _owed_coefficients},
    ),
]
