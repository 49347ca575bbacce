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
    from signopt.optimizer import Groups, Optimizer

__all__ = ["load", "save"]

_HEADER = "signopt"
_FOLDERS = {"momentum": "momentum/", "rests": "rest/"}
"""The parts of a state that are tensors, and what their names begin with in a file."""
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I16": "int16"}


def save(optimizer: Optimizer | Groups, path: str | os.PathLike[str]) -> None:
    """Write the state of ``optimizer`` to ``path``, as its ``state_dict()`` gives it.

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
    plain, momenta = _parted(optimizer.state_dict())
    tensors = {name: to_host(momentum) for name, momentum in momenta.items()}
    replace_file(os.fsdecode(path), safetensors.numpy.save(tensors, metadata={_HEADER: json.dumps(plain)}))


def load(optimizer: Optimizer | Groups, path: str | os.PathLike[str]) -> None:
    """Load the state written by :func:`save` into ``optimizer``, or raise and change nothing.

    Raises
    ------
    ImportError
        Without the extra ``signopt[checkpoint]``.
    OSError
        If the file cannot be read.
    ValueError
        Naming the file, if it is damaged, was not written by :func:`save`, or does not fit ``optimizer``, as its
        ``load_state_dict`` says.
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


def _parted(state: Mapping[str, Any], where: str = "") -> tuple[dict[str, Any], dict[str, Array]]:
    """A state without its arrays, and these under the names that tensors have in a file."""
    plain = dict(state)
    tensors = {
        f"{where}{prefix}{name}": array
        for part, prefix in _FOLDERS.items()
        for name, array in plain.pop(part, {}).items()
    }
    for group, part in plain.get("groups", {}).items():
        plain["groups"] = {**plain["groups"]}
        plain["groups"][group], own = _parted(part, f"{where}groups/{group}/")
        tensors |= own
    return plain, tensors


def _joined(plain: Any, tensors: dict[str, Any], like: Mapping[str, Array], where: str = "") -> Any:
    """The inverse of :func:`_parted`. It takes what belongs to the state out of ``tensors``."""
    if not isinstance(plain, dict):
        return plain
    if isinstance(groups := plain.get("groups"), dict):
        parts = {group: _joined(part, tensors, like, f"{where}groups/{group}/") for group, part in groups.items()}
        return {**plain, "groups": parts}
    first, arrays = next(iter(like.values())), {}
    for part, folder in _FOLDERS.items():
        prefix = f"{where}{folder}"
        own = {name.removeprefix(prefix): tensors.pop(name) for name in list(tensors) if name.startswith(prefix)}
        arrays[part] = {name: _to_array(tensor, like.get(name, first), part) for name, tensor in own.items()}
    return {**plain, **arrays}


def _state(data: bytes, safetensors: Any, like: Mapping[str, Array]) -> Any:
    """The state in a file, its momenta as arrays like those given."""
    try:
        tensors = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise ValueError(f"it is truncated or no safetensors file ({error})") from error
    state = _joined(_header(data), tensors, like)
    if tensors:
        raise ValueError(f"it holds tensors that are no momenta: {', '.join(map(repr, tensors))}")
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


def _to_array(tensor: Mapping[str, Any], like: Array, part: str) -> Array:
    """A tensor of a file as an array of the library of ``like``, on its device."""
    if tensor["dtype"] not in _DTYPES or (tensor["dtype"] == "I16") != (part == "rests"):
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
