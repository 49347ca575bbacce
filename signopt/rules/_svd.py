"""The singular value decomposition, which array libraries spell differently."""

from __future__ import annotations

from typing import Any

from array_api_compat import is_dask_namespace

from signopt._namespace import Array, Namespace, cast

__all__ = ["svd"]


def svd(xp: Namespace, matrices: Array) -> tuple[Array, Array, Array]:
    """U, Σ and Vᵀ of each matrix, without what belongs to singular values that are zero but for rounding.

    Their columns of U are zero. If an element is not finite, zeros are decomposed in the matrix' place: LAPACK's
    routines may raise otherwise, or not return.
    """
    finite = xp.all(xp.isfinite(matrices), axis=(-2, -1), keepdims=True)
    u, s, v = _svd(xp, xp.where(finite, matrices, xp.zeros_like(matrices)))
    noise = max(matrices.shape[-2:]) * float(xp.finfo(matrices.dtype).eps)
    counts = s > noise * xp.max(s, axis=-1, keepdims=True)
    return u * cast(xp, xp.expand_dims(counts, axis=-2), u.dtype), s, v


def _svd(xp: Namespace, matrices: Array) -> tuple[Array, Array, Array]:
    if xp.__name__ == "mlx.core":
        u, s, v = xp.linalg.svd(matrices, stream=xp.cpu)
        rank = s.shape[-1]
        return u[..., :, :rank], s, v[..., :rank, :]
    if is_dask_namespace(xp):
        # Its own algorithm wants one chunk across an axis, and takes no stack.
        matrices = matrices.rechunk(matrices.shape)
    result: Any = xp.linalg.svd(matrices, full_matrices=False)
    return result[0], result[1], result[2]
