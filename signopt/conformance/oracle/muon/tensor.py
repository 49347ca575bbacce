"""One tensor of a step of Muon, and how what is wrong with it is worded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from signopt.conformance.oracle.formats import Format
from signopt.conformance.oracle.muon.law import Known
from signopt.conformance.oracle.step import Fault

__all__ = ["Tensor", "distant_fault", "outside", "plain_fault", "rounded_otherwise"]

Array = np.ndarray[Any, Any]
MOST_FAULTS = 3
_ON_THE_WAY = 2.0**-23
"""Of a result: what passing through float32 may change before it is rounded to 16 bits."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a step, in float64; ``old_m`` and ``new_m`` are None if the momentum is hidden."""

    name: str
    p: Array
    g: Array
    known: Known | None
    old_m: Array | None
    new_p: Array
    new_m: Array | None
    storage: Format
    momentum: Format


def rounded_otherwise(
    tensor: Tensor, quantity: str, got: Array, exact: Array, away: Array, storage: Format
) -> list[Fault]:
    away = away + _ON_THE_WAY * np.abs(exact)
    low, high = ((exact + side * away).astype(np.float32).astype(storage.dtype).astype(np.float64) for side in (-1, 1))
    outside = np.flatnonzero(~((low <= got) & (got <= high)).ravel())[:MOST_FAULTS]
    what = "parameter" if quantity == "param" else quantity
    message = f"the {what} is not the exact value rounded once to {storage.name}, to nearest"
    return [
        plain_fault(tensor, quantity, at, got, f"{float(low.flat[at]).hex()} … {float(high.flat[at]).hex()}", message)
        for at in outside.tolist()
    ]


def outside(tensor: Tensor, quantity: str, got: Array, exact: Array, far: Array, slack: Array) -> Iterator[Fault]:
    """The first few elements that are further from the exact value than any legal evaluation."""
    for at in np.flatnonzero(~(far.ravel() <= slack.ravel()))[:MOST_FAULTS].tolist():
        off, legal = float(far.flat[at]), float(slack.flat[at])
        what = "parameter" if quantity == "param" else quantity
        message = f"the {what} is off by {off:.3g}; legal rounding reaches {legal:.3g}"
        yield distant_fault(tensor, quantity, at, got, exact, slack, message)


def distant_fault(
    tensor: Tensor, quantity: str, at: int, got: Array, exact: Array, slack: Array, message: str
) -> Fault:
    middle, legal = float(exact.flat[at]), float(slack.flat[at])
    return plain_fault(tensor, quantity, at, got, f"{(middle - legal).hex()} … {(middle + legal).hex()}", message)


def plain_fault(tensor: Tensor, quantity: str, at: int, got: Array, allowed: str, message: str) -> Fault:
    m = np.nan if tensor.known is None else float(tensor.known.value.floats().flat[at])
    inputs = {"p": float(tensor.p.flat[at]).hex(), "g": float(tensor.g.flat[at]).hex(), "m": float(m).hex()}
    index = tuple(int(i) for i in np.unravel_index(at, tensor.p.shape))
    return Fault(tensor.name, index, quantity, allowed, float(got.flat[at]).hex(), message, inputs)
