"""An optimizer's state as a safetensors file: momenta as tensors, all else as JSON in the header."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from signopt._namespace import Array, namespace_of

if TYPE_CHECKING:
    from signopt.optimizer import Optimizer

__all__ = ["load", "save"]

_HEADER = "signopt"
_PREFIX = "momentum/"
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def save(optimizer: Optimizer, path: str | os.PathLike[str]) -> None:
    """Write the state of ``optimizer`` to ``path``, as :meth:`~signopt.optimizer.Optimizer.state_dict` gives it.

    Parameters are not written. The file appears whole or not at all: it is written beside ``path``, then moved there.

    Raises
    ------
    ImportError
        Without the extra ``signopt[checkpoint]``.
    OSError
        If the file cannot be written.
    """
    safetensors = _safetensors()
    state = optimizer.state_dict()
    momentum = state.pop("momentum")
    data = safetensors.numpy.save(
        {_PREFIX + name: _to_numpy(array) for name, array in momentum.items()},
        metadata={_HEADER: json.dumps(state)},
    )
    _write_whole(Path(path), data)


def load(optimizer: Optimizer, path: str | os.PathLike[str]) -> None:
    """Load the state written by :func:`save` into ``optimizer``, or raise and change nothing.

    Raises
    ------
    ImportError
        Without the extra ``signopt[checkpoint]``.
    OSError
        If the file cannot be read.
    ValueError, TypeError
        If it is truncated, was not written by :func:`save`, or does not fit ``optimizer``
        (see :meth:`~signopt.optimizer.Optimizer.load_state_dict`).
    """
    safetensors = _safetensors()
    data = Path(path).read_bytes()
    try:
        tensors = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{os.fspath(path)} is truncated or no safetensors file: {error}") from error
    state = _header(data, path)
    like = next(iter(optimizer.momentum.values()))
    state["momentum"] = {name.removeprefix(_PREFIX): _to_array(tensor, like) for name, tensor in tensors.items()}
    optimizer.load_state_dict(state)


def _header(data: bytes, path: str | os.PathLike[str]) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    if _HEADER not in metadata:
        raise ValueError(f"{os.fspath(path)} is a safetensors file, but not one that signopt.save wrote")
    state: dict[str, Any] = json.loads(metadata[_HEADER])
    schedule = state.get("hyper", {}).get("schedule")
    if isinstance(schedule, dict):
        state["hyper"]["schedule"] = {int(step): factor for step, factor in schedule.items()}
    return state


def _to_numpy(array: Array) -> np.ndarray[Any, Any]:
    host = array.get() if hasattr(array, "get") else array
    return np.ascontiguousarray(host).reshape(np.shape(host))


def _to_array(tensor: Mapping[str, Any], like: Array) -> Array:
    if tensor["dtype"] not in _DTYPES:
        raise ValueError(f"the file holds a momentum of type {tensor['dtype']}; momenta are {', '.join(_DTYPES)}")
    if tensor["dtype"] == "BF16":
        import ml_dtypes  # noqa: F401 - gives NumPy the name bfloat16
    array = np.frombuffer(tensor["data"], dtype=_DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
    return namespace_of(like).asarray(array)


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError("checkpoints need safetensors: pip install 'signopt[checkpoint]'") from error
    return safetensors
