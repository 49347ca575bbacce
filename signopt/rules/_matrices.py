"""Arrays seen as matrices: flattened, stacked on request, and brought to where squares neither overflow nor vanish."""

from __future__ import annotations

import math
from typing import Any

from array_api_compat import is_jax_namespace

from signopt._namespace import Array, Namespace, cast, float64_or_widest

__all__ = [
    "as_matrices",
    "from_matrices",
    "matmul",
    "matrix_shape",
    "nan_unless_finite",
    "power_of_two",
    "sum_of_squares",
    "transpose",
]

BOTH = (-2, -1)
"""The axes of a matrix; what comes before them is a stack."""

MIDDLE = {"float32": (2.0**-30, 2.0**40, 2.0**80), "float64": (2.0**-400, 2.0**400, 2.0**600)}
"""By compute dtype: the magnitudes between which sums of squares are safe, and a power of two that leads there."""


def matrix_shape(shape: tuple[int, ...], batch_axis: int | None, name: str) -> tuple[int, int]:
    """(rows, cols) of an array of ``shape``: its first axis, and all others as one.

    ``batch_axis`` is the axis along which it stacks matrices, and is no axis of theirs.

    Raises
    ------
    ValueError
        If too few axes are left for a matrix, or there is no such axis.
    """
    axes = list(shape)
    if batch_axis is not None:
        if not -len(shape) <= batch_axis < len(shape):
            raise ValueError(f"{name} has shape {shape}, which has no axis {batch_axis} to stack matrices along")
        del axes[batch_axis]
    if len(axes) < 2:
        stacked = "" if batch_axis is None else f" stacked along axis {batch_axis}"
        raise ValueError(
            f"{name} has shape {shape}, which is no matrix{stacked}; "
            "give what is not a matrix to Lion or Tiger (signopt.Groups joins optimizers)"
        )
    return axes[0], math.prod(axes[1:])


def as_matrices(xp: Namespace, array: Array, batch_axis: int | None, name: str) -> Array:
    """``array`` as a (rows, cols) matrix in C order, or with ``batch_axis`` as a (count, rows, cols) stack."""
    rows, cols = matrix_shape(tuple(array.shape), batch_axis, name)
    if batch_axis is None:
        return xp.reshape(array, (rows, cols))
    return xp.reshape(xp.moveaxis(array, batch_axis, 0), (array.shape[batch_axis], rows, cols))


def from_matrices(xp: Namespace, matrices: Array, shape: tuple[int, ...], batch_axis: int | None) -> Array:
    """What :func:`as_matrices` made of an array of ``shape``, in that shape again."""
    if batch_axis is None:
        return xp.reshape(matrices, shape)
    rest = list(shape)
    count = rest.pop(batch_axis)
    return xp.moveaxis(xp.reshape(matrices, (count, *rest)), 0, batch_axis)


def transpose(xp: Namespace, matrices: Array) -> Array:
    """Each matrix of a stack transposed."""
    return xp.matrix_transpose(matrices)


def matmul(xp: Namespace, left: Array, right: Array) -> Array:
    """The matrix product in the dtype of its factors; JAX would take fewer bits on accelerators unless asked."""
    options: dict[str, Any] = {"precision": "highest"} if is_jax_namespace(xp) else {}
    return xp.matmul(left, right, **options)


def power_of_two(xp: Namespace, matrices: Array, compute: str, least: float = 0.0) -> Array:
    """For each matrix, the power of two by which it is multiplied before its squares are summed; 1 as a rule.

    A matrix smaller than ``least`` need not be scaled up.
    """
    small, large, factor = MIDDLE[compute]
    largest = xp.max(xp.abs(matrices), axis=BOTH, keepdims=True)
    one = xp.ones_like(largest)
    scale = xp.where(largest > large, one / factor, one)
    return scale if least >= small else xp.where(largest < small, one * factor, scale)


def sum_of_squares(xp: Namespace, matrices: Array) -> Array:
    """Of each matrix, in float64 if the namespace has it."""
    wide = cast(xp, matrices, float64_or_widest(xp))
    return xp.sum(wide * wide, axis=BOTH, keepdims=True)


def nan_unless_finite(xp: Namespace, matrices: Array, culprits: Array) -> Array:
    """``matrices``, but NaN throughout if a matrix of ``culprits`` has an element that is not finite."""
    finite = xp.all(xp.isfinite(culprits), axis=BOTH, keepdims=True)
    return xp.where(finite, matrices, xp.full_like(matrices, math.nan))
