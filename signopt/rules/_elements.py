"""What all rules share: checking three arrays against each other, and rounding into and out of the compute dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from signopt._namespace import (
    SUPPORTED_DTYPES,
    Array,
    Namespace,
    cast,
    compute_dtype_name,
    device_of,
    dtype_name,
    namespace_of,
)

__all__ = [
    "are_twins",
    "as_array",
    "check_alike",
    "check_dtype",
    "check_gradient_dtype",
    "check_momentum_dtype",
    "check_partner",
    "check_same_home",
    "in_compute_dtype",
]

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


def check_alike(param: Array, grad: Array, momentum: Array, name: str = "param") -> None:
    """Check that the three arrays of one parameter belong together.

    Raises
    ------
    TypeError
        For another namespace, a dtype that is not a supported real float, a gradient of another dtype, or a momentum
        wider than the dtype in which the update is computed.
    ValueError
        For another shape or device.
    """
    check_dtype(param, name)
    check_partner(param, grad, name, "gradient")
    check_partner(param, momentum, name, "momentum")
    param_dtype, grad_dtype, momentum_dtype = (dtype_name(as_array(array)) for array in (param, grad, momentum))
    check_gradient_dtype(param_dtype, grad_dtype, name)
    check_momentum_dtype(param_dtype, momentum_dtype, name)


def check_gradient_dtype(param_dtype: str, grad_dtype: str, name: str) -> None:
    """Raise TypeError where the gradient has another dtype than its parameter."""
    if grad_dtype != param_dtype:
        raise TypeError(f"the gradient of {name} has dtype {grad_dtype}, but {name} has {param_dtype}; cast it first")


def check_momentum_dtype(param_dtype: str, momentum_dtype: str, name: str) -> None:
    """Raise TypeError where the momentum would be wider than the dtype in which the update is computed."""
    if momentum_dtype == "float64" != param_dtype:
        raise TypeError(
            f"the momentum of {name} has dtype float64, but an update of a {param_dtype} parameter is computed in "
            "float32; store the momentum in float32 or narrower"
        )


def check_same_home(array: Array, other: Array, label: str, other_label: str) -> None:
    """Check that two arrays belong to one library and live on one device."""
    if namespace_of(array, label) is not namespace_of(other, other_label):
        raise TypeError(
            f"{label} is a {_kind(array)} and {other_label} is a {_kind(other)}; convert them to one array library"
        )
    if device_of(as_array(array)) != device_of(as_array(other)):
        raise ValueError(f"{label} is on device {device_of(array)}, but {other_label} is on {device_of(other)}")


def check_partner(param: Array, other: Array, name: str, what: str) -> None:
    """Check that ``other`` has the namespace, shape and device of ``param``, and a supported dtype."""
    label = f"the {what} of {name}"
    if other is None:
        raise TypeError(f"{label} is None; pass an array of zeros where there is none")
    check_same_home(other, param, label, name)
    check_dtype(other, label)
    param, other = as_array(param), as_array(other)
    if tuple(other.shape) != tuple(param.shape):
        raise ValueError(f"{label} has shape {tuple(other.shape)}, but {name} has shape {tuple(param.shape)}")


def check_dtype(array: Array, label: str) -> None:
    """Raise TypeError unless ``array`` is an array of one of the supported dtypes."""
    namespace_of(array, label)
    array = as_array(array)
    if dtype_name(array) not in SUPPORTED_DTYPES:
        raise TypeError(f"{label} has dtype {array.dtype}; supported are {', '.join(SUPPORTED_DTYPES)}")


def are_twins(param: Array, grad: Any) -> bool:
    """A quick yes, or unknown, to whether ``grad`` suits a checked parameter: same type, dtype, shape and device."""
    return bool(
        type(grad) is type(param)
        and grad.dtype == param.dtype
        and grad.shape == param.shape
        and getattr(grad, "device", None) == getattr(param, "device", None)
    )


def as_array(array: Any) -> Array:
    """A Python or NumPy scalar as a 0-d NumPy array, and any other object as it is."""
    return np.asarray(array) if isinstance(array, (float, np.generic)) else array


def _kind(array: Array) -> str:
    return f"{type(array).__module__}.{type(array).__qualname__}"
