"""How numbers are spelled in a message: every float is the hexadecimal of its bits, so nothing is rounded.

An array is ``{"dtype": "float32", "shape": [2, 3], "data": "3f8000003f000000…"}``: the bit patterns, most
significant digit first, in C order, without separators: 4 digits an element for float16 and bfloat16, 8 for
float32 and uint32 (random words, which only a request has), 16 for float64. A hyperparameter is the 16 digits of its
binary64; whole numbers stay JSON integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from signopt.conformance.errors import ProtocolViolation
from signopt.conformance.oracle.rules import RULES

__all__ = [
    "KINDS", "brief", "decode_array", "decode_arrays", "decode_float", "encode_array", "encode_arrays", "encode_float",
    "encode_hyper",
]  # fmt: skip

_DIGITS = {"float16": 4, "bfloat16": 4, "float32": 8, "float64": 16, "uint32": 8}
_MAX_NDIM = 32


def encode_float(value: float) -> str:
    """The 16 hexadecimal digits of a binary64, for example ``1.0`` → ``"3ff0000000000000"``."""
    return np.array(value, dtype=">f8").tobytes().hex()


def decode_float(text: str) -> float:
    """The inverse of :func:`encode_float`."""
    return float(np.frombuffer(bytes.fromhex(text), dtype=">f8")[0])


def encode_array(array: np.ndarray) -> dict[str, Any]:
    """One array as a message spells it."""
    name = array.dtype.name
    if name not in _DIGITS:
        raise TypeError(f"dtype {name} has no spelling in the protocol: use one of {', '.join(_DIGITS)}")
    bits = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
    return {
        "dtype": name,
        "shape": list(array.shape),
        "data": bits.astype(bits.dtype.newbyteorder(">")).tobytes().hex(),
    }


def encode_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A mapping of arrays as a message spells it."""
    return {name: encode_array(np.asarray(array)) for name, array in arrays.items()}


def decode_array(spelled: object) -> np.ndarray:
    """One array out of a reply.

    Raises
    ------
    ProtocolViolation
        If it is not an array as the protocol spells it. Nothing is allocated on the word of ``shape`` alone.
    """
    if not isinstance(spelled, dict) or not {"dtype", "shape", "data"} <= spelled.keys():
        raise ProtocolViolation(f'an array is an object with "dtype", "shape" and "data", got {brief(spelled)}')
    name, shape, data = spelled["dtype"], spelled["shape"], spelled["data"]
    if not isinstance(name, str) or name not in _DIGITS:
        raise ProtocolViolation(f'"dtype" is one of {", ".join(_DIGITS)}, got {brief(name)}')
    if not isinstance(shape, list) or len(shape) > _MAX_NDIM or not all(_is_size(size) for size in shape):
        raise ProtocolViolation(f'"shape" is a list of sizes, got {brief(shape)}')
    wanted = math.prod(shape) * _DIGITS[name]
    if not isinstance(data, str) or len(data) != wanted:
        got = f"{len(data)} digits" if isinstance(data, str) else brief(data)
        raise ProtocolViolation(f'"data" of shape {shape} in {name} is {wanted} hexadecimal digits, got {got}')
    return _from_digits(name, shape, data)


def _is_size(size: object) -> bool:
    return type(size) is int and 0 <= size < 2**31


def _from_digits(name: str, shape: list[int], data: str) -> np.ndarray:
    itemsize = _DIGITS[name] // 2
    try:
        raw = bytes.fromhex(data)
        bits = np.frombuffer(raw, dtype=f">u{itemsize}").astype(f"u{itemsize}")
        return bits.reshape(shape).view(_dtype(name))
    except ValueError as error:
        raise ProtocolViolation(f'"data" cannot be read as {name} of shape {shape}: {error}') from None


def _dtype(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes  # noqa: F401  (registers the dtype's name)

    return np.dtype(name)


def decode_arrays(spelled: object) -> dict[str, np.ndarray]:
    """A mapping of arrays out of a reply; :class:`ProtocolViolation` names the array that is malformed."""
    if not isinstance(spelled, dict):
        raise ProtocolViolation(f"arrays travel as an object {{name: array}}, got {brief(spelled)}")
    arrays = {}
    for name, array in spelled.items():
        try:
            arrays[name] = decode_array(array)
        except ProtocolViolation as error:
            raise ProtocolViolation(f"array {brief(name)}: {error}") from None
    return arrays


def encode_hyper(hyper: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters as a message spells them.

    ``schedule`` becomes a list of ``[micro-step, factor]`` in rising order, or null; ``roles`` an object, or
    null.

    Raises
    ------
    NotImplementedError
        If ``schedule`` is a callable: a function cannot travel.
    """
    return {name: KINDS[_KIND_OF.get(name, "number")](value) for name, value in hyper.items()}


def _encode_schedule(schedule: Mapping[int, float] | Callable[[int], float] | None) -> list[list[Any]] | None:
    if callable(schedule):
        raise NotImplementedError("a callable schedule cannot travel to another process: give a {micro-step: factor}")
    return None if schedule is None else [[int(t), encode_float(schedule[t])] for t in sorted(schedule)]


def _encode_triples(given: Any) -> list[Any]:
    """A triple, or a list of triples."""
    return [encode_float(each) if np.ndim(each) == 0 else _encode_triples(each) for each in given]


KINDS: Mapping[str, Callable[[Any], Any]] = {
    "number": encode_float,
    "numbers": lambda numbers: [encode_float(number) for number in numbers],
    "count": int,
    "flag": bool,
    "name": lambda name: name,
    "triples": _encode_triples,
    "schedule": _encode_schedule,
    "roles": lambda roles: None if roles is None else dict(roles),
}
"""How a hyperparameter of each kind is spelled; its rule says of which kind it is."""

_KIND_OF = {each.name: each.kind for rule in RULES.values() for each in rule.hyper}


def brief(value: object, limit: int = 80) -> str:
    """A value as an error message shows it: its repr, cut short."""
    cut = value[: limit + 1] if isinstance(value, str | bytes) else value
    text = repr(cut)
    return text if len(text) <= limit else f"{text[:limit]}…"
