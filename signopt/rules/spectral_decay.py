"""The gradient of half the squared spectral norm, by which a matrix decays where only its largest σ should shrink."""

from __future__ import annotations

from signopt import _hyperparameters as hyperparameters
from signopt._namespace import Array, Namespace
from signopt.rules._matrices import matmul, nan_unless_finite, power_of_two, transpose
from signopt.rules._svd import svd
from signopt.rules.newton_schulz import on_matrices

__all__ = ["ROUNDS", "spectral_decay", "spectral_part"]

METHODS = ("power", "svd")
ROUNDS = 10


def spectral_decay(
    matrix: Array, *, rounds: int = ROUNDS, method: str = "power", batch_axis: int | None = None
) -> Array:
    r"""The part of a matrix that spectral-norm decay takes away::

        D = W·x·xᵀ/(xᵀ·x),   x = (Wᵀ·W)^rounds·1

    With enough rounds x turns into the first right singular vector, and D into σ1·u1·v1ᵀ, the gradient of ½‖W‖₂², as
    W itself is that of ½‖W‖_F², the decay of every other optimizer. Ten rounds are not convergence: ‖D − σ1·u1·v1ᵀ‖/σ1
    is 2e-6, 0.29 and 1.2 where σ2/σ1 is 0.5, 0.9 and 0.99. ``"svd"`` gives the gradient itself. Either is safe: for
    0 ≤ c ≤ 2, W − c·D has no larger spectral norm than W, whatever x is.

    Parameters
    ----------
    matrix : array
        As for :func:`signopt.msign`.
    rounds : int, default 10
        Of the power iteration, from a vector of ones; 0 or more.
    method : {"power", "svd"}
    batch_axis : int, optional
        The axis along which ``matrix`` stacks matrices.

    Returns
    -------
    array
        D, with the shape and dtype of ``matrix``.

    Raises
    ------
    TypeError, ValueError
        As for :func:`signopt.msign`.

    Notes
    -----
    Computed in float64 for float64 and in float32 for all else; x is normalised every round, and the matrix scaled by a
    power of two if squares would overflow or underflow. A zero matrix gives zeros, and so does one of which the
    vector of ones is in the null space. A single row or column gives itself, which is plain decay. One NaN or Inf makes
    all of D NaN. If σ1 is tied, ``"power"`` takes the projection of the vector of ones, and ``"svd"`` any vector.

    References
    ----------
    Yoshida and Miyato, *Spectral Norm Regularization*, 2017, https://arxiv.org/abs/1705.10941;
    Su, https://kexue.fm/archives/10648

    Examples
    --------
    >>> import numpy as np
    >>> import signopt
    >>> signopt.spectral_decay(np.diag([4.0, 1.0])).round(4) + 0.0
    array([[4., 0.],
           [0., 0.]])
    """
    method = hyperparameters.one_of(method, METHODS, "method")
    rounds = hyperparameters.non_negative_integer(rounds, "rounds")

    def part(xp: Namespace, matrices: Array, compute: str) -> Array:
        if method == "power":
            return spectral_part(xp, matrices, rounds, compute)
        u, s, v = svd(xp, matrices)
        first = u[..., :, 0:1] * (s[..., None, 0:1] * v[..., 0:1, :])
        return nan_unless_finite(xp, first, matrices)

    return on_matrices(part, matrix, batch_axis)


def spectral_part(xp: Namespace, matrices: Array, rounds: int, compute: str) -> Array:
    """D of each matrix, by the power iteration."""
    scale = power_of_two(xp, matrices, compute)
    w = matrices * scale
    x = transpose(xp, xp.ones_like(w[..., 0:1, :]))
    for _ in range(rounds):
        x = matmul(xp, transpose(xp, w), matmul(xp, w, x))
        x = x / _or_one(xp, xp.max(xp.abs(x), axis=-2, keepdims=True))
    square = xp.sum(x * x, axis=-2, keepdims=True)
    if 1 in w.shape[-2:]:
        part = xp.where(square > 0, w, xp.zeros_like(w))
    else:
        part = (matmul(xp, w, x) / _or_one(xp, square)) * transpose(xp, x)
    return nan_unless_finite(xp, part / scale, matrices)


def _or_one(xp: Namespace, divisor: Array) -> Array:
    return xp.where(divisor == 0, xp.ones_like(divisor), divisor)
