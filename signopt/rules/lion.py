"""Lion: EvoLved Sign Momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from signopt import _hyperparameters as hyperparameters
from signopt._namespace import Array, Namespace, fence, sign
from signopt.roles import RoleTraits
from signopt.rules._compute import in_compute_dtype
from signopt.rules.coefficients import Coefficients

__all__ = ["LionCoefficients", "apply_lion", "lion"]


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


def lion(
    param: Array,
    grad: Array,
    momentum: Array,
    *,
    lr: float = 1e-4,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
) -> tuple[Array, Array]:
    r"""One Lion update of one array::

        c  = β1·m + (1 − β1)·g
        p ← p − lr·(sign(c) + λ·p)
        m ← β2·m + (1 − β2)·g

    The step follows the sign of an average that leans on the new gradient (β1), while the momentum that is kept has a
    longer memory (β2). Both use the momentum as it was before. Every element of ``param`` moves by ``lr``, apart from
    decay: learning rates are 3 to 10 times smaller than AdamW's, and weight decay as much larger.

    Parameters
    ----------
    param, grad, momentum : array
        Of one shape, namespace and device; float64, float32, float16 or bfloat16. ``grad`` has the dtype of ``param``;
        ``momentum`` may have its own, not wider than the compute dtype. Momentum starts at zero. Python floats and
        NumPy scalars are taken as 0-d.
    lr : float or 0-d array, default 1e-4
        Learning rate, zero or positive.
    betas : (float, float), default (0.9, 0.99)
        β1 and β2 in [0, 1). The authors advise (0.95, 0.98) for language tasks.
    weight_decay : float or 0-d array, default 0
        λ, decoupled from the gradient and multiplied by ``lr``.

        A 0-d array, of any library, stands for the number that it holds: 1e-3 in float32 is not the float 1e-3. Only a
        traced one, under ``jax.jit`` say, must be of the library of ``param``; its range is not checked.

    Returns
    -------
    param, momentum : array
        New arrays with the dtypes of the old ones; the inputs are left as they were.

    Raises
    ------
    TypeError
        For integer, complex or mixed dtypes, mixed namespaces, or a hyperparameter that is no number.
    ValueError
        For mixed shapes or devices, or a hyperparameter outside its range.

    Notes
    -----
    Computed in float64 for float64 and in float32 for all else. Coefficients are formed in binary64 and rounded once;
    each sum and product is rounded by itself in the order written; results are rounded once to storage. sign(±0) = 0
    and sign(NaN) = NaN. The bracket is kept as written also for λ = 0, so an infinite parameter becomes NaN. Under
    ``jax.jit`` and on any number of devices the bits are the same.

    References
    ----------
    Chen et al., *Symbolic Discovery of Optimization Algorithms*, 2023, Algorithm 2, https://arxiv.org/abs/2302.06675

    Examples
    --------
    >>> import numpy as np
    >>> import signopt
    >>> param, momentum = signopt.lion(np.array([1.0, 1.0]), np.array([0.5, 0.0]), np.zeros(2), lr=0.25)
    >>> param
    array([0.75, 1.  ])
    >>> momentum
    array([0.005, 0.   ])
    """
    coefficients = LionCoefficients.of(lr=lr, betas=betas, weight_decay=weight_decay)
    return apply_lion(param, grad, momentum, coefficients)


def apply_lion(
    param: Array, grad: Array, momentum: Array, coefficients: LionCoefficients, traits: RoleTraits | None = None
) -> tuple[Array, Array]:
    """:func:`lion` with its coefficients already formed."""

    def update(xp: Namespace, p: Array, g: Array, m: Array, compute: str) -> tuple[Array, Array]:
        k = coefficients.rounded(compute, xp)
        c = fence(k.B1 * m) + fence(k.A1 * g)
        u = sign(xp, c) + fence(k.weight_decay * p)
        return p - fence(k.lr * u), fence(k.B2 * m) + fence(k.A2 * g)

    return in_compute_dtype(update, param, grad, momentum)
