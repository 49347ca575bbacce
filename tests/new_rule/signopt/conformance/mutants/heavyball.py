"""Bugs that only a port of the sign of a heavy-ball momentum can have."""

from __future__ import annotations

from signopt.conformance.mutants.common import common
from signopt.conformance.numpy_ports.variant import Variant, variant

__all__ = ["HEAVYBALL"]

HEAVYBALL: tuple[Variant, ...] = (
    variant(
        "heavyball", "dampened", "m = β·m + (1−β)·g: Signum", remember=lambda self, m, g: self.blend(m, g, self.beta())
    ),
    *common("heavyball"),
)
