"""Rounding into and out of the compute dtype, which all rules share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from signopt._checks import as_array, check_alike
from signopt._namespace import Array, Namespace, cast, compute_dtype_name, dtype_name, namespace_of

__all__ = ["in_compute_dtype"]

Update = Callable[[Namespace, Array, Array, Array, str], tuple[Array, Array]]


def in_compute_dtype(update: Update, param: Array, grad: Array, momentum: Array) -> tuple[Array, Array]:
    """Apply ``update`` in the compute dtype and round both results once to their storage dtypes.

    Parameters
    ----------
    update : callable
        ``update(xp, p, g, m, compute) -> (new_p, new_m)`` on arrays of the compute dtype, whose name is ``compute``.
    param, grad, momentum : array
        Of one shape; ``grad`` has the dtype of ``param``, ``momentum`` may have a dtype of its own.

    Returns
    -------
    tuple of array
        The new parameter and momentum; NumPy 0-d arrays stay arrays and scalars stay scalars.
    """
    check_alike(param, grad, momentum)
    xp = namespace_of(param)
    p, g, m = (as_array(array) for array in (param, grad, momentum))
    compute = compute_dtype_name(dtype_name(p))
    wide = getattr(xp, compute)
    with np.errstate(all="ignore"):
        new_p, new_m = update(xp, cast(xp, p, wide), cast(xp, g, wide), cast(xp, m, wide), compute)
        new_p, new_m = cast(xp, new_p, p.dtype), cast(xp, new_m, m.dtype)
    if isinstance(p, np.ndarray):
        return (np.asarray(new_p), np.asarray(new_m)) if p is param else (new_p[()], new_m[()])
    return new_p, new_m
