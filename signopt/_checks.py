"""Every check on arrays: that those of one parameter belong together, can be written, and share no memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from array_api_compat import is_array_api_strict_namespace, is_cupy_array, is_torch_array

from signopt._namespace import SUPPORTED_DTYPES, Array, device_of, dtype_name, namespace_of

__all__ = [
    "as_array",
    "certainly_matches",
    "check_alike",
    "check_disjoint",
    "check_dtype",
    "check_gradient_dtype",
    "check_momentum_dtype",
    "check_partner",
    "check_same_home",
    "check_writable",
]

Footprint: TypeAlias = np.ndarray[Any, Any]


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
    """Raise TypeError if the gradient has another dtype than its parameter."""
    if grad_dtype != param_dtype:
        raise TypeError(f"the gradient of {name} has dtype {grad_dtype}, but {name} has {param_dtype}; cast it first")


def check_momentum_dtype(param_dtype: str, momentum_dtype: str, name: str) -> None:
    """Raise TypeError if the momentum would be wider than the dtype in which the update is computed."""
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
        raise TypeError(
            f"{label} is None; step(..., frozen=[...]) leaves a parameter as it is, and a gradient of zeros lets its "
            "momentum and decay go on"
        )
    check_same_home(other, param, label, name)
    check_dtype(other, label)
    param, other = as_array(param), as_array(other)
    if tuple(other.shape) != tuple(param.shape):
        raise ValueError(f"{label} has shape {tuple(other.shape)}, but {name} has shape {tuple(param.shape)}")


def check_dtype(array: Array, label: str) -> None:
    """Raise TypeError unless ``array`` is a plain array of one of the supported dtypes."""
    namespace_of(array, label)
    _check_plain(array, label)
    array = as_array(array)
    if dtype_name(array) not in SUPPORTED_DTYPES:
        raise TypeError(f"{label} has dtype {array.dtype}; supported are {', '.join(SUPPORTED_DTYPES)}")


def _check_plain(array: Array, label: str) -> None:
    """Raise TypeError for arrays whose elements are not, one by one, what is in memory, or do not multiply so."""
    if isinstance(array, np.matrix):
        raise TypeError(f"{label} is a numpy.matrix, whose products are not elementwise; pass np.asarray of it")
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{label} is a masked array, and a step has no use for a mask; pass its .filled(value)")
    if is_torch_array(array):
        if str(array.layout) != "torch.strided":
            raise TypeError(f"{label} has layout {array.layout}; pass its .to_dense()")
        if array.is_conj() or array.is_neg():
            bit = "conj" if array.is_conj() else "neg"
            raise TypeError(f"{label} is a view with torch's lazy {bit} bit; pass its .resolve_{bit}()")


def certainly_matches(param: Array, grad: Any) -> bool:
    """A quick yes, or unknown, to whether ``grad`` suits a checked parameter: same type, dtype, shape and device."""
    return bool(
        type(grad) is type(param)
        and grad.dtype == param.dtype
        and grad.shape == param.shape
        and getattr(grad, "device", None) == getattr(param, "device", None)
        and not (is_torch_array(grad) and (grad.layout != param.layout or grad.is_neg()))
    )


def as_array(array: Any) -> Array:
    """A Python or NumPy scalar as a 0-d NumPy array, and any other object as it is."""
    return np.asarray(array) if isinstance(array, (float, np.generic)) else array


def _kind(array: Array) -> str:
    return f"{type(array).__module__}.{type(array).__qualname__}"


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
    """Where the elements of ``array`` lie, as a NumPy array whose values are not to be read; None if unknown."""
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
