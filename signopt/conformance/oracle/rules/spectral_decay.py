"""Spectral-norm decay: the direction in which a matrix decays by its largest singular value."""

from __future__ import annotations

from dataclasses import dataclass, field

from signopt.conformance.oracle.habits import Habits, one_of, whole
from signopt.conformance.oracle.rules._rule import Rule

__all__ = ["SPECTRAL_DECAY"]


@dataclass(frozen=True)
class SpectralHabits(Habits):
    """What a port of the rule may declare.

    Attributes
    ----------
    method : {"power", "svd"}
        "power": ``rounds`` rounds of the power iteration from a vector of ones. "svd": any unit singular vectors of σ₁.
    rounds : int, default 10
    """

    method: str = one_of("power", "svd")
    rounds: int = field(default=10, metadata={"read": whole})


class SpectralDecay(Rule):
    """No optimizer: a port has ``describe()`` and ``decay(matrix)``, which returns D."""

    name = "spectral-decay"
    sources = ("https://kexue.fm/archives/10648", "https://arxiv.org/abs/1705.10941")
    habits = SpectralHabits


SPECTRAL_DECAY = SpectralDecay()
