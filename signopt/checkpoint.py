"""An optimizer's state as a safetensors file: momenta as tensors, all else as JSON in the header."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from signopt._host import from_host, to_host
from signopt._namespace import Array
from signopt._whole_file import replace_file

if TYPE_CHECKING:
    from signopt.optimizer import Optimizer

__all__ = ["load", "save"]

_HEADER = "signopt"
_PREFIX = "momentum/"
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def save(optimizer: Optimizer, path: str | os.PathLike[str]) -> None:
    """Write the state of ``optimizer`` to ``path``, as :meth:`~signopt.optimizer.Optimizer.state_dict` gives it.

    Parameters are not written. The file appears whole or not at all, whatever happens meanwhile: it is written beside
    ``path``, synced to the disk, then moved there. A symbolic link is followed, and an existing file keeps its
    permissions. Threads, processes and hosts may save to one path at once: the last one to finish is found there.

    Raises
    ------
    ImportError
        Without the extra ``signopt[checkpoint]``.
    OSError
        If the file cannot be written; what was there is still there.
    """
    safetensors = _safetensors()
    state = optimizer.state_dict()
    momentum = state.pop("momentum")
    data = safetensors.numpy.save(
        {_PREFIX + name: to_host(array) for name, array in momentum.items()},
        metadata={_HEADER: json.dumps(state)},
    )
    replace_file(os.fsdecode(path), data)


def load(optimizer: Optimizer, path: str | os.PathLike[str]) -> None:
    """Load the state written by :func:`save` into ``optimizer``, or raise and change nothing.

    Raises
    ------
    ImportError
        Without the extra ``signopt[checkpoint]``.
    OSError
        If the file cannot be read.
    ValueError
        Naming the file, if it is damaged, was not written by :func:`save`, or does not fit ``optimizer``
        (see :meth:`~signopt.optimizer.Optimizer.load_state_dict`).
    """
    safetensors = _safetensors()
    path = os.fsdecode(path)
    with open(path, "rb") as file:
        data = file.read()
    try:
        optimizer.load_state_dict(_state(data, safetensors, optimizer.momentum))
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes the parsers raise almost anything
        raise ValueError(f"{path} cannot be loaded: {error}") from error


def _state(data: bytes, safetensors: Any, momentum: Mapping[str, Array]) -> dict[str, Any]:
    """The state in a file, its momenta as arrays like those of ``momentum``."""
    try:
        tensors = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise ValueError(f"it is truncated or no safetensors file ({error})") from error
    state = _header(data)
    if strangers := [name for name in tensors if not name.startswith(_PREFIX)]:
        raise ValueError(f"it holds tensors that are no momenta: {', '.join(map(repr, strangers))}")
    like = next(iter(momentum.values()))
    state["momentum"] = {name.removeprefix(_PREFIX): _to_array(tensor, like) for name, tensor in tensors.items()}
    return state


def _header(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    if _HEADER not in metadata:
        raise ValueError("it is a safetensors file, but not one that signopt.save wrote")
    try:
        state = json.loads(metadata[_HEADER])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its header is damaged ({error})") from error
    if not isinstance(state, dict):
        raise ValueError(f"its header is damaged (a state is an object, not {type(state).__name__})")
    return state


def _to_array(tensor: Mapping[str, Any], like: Array) -> Array:
    """A tensor of a file as an array of the library of ``like``, on its device."""
    if tensor["dtype"] not in _DTYPES:
        raise ValueError(f"it holds a momentum of type {tensor['dtype']}; momenta are {', '.join(_DTYPES)}")
    if tensor["dtype"] == "BF16":
        import ml_dtypes  # noqa: F401 - gives NumPy the name bfloat16
    return from_host(np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]]).reshape(tensor["shape"]), like)


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError("checkpoints need safetensors: pip install 'signopt[checkpoint]'") from error
    return safetensors
