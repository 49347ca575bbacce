"""Which backend serves which arrays."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import array_api_compat
import numpy as np

from signopt._namespace import Array
from signopt.backends._base import Backend
from signopt.backends._interop import cupy_view, is_plain_tensor, numpy_view, sharing_memory, torch_stream
from signopt.backends._numba_health import numba_is_usable, why_numba_is_not_usable
from signopt.backends.numpy import NumpyBackend
from signopt.backends.portable import PortableBackend

__all__ = ["BACKENDS", "select"]

BACKENDS = ("auto", "portable", "numpy", "numba", "cupy")
"""The names that ``backend=`` takes."""


def select(backend: str, params: Sequence[Array]) -> type[Backend]:
    """The backend class called ``backend``, or with ``"auto"`` the fastest that serves ``params``.

    Raises
    ------
    ValueError
        If there is no backend of that name.
    TypeError
        If it does not serve arrays of this library.
    ModuleNotFoundError
        If it needs a package that is not installed.
    RuntimeError
        If it needs Numba, which is installed and cannot be used.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}; got {backend!r}")
    if backend != "portable" and array_api_compat.is_torch_array(params[0]):
        return _torch_backend(backend, params)
    on_numpy = all(isinstance(param, np.ndarray) for param in params)
    on_cupy = array_api_compat.is_cupy_array(params[0])
    if backend == "portable" or (backend == "auto" and not (on_numpy or on_cupy)):
        return PortableBackend
    if backend == "cupy" or (backend == "auto" and on_cupy):
        return _cupy_backend(on_cupy)
    if not on_numpy:
        raise TypeError(f"backend {backend!r} serves NumPy arrays only; use backend='auto'")
    if backend == "numpy" or (backend == "auto" and not numba_is_usable()):
        return NumpyBackend
    return _numba_backend()


def _torch_backend(backend: str, params: Sequence[Array]) -> type[Backend]:
    """A backend that sees torch tensors as NumPy or CuPy arrays over the same memory."""
    if not all(map(is_plain_tensor, params)):
        if backend == "auto":
            return PortableBackend
        kind = next(type(param) for param in params if not is_plain_tensor(param))
        raise TypeError(
            f"backend {backend!r} shares memory with torch tensors, and cannot with a {kind.__module__}."
            f"{kind.__qualname__}; use backend='portable'"
        )
    place = params[0].device.type
    if place == "cpu" and backend != "cupy":
        return sharing_memory(select(backend, [numpy_view(param) for param in params]), numpy_view)
    if place == "cuda" and (backend == "cupy" or (backend == "auto" and find_spec("cupy") is not None)):
        return sharing_memory(_cupy_backend(on_cupy=True), cupy_view, torch_stream)
    if backend == "auto":
        return PortableBackend
    raise TypeError(f"backend {backend!r} does not serve torch tensors on device {place!r}; use backend='auto'")


def _numba_backend() -> type[Backend]:
    if find_spec("numba") is None:
        raise ModuleNotFoundError("backend 'numba' needs Numba: pip install 'signopt[numba]'")
    if (why := why_numba_is_not_usable()) is not None:
        raise RuntimeError(f"backend 'numba' cannot be used ({why}); use backend='numpy'")
    from signopt.backends.numba import NumbaBackend

    return NumbaBackend


def _cupy_backend(on_cupy: bool) -> type[Backend]:
    if find_spec("cupy") is None:
        raise ModuleNotFoundError("backend 'cupy' needs CuPy: pip install 'signopt[cupy]'")
    if not on_cupy:
        raise TypeError("backend 'cupy' serves CuPy arrays only; use backend='auto'")
    from signopt.backends.cupy import CupyBackend

    return CupyBackend
