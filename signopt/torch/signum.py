"""Signum for torch."""

from __future__ import annotations

from typing import Any

from signopt.rules.coefficients import Coefficients
from signopt.rules.signum import SignumCoefficients
from signopt.torch._elementwise import ElementwiseOptimizer
from signopt.torch._state import Group

__all__ = ["Signum"]


class Signum(ElementwiseOptimizer):
    """Signum as a :class:`torch.optim.Optimizer`. The rule and its arguments are those of :func:`signopt.signum`.

    Parameters are those of :class:`signopt.torch.Lion`, with one ``beta`` in place of ``betas``; 0 gives signSGD.

    Examples
    --------
    >>> import torch
    >>> import signopt.torch
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.grad = torch.tensor([3.0, -3.0])
    >>> signopt.torch.Signum([weight], lr=0.5, beta=0.0).step()
    >>> weight.tolist()
    [0.5, 1.5]
    """

    rule = "signum"

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-4,
        beta: float = 0.9,
        weight_decay: float = 0.0,
        *,
        momentum_dtype: Any = None,
        rounding: str = "nearest",
        seed: int = 0,
    ) -> None:
        storage = {"momentum_dtype": momentum_dtype, "rounding": rounding, "seed": seed}
        super().__init__(params, {"lr": lr, "beta": beta, "weight_decay": weight_decay, **storage})

    def _coefficients(self, group: Group, step: Any) -> Coefficients:
        return SignumCoefficients.of(lr=group["lr"], beta=group["beta"], weight_decay=group["weight_decay"])
