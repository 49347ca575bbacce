"""Signum: sign of the momentum. With β = 0 it is signSGD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from signopt import _hyperparameters as hyperparameters
from signopt._namespace import Array, Namespace, fence, sign
from signopt.roles import RoleTraits
from signopt.rules._compute import in_compute_dtype
from signopt.rules.coefficients import Coefficients

__all__ = ["SignumCoefficients", "apply_signum", "signum"]


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


def signum(
    param: Array,
    grad: Array,
    momentum: Array,
    *,
    lr: float = 1e-4,
    beta: float = 0.9,
    weight_decay: float = 0.0,
) -> tuple[Array, Array]:
    r"""One Signum update of one array::

        m ← β·m + (1 − β)·g
        p ← p − lr·(sign(m) + λ·p)

    The sign is that of the new momentum, taken in the compute dtype, before the momentum is rounded to storage.

    Parameters
    ----------
    param, grad, momentum : array
        As for :func:`signopt.lion`.
    lr : float or 0-d array, default 1e-4
        Learning rate, zero or positive.
    beta : float, default 0.9
        β in [0, 1). With 0 the update is signSGD.
    weight_decay : float or 0-d array, default 0
        λ, decoupled from the gradient and multiplied by ``lr``.

    Returns
    -------
    param, momentum : array
        New arrays with the dtypes of the old ones; the inputs are left as they were.

    Raises
    ------
    TypeError, ValueError
        As for :func:`signopt.lion`, whose rounding and sign it shares.

    References
    ----------
    Bernstein et al., *signSGD: Compressed Optimisation for Non-Convex Problems*, 2018, https://arxiv.org/abs/1802.04434

    Examples
    --------
    >>> import numpy as np
    >>> import signopt
    >>> param, momentum = signopt.signum(np.array([1.0, 1.0]), np.array([0.5, -2.0]), np.zeros(2), lr=0.25, beta=0.5)
    >>> param
    array([0.75, 1.25])
    >>> momentum
    array([ 0.25, -1.  ])
    """
    coefficients = SignumCoefficients.of(lr=lr, beta=beta, weight_decay=weight_decay)
    return apply_signum(param, grad, momentum, coefficients)


def apply_signum(
    param: Array, grad: Array, momentum: Array, coefficients: SignumCoefficients, traits: RoleTraits | None = None
) -> tuple[Array, Array]:
    """:func:`signum` with its coefficients already formed."""

    def update(xp: Namespace, p: Array, g: Array, m: Array, compute: str) -> tuple[Array, Array]:
        k = coefficients.rounded(compute, xp)
        m = fence(k.B * m) + fence(k.A * g)
        u = sign(xp, m) + fence(k.weight_decay * p)
        return p - fence(k.lr * u), m

    return in_compute_dtype(update, param, grad, momentum)
