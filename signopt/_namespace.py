"""Which array library an array belongs to, and the few things the array API standard leaves open."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

__all__ = [
    "SUPPORTED_DTYPES",
    "Array",
    "Namespace",
    "cast",
    "compute_dtype_name",
    "device_of",
    "divide",
    "dtype_name",
    "fence",
    "float64_or_widest",
    "is_traced",
    "namespace_of",
    "ready_to_round",
    "sign",
    "unfolded",
]

Array: TypeAlias = Any
"""An array of any namespace. The array API standard defines no common type to name here."""

Namespace: TypeAlias = Any

SUPPORTED_DTYPES = ("float64", "float32", "float16", "bfloat16")


def namespace_of(array: Array, label: str = "the argument") -> Namespace:
    """The array API namespace of ``array``; Python and NumPy scalars belong to NumPy.

    Raises
    ------
    TypeError
        If ``array`` is not an array of a known library.
    """
    if isinstance(array, (float, np.generic)):
        return array_api_compat.array_namespace(np.empty(0))
    try:
        return array_api_compat.array_namespace(array)
    except TypeError:
        raise TypeError(
            f"{label} must be an array (NumPy, CuPy, torch, JAX, dask, array-api-strict, MLX), "
            f"got {type(array).__name__}"
        ) from None


def dtype_name(array: Array) -> str:
    """The bare name of an array's dtype, such as ``"float32"``, the same for every namespace."""
    return str(array.dtype).rsplit(".", 1)[-1]


def compute_dtype_name(name: str) -> str:
    """The dtype in which an update on storage dtype ``name`` is computed: float64 for float64, else float32."""
    return "float64" if name == "float64" else "float32"


def cast(xp: Namespace, array: Array, dtype: Any) -> Array:
    """``array`` rounded once, to nearest even, to ``dtype``; ``array`` itself if it already has that dtype.

    In a compiled program the rounding is fenced: XLA keeps float32 in place of a float16 or bfloat16 that it sees
    widened again on a GPU, and a second step in one program would begin from numbers that were never stored.
    """
    if array.dtype == dtype:
        return array
    rounded = xp.astype(ready_to_round(array, dtype) if isinstance(array, (np.ndarray, np.generic)) else array, dtype)
    return fence(rounded) if is_traced(array) and rounded.dtype.itemsize < array.dtype.itemsize else rounded


def ready_to_round(values: Any, dtype: Any) -> Any:
    """What NumPy's conversion to ``dtype`` rounds once: float64 on its way to bfloat16 as float32, all else as it is.

    That conversion goes through float32 and so rounds twice, which is wrong if the first rounding lands in the
    middle between two bfloat16 numbers. A float32 that had to be rounded is therefore taken to be, of the two around
    the number, the one whose last bit is set: it is on the right side of every middle.
    """
    if values.dtype != np.float64 or np.dtype(dtype).name != "bfloat16":
        return values
    with np.errstate(over="ignore"):
        near = values.astype(np.float32)
    bits, wide = near.view(np.uint32), near.astype(np.float64)
    odd = (bits - (abs(wide) > abs(values))) | 1
    return np.where(wide == values, bits, odd).astype(np.uint32).view(np.float32)


def float64_or_widest(xp: Namespace) -> Any:
    """float64, or float32 if the namespace offers no wider type (JAX without ``jax_enable_x64``, MLX)."""
    dtypes = xp.__array_namespace_info__().dtypes(kind="real floating")
    return dtypes.get("float64", xp.float32)


def device_of(array: Array) -> Any:
    """The device of ``array``, or None if the library places arrays itself (JAX, dask, MLX)."""
    if array_api_compat.is_jax_array(array) or array_api_compat.is_dask_array(array):
        return None
    return array_api_compat.device(array) if hasattr(array, "device") else None


def sign(xp: Namespace, array: Array) -> Array:
    """−1, 0 or 1 by the sign of each element, with sign(±0) = 0 and sign(NaN) = NaN.

    Libraries disagree on sign(NaN): NumPy and JAX give NaN, torch, MLX and CuPy before 15 give 0. Comparisons are the
    same everywhere, so the sign is made from them.
    """
    ordered = cast(xp, array > 0, array.dtype) - cast(xp, array < 0, array.dtype)
    return xp.where(array == array, ordered, array)


def is_traced(array: Array) -> bool:
    """Whether a compiler is reading the program, so that ``array`` has no values yet: under ``jax.jit``, say."""
    if isinstance(array, (np.ndarray, np.generic)):
        return False
    if array_api_compat.is_jax_array(array):
        return isinstance(array, sys.modules["jax"].core.Tracer)
    return array_api_compat.is_torch_array(array) and bool(sys.modules["torch"].compiler.is_compiling())


def fence(product: Array) -> Array:
    """``product``, rounded by itself: no compiler may contract what is behind the fence with the sum before it.

    XLA and Triton fuse a product and the sum that it enters into one FMA, which rounds once. The choice between the
    product and NaN, by whether it is NaN, has the value of the product and is no product. Arrays that are not traced
    need none: their libraries compute one operation at a time.
    """
    if not is_traced(product):
        return product
    return namespace_of(product).where(product == product, product, float("nan"))


def divide(dividend: Array, divisor: Any) -> Array:
    """``dividend / divisor`` rounded once, even if XLA would multiply by the reciprocal of a constant divisor."""
    return dividend / unfolded(divisor, dividend)


def unfolded(number: Any, beside: Array) -> Any:
    """``number``, which a compiler cannot know to be a constant; NaN wherever ``beside`` is, if that is traced.

    XLA divides by a constant by multiplying with its reciprocal, and leaves out the addition of 0, which makes 0 of −0.
    """
    if not is_traced(beside):
        return number
    return namespace_of(beside).where(beside == beside, number, float("nan"))
