"""The sign of a heavy-ball momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from signopt import _hyperparameters as hyperparameters
from signopt._namespace import Array, Namespace, fence, sign
from signopt.roles import RoleTraits
from signopt.rules._compute import in_compute_dtype
from signopt.rules.coefficients import Coefficients

__all__ = ["HeavyballCoefficients", "apply_heavyball", "heavyball"]


@dataclass(frozen=True)
class HeavyballCoefficients(Coefficients):
    """m ← B·m + g."""

    rule = "heavyball"

    lr: float
    B: float
    weight_decay: float

    @classmethod
    def of(cls, *, lr: float, beta: float, weight_decay: float) -> Self:
        """Check the hyperparameters and form the coefficients."""
        return cls(
            lr=hyperparameters.learning_rate(lr),
            B=hyperparameters.one_beta(beta),
            weight_decay=hyperparameters.weight_decay(weight_decay),
        )


def heavyball(
    param: Array,
    grad: Array,
    momentum: Array,
    *,
    lr: float = 1e-4,
    beta: float = 0.9,
    weight_decay: float = 0.0,
) -> tuple[Array, Array]:
    """One update of one array: m ← β·m + g; p ← p − lr·(sign(m) + λ·p)."""
    coefficients = HeavyballCoefficients.of(lr=lr, beta=beta, weight_decay=weight_decay)
    return apply_heavyball(param, grad, momentum, coefficients)


def apply_heavyball(
    param: Array, grad: Array, momentum: Array, coefficients: HeavyballCoefficients, traits: RoleTraits | None = None
) -> tuple[Array, Array]:
    """:func:`heavyball` with its coefficients already formed."""

    def update(xp: Namespace, p: Array, g: Array, m: Array, compute: str) -> tuple[Array, Array]:
        k = coefficients.rounded(compute, xp)
        m = fence(k.B * m) + g
        u = sign(xp, m) + fence(k.weight_decay * p)
        return p - fence(k.lr * u), m

    return in_compute_dtype(update, param, grad, momentum)
