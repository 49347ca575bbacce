"""Muon: momentum, orthogonalized by Newton and Schulz."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from signopt import _hyperparameters as hyperparameters
from signopt._namespace import Array, Namespace, fence
from signopt.roles import RoleTraits
from signopt.rules._compute import in_compute_dtype
from signopt.rules._matrices import as_matrices, from_matrices, matrix_shape
from signopt.rules.coefficients import Coefficients
from signopt.rules.newton_schulz import JORDAN, Triple, direction, newton_schulz, triples_for
from signopt.rules.spectral_decay import ROUNDS, spectral_part

__all__ = ["ADJUSTMENTS", "DECAYS", "MuonCoefficients", "adjustment", "apply_muon", "decay_of", "muon"]

ADJUSTMENTS = ("original", "match_rms_adamw")
DECAYS = ("plain", "spectral")


@dataclass(frozen=True)
class MuonCoefficients(Coefficients):
    """m ← B·m + A·g with A = 1 − B, and what the iteration, the scale and the decay are."""

    rule = "muon"

    lr: float
    B: float
    A: float
    weight_decay: float
    eps: float
    nesterov: bool
    triples: tuple[Triple, ...]
    adjust_lr_fn: str
    decay: str
    batch_axis: int | None

    @classmethod
    def of(
        cls,
        *,
        lr: float,
        beta: float,
        weight_decay: float,
        nesterov: bool,
        ns_coefficients: Any,
        ns_steps: int,
        eps: float,
        adjust_lr_fn: str | None,
        decay: str,
        batch_axis: int | None,
    ) -> Self:
        """Check the hyperparameters and form the coefficients."""
        beta = hyperparameters.one_beta(beta)
        return cls(
            lr=hyperparameters.learning_rate(lr),
            B=beta,
            A=1.0 - beta,
            weight_decay=hyperparameters.weight_decay(weight_decay),
            eps=hyperparameters.eps(eps),
            nesterov=hyperparameters.flag(nesterov, "nesterov"),
            triples=triples_for(ns_coefficients, ns_steps),
            adjust_lr_fn=adjustment(adjust_lr_fn),
            decay=decay_of(decay),
            batch_axis=hyperparameters.axis(batch_axis, "batch_axis"),
        )

    def rounded(self, compute: str, xp: Namespace | None = None) -> Self:
        """These coefficients, those of the iteration too, each rounded once to the compute dtype."""
        if compute == "float64":
            return super().rounded(compute, xp)
        with np.errstate(over="ignore"):
            triples: Any = tuple(tuple(float(np.float32(number)) for number in triple) for triple in self.triples)
        return replace(super().rounded(compute, xp), triples=triples)

    def scale(self, shape: tuple[int, ...], compute: str) -> float:
        """s of a parameter of ``shape``, rounded once to the compute dtype."""
        rows, cols = matrix_shape(shape, self.batch_axis, "param")
        squared = max(1.0, rows / cols) if self.adjust_lr_fn == "original" else float(max(rows, cols))
        exact = math.sqrt(squared) * (1.0 if self.adjust_lr_fn == "original" else 0.2)
        return exact if compute == "float64" else float(np.float32(exact))


def adjustment(value: Any, name: str = "adjust_lr_fn") -> str:
    """``"original"``, for which None stands too, or ``"match_rms_adamw"``."""
    return hyperparameters.one_of("original" if value is None else value, ADJUSTMENTS, name)


def decay_of(value: Any, name: str = "decay") -> str:
    """``"plain"`` or ``"spectral"``."""
    return hyperparameters.one_of(value, DECAYS, name)


def muon(
    param: Array,
    grad: Array,
    momentum: Array,
    *,
    lr: float = 1e-3,
    beta: float = 0.95,
    weight_decay: float = 0.1,
    nesterov: bool = True,
    ns_coefficients: Any = JORDAN,
    ns_steps: int = 5,
    eps: float = 1e-7,
    adjust_lr_fn: str | None = "original",
    decay: str = "plain",
    batch_axis: int | None = None,
) -> tuple[Array, Array]:
    r"""One Muon update of one matrix of rows × cols::

        m ← β·m + (1 − β)·g
        u  = (1 − β)·g + β·m                         with the new m; u = m without nesterov
        X  = u/(‖u‖_F + ε)
        X ← a·X + (b·A + c·A²)·X,  A = X·Xᵀ          ns_steps times
        p ← p − lr·(s·X + λ·D)

        s  = √max(1, rows/cols)                      adjust_lr_fn "original"
        s  = 0.2·√max(rows, cols)                    "match_rms_adamw"
        D  = p, or spectral_decay(p)                 decay "plain", "spectral"

    The matrix counterpart of Signum: sign(u) moves every element by the same amount, and U·Vᵀ of u = U·Σ·Vᵀ every
    direction. Scaled by "match_rms_adamw" an update is as large as AdamW's, so that its rates can be taken over.

    Parameters
    ----------
    param, grad, momentum : array
        As for :func:`signopt.lion`, of two axes or more. With more than two they are the matrix (shape[0], product of
        the rest) in C order, whose shape is also what s is taken from. rows are outputs, as in torch; for kernels
        (in, out), as in JAX, pass the transposes.
    lr : float, default 1e-3
        Learning rate, zero or positive; of the decay too, which s does not scale.
    beta : float, default 0.95
        β in [0, 1).
    weight_decay : float, default 0.1
        λ, decoupled from the gradient and multiplied by ``lr``.
    nesterov : bool, default True
        Whether the update looks ahead.
    ns_coefficients, ns_steps, eps
        Of the iteration: see :func:`signopt.msign`.
    adjust_lr_fn : {"original", "match_rms_adamw"}, optional
        None is "original".
    decay : {"plain", "spectral"}
        What decays: the parameter, or its leading singular part (:func:`signopt.spectral_decay`, ten rounds).
    batch_axis : int, optional
        The axis along which the arrays stack matrices, each of which is updated by itself.

    Returns
    -------
    param, momentum : array
        New arrays with the dtypes of the old ones; the inputs are left as they were.

    Raises
    ------
    TypeError
        As for :func:`signopt.lion`.
    ValueError
        As there; and for arrays of fewer than two axes, fewer triples than steps, or an unknown name.

    Notes
    -----
    Names and defaults are those of ``torch.optim.Muon``, whose ``momentum`` is ``beta`` here. Momentum, look-ahead and
    the last line are rounded as :func:`signopt.lion` is, and equal to the bit on every library and backend; u is made
    from the momentum before that is rounded to storage. The order of the sums in a matrix product belongs to the
    library, so X is within rounding of the exact iterate. A zero u makes X zero, and p only decays. One NaN or Inf in u
    makes all of p NaN, and m only where it is. An array without elements is returned as it is.

    References
    ----------
    Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024,
    https://kellerjordan.github.io/posts/muon; Liu et al., *Muon is Scalable for LLM Training*, 2025,
    https://arxiv.org/abs/2502.16982; Su, https://kexue.fm/archives/10592

    Examples
    --------
    An orthogonal matrix times any number has equal singular values, so its update is a multiple of it:

    >>> import numpy as np
    >>> import signopt
    >>> grad = 5 * np.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> param, momentum = signopt.muon(np.zeros((2, 2)), grad, np.zeros((2, 2)), lr=1.0)
    >>> param.round(4) + 0.0
    array([[ 0.    , -1.1081],
           [ 1.1081,  0.    ]])
    >>> momentum
    array([[ 0.  ,  0.25],
           [-0.25,  0.  ]])
    """
    coefficients = MuonCoefficients.of(
        lr=lr,
        beta=beta,
        weight_decay=weight_decay,
        nesterov=nesterov,
        ns_coefficients=ns_coefficients,
        ns_steps=ns_steps,
        eps=eps,
        adjust_lr_fn=adjust_lr_fn,
        decay=decay,
        batch_axis=batch_axis,
    )
    return apply_muon(param, grad, momentum, coefficients)


def apply_muon(
    param: Array, grad: Array, momentum: Array, coefficients: MuonCoefficients, traits: RoleTraits | None = None
) -> tuple[Array, Array]:
    """:func:`muon` with its coefficients already formed."""

    def update(xp: Namespace, p: Array, g: Array, m: Array, compute: str) -> tuple[Array, Array]:
        k = coefficients.rounded(compute, xp)
        shape = tuple(p.shape)
        p, g, m = (as_matrices(xp, array, k.batch_axis, "param") for array in (p, g, m))
        if 0 not in shape:
            m = fence(k.B * m) + fence(k.A * g)
            u = fence(k.A * g) + fence(k.B * m) if k.nesterov else m
            x = newton_schulz(xp, direction(xp, u, k.eps, compute), k.triples)
            d = p if k.decay == "plain" else spectral_part(xp, p, ROUNDS, compute)
            p = p - fence(k.lr * (fence(k.scale(shape, compute) * x) + fence(k.weight_decay * d)))
        new_p, new_m = (from_matrices(xp, array, shape, k.batch_axis) for array in (p, m))
        return new_p, new_m

    return in_compute_dtype(update, param, grad, momentum)
