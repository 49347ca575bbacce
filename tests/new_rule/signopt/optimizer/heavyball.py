"""The optimizer Heavyball."""

from __future__ import annotations

from typing import Any

from signopt.rules.heavyball import HeavyballCoefficients

from signopt import _hyperparameters as hyperparameters
from signopt._hyperparameters import Schedule
from signopt.optimizer._hyperparameter import Hyperparameter
from signopt.optimizer._params import Params
from signopt.optimizer.base import Optimizer
from signopt.rules.coefficients import Coefficients

__all__ = ["Heavyball"]


class Heavyball(Optimizer):
    """The sign of a heavy-ball momentum."""

    rule = "heavyball"
    beta = Hyperparameter(hyperparameters.one_beta, "β in [0, 1).")

    def __init__(
        self,
        params: Params,
        *,
        lr: float = 1e-4,
        beta: float = 0.9,
        weight_decay: float = 0.0,
        schedule: Schedule = None,
        backend: str = "auto",
        momentum_dtype: Any = None,
        rounding: str = "nearest",
        seed: int = 0,
    ) -> None:
        hyper = {"lr": lr, "beta": beta, "weight_decay": weight_decay, "schedule": schedule}
        super().__init__(params, hyper, backend=backend, momentum_dtype=momentum_dtype, rounding=rounding, seed=seed)

    def _coefficients(self) -> Coefficients:
        return HeavyballCoefficients.of(lr=self._rate(), beta=self.beta, weight_decay=self.weight_decay)
