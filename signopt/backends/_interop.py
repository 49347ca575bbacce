"""Arrays of other libraries as NumPy or CuPy arrays over the same memory, so that the fast backends can update them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any, ClassVar

import array_api_compat
import numpy as np

from signopt._identity import SameArrays
from signopt._namespace import Array
from signopt.backends._base import Backend
from signopt.rules.coefficients import Coefficients

__all__ = ["adopt", "cupy_view", "numpy_view", "sharing_memory", "torch_stream"]

CPU_DEVICES = (1, 3)
"""DLPack's kDLCPU and kDLCUDAHost."""
CUDA_DEVICES = (2, 13)
"""DLPack's kDLCUDA and kDLCUDAManaged."""


def adopt(array: Any, label: str, *, written: bool = False) -> Any:
    """``array`` itself where its library is known, else a CuPy or NumPy array over its memory.

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
    """A torch CUDA tensor as a CuPy array over the same memory, bfloat16 included."""
    import cupy
    import torch

    tensor = tensor.detach()
    if tensor.dtype != torch.bfloat16:
        return cupy.asarray(tensor)
    import ml_dtypes

    return cupy.asarray(tensor.view(torch.int16)).view(ml_dtypes.bfloat16)


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
    """``backend`` for torch tensors, which it sees through ``view``; its work is queued on ``stream()``."""

    class Sharing(Backend):
        name: ClassVar[str] = backend.name

        def __init__(
            self, params: Sequence[Array], momenta: Sequence[Array], roles: Sequence[str] | None = None
        ) -> None:
            self._written = [*params, *momenta]
            self._roles = roles
            self._same = SameArrays()
            self._grads: list[Array] = []
            self._grad_addresses: list[int] = []
            self._bind()

        def prepare(self, grads: Sequence[Array], coefficients: Coefficients) -> Callable[[], None]:
            views = self._views(grads)
            with stream():
                write = self._inner.prepare(views, coefficients)
            return lambda: self._write(write)

        def _write(self, write: Callable[[], None]) -> None:
            with stream():
                write()

        def _bind(self) -> None:
            count = len(self._written) // 2
            views = [*map(view, self._written)]
            self._addresses = _addresses(self._written)
            self._inner = backend(views[:count], views[count:], self._roles)

        def _views(self, grads: Sequence[Array]) -> list[Array]:
            """The gradients as the backend sees them; tensors may have been given other memory since the last step."""
            if _addresses(self._written) != self._addresses:
                self._bind()
            if not (self._same.are(grads) and _addresses(grads) == self._grad_addresses):
                self._grads, self._grad_addresses = [*map(view, grads)], _addresses(grads)
                self._same.remember(grads)
            return self._grads

    return Sharing


def _addresses(tensors: Sequence[Any]) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]
