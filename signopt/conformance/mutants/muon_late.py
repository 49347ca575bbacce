"""Wrong Muons that go wrong after hundreds of steps, also with a momentum that nobody sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.numpy_ports.pieces import Pair
from signopt.conformance.numpy_ports.variant import Row

__all__ = ["LATE"]

_HIDDEN: dict[str, Any] = {"momentum": lambda self: None}


def _reset(every: int) -> dict[str, Any]:
    """The momentum zeroed at every so many-th step."""

    def tamper(self: MuonPort, name: str, old: Pair, new: Pair) -> Pair:
        return new[0], new[1] * new[1].dtype.type(self.t % every != every - 1)

    return {"tamper": tamper}


def _later(name: str, when: int, change: Callable[[float], float]) -> dict[str, Any]:
    """A hyperparameter that is another after so many steps."""

    def given(self: MuonPort) -> float:
        value = float(self.hyper[name])
        return value if self.t < when else change(value)

    return {{"lr": "base_lr", "weight_decay": "wd", "beta": "beta"}[name]: given}


_BUGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("reset-every-thousandth", "momentum zeroed at every thousandth step", _reset(1000)),
    ("reset-every-512th", "momentum zeroed at every 512th step", _reset(512)),
    ("beta-late", "a smaller β after two hundred steps", _later("beta", 200, lambda beta: 0.98 * beta)),
    ("beta-larger-late", "a larger β after eight hundred steps", _later("beta", 800, lambda beta: (1 + beta) / 2)),
    ("decay-fades-late", "half of the decay after nine hundred steps", _later("weight_decay", 900, lambda wd: wd / 2)),
    ("rate-late", "a tenth less of the rate after a thousand steps", _later("lr", 1000, lambda lr: 0.9 * lr)),
)

LATE: list[Row] = [
    *((f"late-hidden-{key}", f"{summary}, the momentum hidden", pieces | _HIDDEN) for key, summary, pieces in _BUGS),
    *((f"late-{key}", summary, pieces) for key, summary, pieces in _BUGS[3:]),
]  # fmt: skip
