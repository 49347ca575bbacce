"""What a matrix decays by: itself, or the gradient of half its squared spectral norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.spectral import leading_decay, power_decay
from signopt.conformance.oracle.muon.units import Precision

__all__ = ["PLAIN", "Decay"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Decay:
    """The D in θ − η(sX + λD): "plain", "spectral" (power iteration from ones) or "spectral-svd" (σ₁·u·vᵀ)."""

    form: str = "plain"
    rounds: int = 10

    def of(self, matrix: Array, precision: Precision) -> tuple[Block, float]:
        """The exact D of a matrix, and the radius of legal ones in Frobenius norm; infinite where none is known."""
        if self.form == "plain":
            return Block.of(matrix), 0.0
        unit = precision.elementwise
        if self.form == "spectral-svd":
            return leading_decay(matrix, unit)
        room = None if precision.scaled else int(precision.compute.emax) // 2 - 10
        return power_decay(matrix, self.rounds, unit, room)


PLAIN = Decay()
