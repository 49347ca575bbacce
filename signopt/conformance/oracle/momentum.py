"""What is known of a momentum: two ends that enclose every legal one, equal if the port shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from signopt.conformance.oracle.formats import Format

__all__ = ["Floats", "Mask", "Momentum", "joined"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Momentum:
    """The momentum of one tensor as float64: two ends, the same array if the port shows it, and its format."""

    low: Floats
    high: Floats
    storage: Format

    @property
    def known(self) -> Mask:
        """Where both ends are one number."""
        return np.asarray(self.low == self.high)

    def cut(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Momentum]:
        """A joined momentum cut into tensors again."""
        at, pieces = 0, {}
        for name, shape in shapes.items():
            end = at + math.prod(shape)
            low = self.low[at:end].reshape(shape)
            high = low if self.high is self.low else self.high[at:end].reshape(shape)
            pieces[name], at = Momentum(low, high, self.storage), end
        return pieces

    @classmethod
    def shown(cls, values: Any, storage: Format) -> Momentum:
        """As a port shows it."""
        wide = np.asarray(values).astype(np.float64)
        return cls(wide, wide, storage)


def joined(pieces: list[Momentum]) -> Momentum:
    """Several tensors' momenta as one flat one; known where all of them are."""
    low = np.concatenate([piece.low.ravel() for piece in pieces])
    if all(piece.low is piece.high or np.array_equal(piece.low, piece.high) for piece in pieces):
        return Momentum(low, low, pieces[0].storage)
    return Momentum(low, np.concatenate([piece.high.ravel() for piece in pieces]), pieces[0].storage)
