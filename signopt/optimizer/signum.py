"""The optimizer Signum."""

from __future__ import annotations

from typing import Any

from signopt import _hyperparameters as hyperparameters
from signopt._hyperparameters import Schedule
from signopt.optimizer._hyperparameter import Hyperparameter
from signopt.optimizer._params import Params
from signopt.optimizer.base import Optimizer
from signopt.rules.coefficients import Coefficients
from signopt.rules.signum import SignumCoefficients

__all__ = ["Signum"]


class Signum(Optimizer):
    """Signum on named parameters, in place. The rule and its arguments are those of :func:`signopt.signum`.

    Parameters are those of :class:`Lion`, with one ``beta`` in place of ``betas``; 0 gives signSGD.

    Examples
    --------
    >>> import numpy as np
    >>> import signopt
    >>> weights = [np.ones(2)]
    >>> signopt.Signum(weights, lr=0.5, beta=0.0).step([np.array([3.0, -3.0])])
    >>> weights[0]
    array([0.5, 1.5])
    """

    rule = "signum"
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
        return SignumCoefficients.of(lr=self._rate(), beta=self.beta, weight_decay=self.weight_decay)
