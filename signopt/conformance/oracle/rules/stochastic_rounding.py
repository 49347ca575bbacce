"""Stochastic rounding of float32 to bfloat16: of two neighbours the further from zero, with exact probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from signopt.conformance.oracle.habits import Habits, one_of
from signopt.conformance.oracle.rules._rule import Rule

__all__ = ["STOCHASTIC_ROUNDING", "RoundingHabits", "StochasticRounding"]


@dataclass(frozen=True)
class RoundingHabits(Habits):
    """What a port may declare: ``subnormals`` "flush" makes subnormal arguments, and results, 0."""

    subnormals: str = one_of("keep", "flush")


class StochasticRounding(Rule):
    """A port has ``round(x)``, each call of which is a new step, and perhaps ``round_with(x, words)``."""

    name = "stochastic-rounding"
    sources = (
        "Connolly, Higham, Mary, Stochastic rounding and its probabilistic backward error analysis, 2021",
        "https://doi.org/10.1137/20M1334796",
    )
    habits = RoundingHabits
    dtypes = ("float32",)


STOCHASTIC_ROUNDING = StochasticRounding()
