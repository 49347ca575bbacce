"""Arrays of other libraries as NumPy or CuPy arrays over the same memory, so that the fast backends can update them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple

import array_api_compat
import numpy as np

from signopt._identity import SameArrays
from signopt._namespace import Array
from signopt.backends._base import Backend, Known
from signopt.backends._storage import NEAREST, Storage
from signopt.rules.coefficients import Coefficients

__all__ = [
    "adopt",
    "cupy_view",
    "is_plain_tensor",
    "numpy_view",
    "sharing_memory",
    "torch_stream",
    "without_graph",
]

CPU_DEVICES = (1, 3)
"""DLPack's kDLCPU and kDLCUDAHost."""
CUDA_DEVICES = (2, 13)
"""DLPack's kDLCUDA and kDLCUDAManaged."""


def adopt(array: Any, label: str, *, written: bool = False) -> Any:
    """``array`` itself if its library is known, else a CuPy or NumPy array over its memory.

    Parameters
    ----------
    array : object
        An array, or anything with ``__cuda_array_interface__`` or ``__dlpack__``.
    label : str
        What to call it in errors.
    written : bool, default False
        Whether it will be updated, and so must not be read-only.

    Raises
    ------
    ValueError
        If it is read-only and ``written``.
    TypeError
        If its memory is neither the CPU's nor a CUDA device's.
    ModuleNotFoundError, RuntimeError
        If it is on a CUDA device and CuPy is not installed, or finds no device.
    """
    if _is_known(array):
        return array
    if hasattr(array, "__cuda_array_interface__"):
        if written and array.__cuda_array_interface__["data"][1]:
            raise ValueError(f"{label} is read-only; pass an array that can be written")
        return _cupy(label).asarray(array)
    if hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__"):
        return _from_dlpack(array, label, written)
    return array


def _is_known(array: Any) -> bool:
    return isinstance(array, (np.ndarray, np.generic, float, int)) or array_api_compat.is_array_api_obj(array)


def _from_dlpack(array: Any, label: str, written: bool) -> Array:
    device = array.__dlpack_device__()[0]
    if device in CUDA_DEVICES:
        return _cupy(label).from_dlpack(array)
    if device not in CPU_DEVICES:
        raise TypeError(
            f"{label} is on DLPack device type {int(device)}; only CPU and CUDA memory can be updated in place"
        )
    view = np.from_dlpack(array)
    if written and not view.flags.writeable:
        raise ValueError(f"{label} is read-only; pass an array that can be written")
    return view


def _cupy(label: str) -> Any:
    if find_spec("cupy") is None:
        raise ModuleNotFoundError(f"{label} is in CUDA memory, which needs CuPy: pip install 'signopt[cupy]'")
    import cupy

    if not cupy.cuda.is_available():
        raise RuntimeError(f"{label} is in CUDA memory, but CuPy finds no CUDA device, or no driver for it")
    return cupy


def numpy_view(tensor: Any) -> Array:
    """A torch CPU tensor as a NumPy array over the same memory, bfloat16 included."""
    import torch

    tensor = tensor.detach()
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    import ml_dtypes

    return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)


def cupy_view(tensor: Any) -> Array:
    """A torch CUDA tensor as a CuPy array over the same memory, bfloat16 included.

    By hand, because CuPy's own conversion asks the driver on which device each of them is.
    """
    import cupy

    tensor = tensor.detach()
    dtype, shape = _numpy_dtype(tensor.dtype), tuple(tensor.shape)
    strides = [stride * dtype.itemsize for stride in tensor.stride()]
    past = sum(stride * (length - 1) for stride, length in zip(strides, shape, strict=True)) + dtype.itemsize
    memory = cupy.cuda.UnownedMemory(tensor.data_ptr(), past if tensor.numel() else 0, tensor, tensor.device.index or 0)
    return cupy.ndarray(shape, dtype, cupy.cuda.MemoryPointer(memory, 0), strides)


@cache
def _numpy_dtype(dtype: Any) -> Any:
    name = str(dtype).rpartition(".")[2]
    if name != "bfloat16":
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


def without_graph(array: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Makes the context in which arithmetic on arrays of this library is not recorded for a backward pass."""
    if not array_api_compat.is_torch_array(array):
        return nullcontext
    import torch

    return torch.no_grad


def is_plain_tensor(tensor: Any) -> bool:
    """Whether a torch tensor is one, and not of a subclass, which may keep its elements in other ways (a DTensor)."""
    return type(tensor) in _plain_types()


@cache
def _plain_types() -> tuple[type, ...]:
    import torch

    return torch.Tensor, torch.nn.Parameter


def torch_stream() -> AbstractContextManager[Any]:
    """Makes torch's current stream CuPy's, so that updates come after what torch has queued and before what follows."""
    import cupy
    import torch

    stream: AbstractContextManager[Any] = cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream)
    return stream


def sharing_memory(
    backend: type[Backend],
    view: Callable[[Any], Array],
    stream: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> type[Backend]:
    """``backend`` for torch tensors, which it sees through ``view``; its work is queued on ``stream()``.

    Autograd learns that the tensors have changed, so that a backward pass that needs their old values is an error.
    """
    own = {"name": backend.name, "_bridge": _Bridge(backend, view, stream)}
    return type(f"Sharing{backend.__name__}", (_Sharing,), own)


class _Bridge(NamedTuple):
    """The arguments of `sharing_memory`."""

    backend: type[Backend]
    view: Callable[[Any], Array]
    stream: Callable[[], AbstractContextManager[Any]]


class _Sharing(Backend):
    """What `sharing_memory` makes subclasses of."""

    _bridge: ClassVar[_Bridge]

    def __init__(
        self,
        params: Sequence[Array],
        momenta: Sequence[Array],
        roles: Sequence[str] | None = None,
        storage: Storage = NEAREST,
    ) -> None:
        from torch.autograd.graph import increment_version

        view = self._bridge.view
        self._written = [*params, *momenta]
        self._increment_version = increment_version
        self._inner = self._bridge.backend([*map(view, params)], [*map(view, momenta)], roles, storage.seen(view))
        self._seen = SameArrays()
        self._views: list[Array] = []
        self._taken_in = False

    def prepare(
        self,
        grads: Sequence[Array],
        coefficients: Coefficients,
        *,
        unchanged: bool = False,
        facts: Known | None = None,
    ) -> Callable[[], None]:
        known = facts and [None if its is None else self._bridge.view(its) for its in facts]
        if self._bridge.backend.reads_tensors:
            with self._bridge.stream():
                write = self._inner.prepare(grads, coefficients, facts=known)
            return lambda: self._write(write, grads)
        if not ((unchanged and self._seen.anything) or self._seen.are(grads)):
            self._look_at(grads)
        # What the inner backend was given last counts only if it has taken all of it in: it may have been interrupted,
        # or have left a step with facts to the rule.
        unchanged, self._taken_in = self._taken_in, False
        with self._bridge.stream():
            write = self._inner.prepare(self._views, coefficients, unchanged=unchanged, facts=known)
        self._taken_in = facts is None
        return lambda: self._write(write, grads)

    def _write(self, write: Callable[[], None], grads: Sequence[Array]) -> None:
        with self._bridge.stream():
            write()
        self._increment_version(self._written)

    def _look_at(self, grads: Sequence[Array]) -> None:
        """Keep views of the gradients, and their memory, until the first of them dies."""
        self._drop_views()
        self._views = [*map(self._bridge.view, grads)]
        self._deaths = [weakref.ref(grad, self._drop_views) for grad in grads]
        self._seen.remember(grads)

    def _drop_views(self, dead: Any = None) -> None:
        self._seen.forget()
        self._taken_in = False
        self._views = []
