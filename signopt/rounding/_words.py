"""Bit patterns of floats as integers below 2³², and back, in any array library that has the types."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import array_api_compat
import numpy as np

from signopt._namespace import Array, dtype_name, namespace_of

__all__ = ["MASK", "Words", "words_of"]

MASK = 0xFFFFFFFF


class Words:
    """Integers from 0 to 2³² − 1 in one array library: uint32, of which sums wrap and products are not relied on."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.dtype = xp.uint32

    def number(self, value: Any) -> Any:
        """An integer, or a 0-d array of integers, as it may stand beside an array of words."""
        if isinstance(value, int):
            # JAX would take a bare Python integer for int32.
            return self.dtype(value) if callable(self.dtype) else value
        return self.xp.astype(value, self.dtype)

    def from_integers(self, array: Array) -> Array:
        """An array of integers below 2³² as words."""
        return self.xp.astype(array, self.dtype)

    def from_floats(self, array: Array) -> Array:
        """The bits of floats, or of int16, flat and in C order."""
        flat = self.xp.reshape(array, (-1,))
        size = "uint32" if dtype_name(array) == "float32" else "uint16"
        return self.xp.astype(flat.view(getattr(self.xp, size)), self.dtype)

    def to_floats(self, words: Array, name: str, shape: tuple[int, ...]) -> Array:
        """The array of dtype ``name`` (float32, bfloat16, float16 or int16) and ``shape`` that has these bits."""
        bits = words if name == "float32" else self.xp.astype(words, self.xp.uint16)
        return self.xp.reshape(bits.view(_dtype(self.xp, name)), shape)

    def arange(self, count: int, like: Array | None = None) -> Array:
        """0 to ``count`` − 1, on the device of ``like``."""
        return self.xp.arange(count, dtype=self.dtype)


class TorchWords(Words):
    """The same in torch, whose uint32 knows no arithmetic: int64."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.dtype = xp.int64

    def number(self, value: Any) -> Any:
        return value if isinstance(value, int) else value.to(self.dtype)

    def from_floats(self, array: Array) -> Array:
        flat = array.detach().reshape(-1)
        is_wide = dtype_name(array) == "float32"
        bits = flat.view(self.xp.int32 if is_wide else self.xp.int16).to(self.dtype)
        return bits & (MASK if is_wide else 0xFFFF)

    def to_floats(self, words: Array, name: str, shape: tuple[int, ...]) -> Array:
        bits, integer = (32, self.xp.int32) if name == "float32" else (16, self.xp.int16)
        signed = words - ((words >> (bits - 1)) << bits)
        return signed.to(integer).view(getattr(self.xp, name)).reshape(shape)

    def arange(self, count: int, like: Array | None = None) -> Array:
        return self.xp.arange(count, dtype=self.dtype, device=None if like is None else like.device)


def words_of(array: Array, label: str) -> Words:
    """The words of the library of ``array``.

    Raises
    ------
    TypeError
        If ``array`` is no array, or its library has no 16-bit floats.
    """
    xp = namespace_of(array, label)
    if array_api_compat.is_torch_namespace(xp):
        return TorchWords(xp)
    if array_api_compat.is_array_api_strict_namespace(xp):
        raise TypeError(f"{label} is an array-api-strict array, and that library has no 16-bit floats")
    return Words(xp)


def _dtype(xp: Any, name: str) -> Any:
    """The dtype of that name; if the library has none of its own its arrays are NumPy's."""
    if hasattr(xp, name):
        return getattr(xp, name)
    if name != "bfloat16":
        return np.dtype(name)
    if find_spec("ml_dtypes") is None:
        raise ModuleNotFoundError("bfloat16 in NumPy needs ml_dtypes: pip install 'signopt[bfloat16]'")
    import ml_dtypes

    return ml_dtypes.bfloat16
