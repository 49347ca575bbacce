"""Checks on arrays that will be written in place: writable, and no two of them in the same memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from array_api_compat import is_array_api_strict_namespace, is_cupy_array, is_torch_array

from signopt._namespace import Array, namespace_of

__all__ = ["check_disjoint", "check_writable"]

Footprint: TypeAlias = np.ndarray[Any, Any]


def _is_strict_array(array: Array) -> bool:
    return is_array_api_strict_namespace(namespace_of(array))


def _is_numpy_array(array: Array) -> bool:
    """Whether it is an array, and not one of NumPy's scalars, which cannot be assigned to."""
    return isinstance(array, np.ndarray)


_ASSIGNABLE = (_is_numpy_array, is_cupy_array, is_torch_array, _is_strict_array)


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
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise ValueError(f"{name} is read-only; pass a writable array or {remedy}")
    if (footprint := _footprint(array)) is not None and _overlaps_itself(footprint):
        raise ValueError(f"{name} holds one memory location in several elements (a broadcast view?); copy it")


@dataclass(frozen=True)
class _Addresses:
    """Presents addresses and strides to NumPy, which compares them and never follows them."""

    __array_interface__: Mapping[str, Any]


def _footprint(array: Array) -> Footprint | None:
    """Where the elements of ``array`` lie, as a NumPy array whose values are not to be read; None where unknown."""
    if isinstance(array, np.ndarray):
        return array
    if is_torch_array(array):
        itemsize, pointer = array.element_size(), array.data_ptr()
        strides = tuple(stride * itemsize for stride in array.stride())
    elif is_cupy_array(array):
        itemsize, pointer, strides = array.itemsize, array.data.ptr, array.strides
    else:
        return None
    interface = {"shape": tuple(array.shape), "strides": strides, "typestr": f"|V{itemsize}", "version": 3}
    return np.asarray(_Addresses(interface | {"data": (pointer, True)})) if pointer else None


def _overlaps_itself(array: Footprint) -> bool:
    """Whether two elements share memory; views whose axes interleave in memory are taken to do so."""
    span = array.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < span:
            return array.size > 0
        span = stride * (length - 1) + span
    return False


def check_disjoint(written: Mapping[str, Array], read: Mapping[str, Array]) -> None:
    """Check that no array in ``written`` shares memory with another one there or with one in ``read``.

    NumPy, torch and CuPy arrays are looked into; others pass. Arrays in ``read`` may overlap each other.

    Raises
    ------
    ValueError
        Naming the two arrays.
    """
    spans = sorted(
        _Span(*np.lib.array_utils.byte_bounds(footprint), is_written, label, footprint)
        for arrays, is_written in ((written, True), (read, False))
        for label, array in arrays.items()
        if (footprint := _footprint(array)) is not None and footprint.size
    )
    open_spans: list[_Span] = []
    for span in spans:
        open_spans = [other for other in open_spans if other.end > span.start]
        for other in open_spans:
            if (span.written or other.written) and _share_memory(other.footprint, span.footprint):
                raise ValueError(f"{other.label} and {span.label} overlap in memory; copy one of them")
        open_spans.append(span)


@dataclass(frozen=True, order=True)
class _Span:
    """The addresses from the first to past the last byte of an array."""

    start: int
    end: int
    written: bool
    label: str
    footprint: Footprint = field(compare=False)


def _share_memory(first: Footprint, second: Footprint) -> bool:
    effort: Any = 100_000
    try:
        return bool(np.shares_memory(first, second, max_work=effort))
    except np.exceptions.TooHardError:
        return True
