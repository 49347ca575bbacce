"""Heavyball for torch."""

from __future__ import annotations

from typing import Any

from signopt.rules.heavyball import HeavyballCoefficients

from signopt.rules.coefficients import Coefficients
from signopt.torch._base import Group
from signopt.torch._elementwise import ElementwiseOptimizer

__all__ = ["Heavyball"]


class Heavyball(ElementwiseOptimizer):
    """The sign of a heavy-ball momentum."""

    rule = "heavyball"

    def __init__(
        self, params: Any, lr: Any = 1e-4, beta: float = 0.9, weight_decay: float = 0.0, *, momentum_dtype: Any = None
    ) -> None:
        super().__init__(
            params, {"lr": lr, "beta": beta, "weight_decay": weight_decay, "momentum_dtype": momentum_dtype}
        )

    def _coefficients(self, group: Group, step: Any) -> Coefficients:
        return HeavyballCoefficients.of(lr=group["lr"], beta=group["beta"], weight_decay=group["weight_decay"])
