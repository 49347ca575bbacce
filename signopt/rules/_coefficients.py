"""The numbers that multiply arrays: formed in binary64, rounded once to the compute dtype."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import numpy as np

from signopt import _hyperparameters as hyperparameters
from signopt._hyperparameters import Schedule
from signopt.schedules import factor_at

__all__ = ["Coefficients", "LionCoefficients", "SignumCoefficients", "TigerCoefficients"]


@dataclass(frozen=True)
class Coefficients:
    """The numbers of one step of one rule; every field is rounded but flags, which are no numbers."""

    rule: ClassVar[str]

    @classmethod
    def numbers(cls) -> list[str]:
        """The names of the fields that multiply arrays."""
        return [field.name for field in fields(cls) if field.type != "bool"]

    def rounded(self, compute: str) -> Self:
        """These coefficients, each rounded once to the compute dtype (``"float64"`` or ``"float32"``)."""
        if compute == "float64":
            return self
        with np.errstate(over="ignore"):
            return replace(self, **{name: float(np.float32(getattr(self, name))) for name in self.numbers()})


@dataclass(frozen=True)
class LionCoefficients(Coefficients):
    """c = B1·m + A1·g and m ← B2·m + A2·g, with A = 1 − B."""

    rule = "lion"

    lr: float
    B1: float
    A1: float
    B2: float
    A2: float
    weight_decay: float

    @classmethod
    def of(cls, *, lr: float, betas: tuple[float, float], weight_decay: float) -> Self:
        """Check the hyperparameters and form the coefficients."""
        beta1, beta2 = hyperparameters.betas(betas)
        return cls(
            lr=hyperparameters.learning_rate(lr),
            B1=beta1,
            A1=1.0 - beta1,
            B2=beta2,
            A2=1.0 - beta2,
            weight_decay=hyperparameters.weight_decay(weight_decay),
        )


@dataclass(frozen=True)
class SignumCoefficients(Coefficients):
    """m ← B·m + A·g, with A = 1 − B."""

    rule = "signum"

    lr: float
    B: float
    A: float
    weight_decay: float

    @classmethod
    def of(cls, *, lr: float, beta: float, weight_decay: float) -> Self:
        """Check the hyperparameters and form the coefficients."""
        beta = hyperparameters.one_beta(beta)
        return cls(
            lr=hyperparameters.learning_rate(lr),
            B=beta,
            A=1.0 - beta,
            weight_decay=hyperparameters.weight_decay(weight_decay),
        )


@dataclass(frozen=True)
class TigerCoefficients(Coefficients):
    """m ← b1·m + b2·g at one micro-step, and whether this micro-step ends its window, so that the parameter moves.

    ``lr`` is the learning rate times the schedule's factor at this micro-step.
    """

    rule = "tiger"

    lr: float
    b1: float
    b2: float
    weight_decay: float
    shrink: float
    moves: bool

    @classmethod
    def of(
        cls,
        *,
        step: int,
        lr: float,
        beta: float,
        weight_decay: float,
        accumulation_steps: int,
        shrink: float,
        schedule: Schedule,
    ) -> Self:
        """Check the hyperparameters and form the coefficients of micro-step ``step``."""
        step = hyperparameters.micro_step(step)
        beta = hyperparameters.one_beta(beta)
        window = hyperparameters.accumulation_steps(accumulation_steps)
        factor = factor_at(hyperparameters.schedule(schedule), step)
        return cls(
            lr=hyperparameters.learning_rate(lr) * factor,
            b1=beta if step % window == 0 else 1.0,
            b2=(1.0 - beta) / window,
            weight_decay=hyperparameters.weight_decay(weight_decay),
            shrink=hyperparameters.shrink(shrink),
            moves=(step + 1) % window == 0,
        )
