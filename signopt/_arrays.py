"""Checks on arrays that will be written in place: writable, and no two of them in the same memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from array_api_compat import is_array_api_strict_namespace, is_cupy_array, is_numpy_array, is_torch_array

from signopt._namespace import Array, namespace_of

__all__ = ["check_disjoint", "check_writable"]


def _is_strict_array(array: Array) -> bool:
    return is_array_api_strict_namespace(namespace_of(array))


_ASSIGNABLE = (is_numpy_array, is_cupy_array, is_torch_array, _is_strict_array)


def check_writable(array: Array, name: str, pure: str) -> None:
    """Check that ``array`` can be assigned to in place.

    Parameters
    ----------
    array : array
        A parameter.
    name : str
        What to call it in the error.
    pure : str
        The pure function that serves arrays which cannot be written, such as ``"signopt.lion"``.

    Raises
    ------
    TypeError
        If arrays of its library are immutable or lazy (JAX, dask, MLX).
    ValueError
        If it is read-only, or holds one memory location in two elements.
    """
    remedy = f"use the pure function {pure}, which returns new arrays"
    if not any(is_of_library(array) for is_of_library in _ASSIGNABLE):
        raise TypeError(
            f"{name}, a {type(array).__module__}.{type(array).__qualname__}, cannot be written in place; {remedy}"
        )
    if isinstance(array, np.ndarray):
        if not array.flags.writeable:
            raise ValueError(f"{name} is read-only; pass a writable array or {remedy}")
        if _overlaps_itself(array):
            raise ValueError(f"{name} holds one memory location in several elements (a broadcast view?); copy it")


def _overlaps_itself(array: np.ndarray[Any, Any]) -> bool:
    """Whether two elements share memory; views whose axes interleave in memory are taken to do so."""
    span = array.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < span:
            return array.size > 0
        span = stride * (length - 1) + span
    return False


def check_disjoint(written: Mapping[str, Array], read: Mapping[str, Array]) -> None:
    """Check that no array in ``written`` shares memory with another one there or with one in ``read``.

    Only NumPy arrays can be looked into; others pass. Arrays in ``read`` may overlap each other.

    Raises
    ------
    ValueError
        Naming the two arrays.
    """
    spans = sorted(
        (*np.lib.array_utils.byte_bounds(array), is_written, label)
        for arrays, is_written in ((written, True), (read, False))
        for label, array in arrays.items()
        if isinstance(array, np.ndarray) and array.size
    )
    open_spans: list[tuple[int, int, bool, str]] = []
    for span in spans:
        open_spans = [other for other in open_spans if other[1] > span[0]]
        for other in open_spans:
            if (span[2] or other[2]) and _share_memory(_look_up(other, written, read), _look_up(span, written, read)):
                raise ValueError(f"{other[3]} and {span[3]} overlap in memory; copy one of them")
        open_spans.append(span)


def _look_up(span: tuple[int, int, bool, str], written: Mapping[str, Array], read: Mapping[str, Array]) -> Array:
    return (written if span[2] else read)[span[3]]


def _share_memory(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> bool:
    effort: Any = 100_000
    try:
        return bool(np.shares_memory(first, second, max_work=effort))
    except np.exceptions.TooHardError:
        return True
