"""Arrays of any library to NumPy and back, without a change of their bits."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from signopt._namespace import Array, device_of, namespace_of
from signopt.backends._interop import numpy_view

__all__ = ["from_host", "to_host"]


def to_host(array: Array) -> np.ndarray[Any, Any]:
    """``array`` as a C-contiguous NumPy array; a view of its memory if that can be."""
    if array_api_compat.is_torch_array(array):
        host = numpy_view(array.cpu())
    else:
        host = array.get() if array_api_compat.is_cupy_array(array) else np.asarray(array)
    return np.ascontiguousarray(host).reshape(host.shape)


def from_host(values: np.ndarray[Any, Any], like: Array) -> Array:
    """A new array with these ``values``, and their dtype, in the library of ``like`` and on its device."""
    xp, values = namespace_of(like), values.copy()
    if array_api_compat.is_torch_array(like) and values.dtype.name == "bfloat16":
        return xp.asarray(values.view(np.int16), device=like.device).view(xp.bfloat16)
    return xp.asarray(values, device=device_of(like))
