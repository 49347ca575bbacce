"""Whether a port reads or writes the digits of its numbers in the wrong order.

A port on a little-endian machine that prints memory as it lies swaps the bytes of every number. It may do so where it
reads, where it writes, and with the hyperparameters or not; what it then answers is what the plain port would answer
with the same bytes swapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports import BASES
from signopt.conformance.protocol.wire import decode_float, encode_float
from signopt.conformance.report import Report, Trace

__all__ = ["Swap", "diagnose", "discriminating", "explains", "follows", "swapped"]

_MOST_TRACES = 8
_ROUNDINGS = 1e-2  # of bfloat16; a swapped number is off by orders of magnitude

Array = np.ndarray[Any, Any]
Tensors = Mapping[str, Array]


@dataclass(frozen=True)
class Swap:
    """Where the bytes of a number are swapped."""

    arrays_read: bool = False
    arrays_written: bool = False
    hyperparameters: bool = False

    def __str__(self) -> str:
        parts = {
            "the arrays that it reads": self.arrays_read,
            "the arrays that it writes": self.arrays_written,
            "the hyperparameters": self.hyperparameters,
        }
        return f"the bytes of {' and of '.join(text for text, swaps in parts.items() if swaps)} are swapped"


_NONE = Swap()
_SWAPS = [Swap(*flags) for flags in product((False, True), repeat=3) if any(flags)]


def swapped(array: Array) -> Array:
    """The array whose numbers have their bytes in the opposite order."""
    bits = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
    return bits.byteswap().view(array.dtype).reshape(array.shape)


def discriminating(array: Array) -> Array:
    """About the same numbers, with bytes that make ordinary numbers also in the opposite order, and others."""
    bits = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
    return ((bits >> 8 << 8) | 0x40).astype(bits.dtype).view(array.dtype).reshape(array.shape)


def explains(rule: str, trace: Trace) -> Swap | None:
    """The swap that explains a life of a port: the plain port of its rule then shows the same numbers, and else others.

    A few roundings are forgiven: swapped bytes make numbers that are exact in no order of evaluation.
    """
    if rule not in BASES or not trace.outputs or follows(rule, trace):
        return None
    return next((swap for swap in _SWAPS if follows(rule, trace, swap)), None)


def diagnose(report: Report) -> None:
    """Let the report say so if a swap explains one of its failures."""
    traces = [trace for result in report.checks if result.status == "failed" for trace in result.traces]
    swap = next(filter(None, (explains(report.rule, trace) for trace in traces[:_MOST_TRACES])), None)
    if swap is not None:
        report.diagnosis.clear()
        report.explain([f"looks like swapped byte order: {swap}; signopt smoke says more"])


def follows(rule: str, trace: Trace, swap: Swap = _NONE) -> bool:
    """Whether the plain port of the rule, with this swap, shows about the same parameters after every step."""
    port = BASES[rule]()
    read = _each(swapped) if swap.arrays_read else dict
    write = _each(swapped) if swap.arrays_written else dict
    # The plain port may stumble over what swapped bytes mean; then they explain nothing.
    try:
        with np.errstate(all="ignore"):
            momentum = None if trace.momentum is None else read(trace.momentum)
            port.init(read(trace.params), _hyper(trace.hyper[0], swap), momentum)
            for grads, (params, _) in zip(trace.steps, trace.outputs, strict=True):
                port.step(read(grads))
                if not _about(write(port.params()), params):
                    return False
    except (ArithmeticError, ValueError, TypeError, LookupError):
        return False
    return True


def _each(change: Any) -> Any:
    return lambda tensors: {name: change(array) for name, array in tensors.items()}


def _hyper(hyper: Mapping[str, Any], swap: Swap) -> dict[str, Any]:
    return {name: _swapped_number(value) for name, value in hyper.items()} if swap.hyperparameters else dict(hyper)


def _swapped_number(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(map(_swapped_number, value))
    return decode_float(bytes.fromhex(encode_float(value))[::-1].hex()) if isinstance(value, float) else value


def _about(expected: Tensors, got: Tensors) -> bool:
    """Whether numbers agree up to roundings, and not only by being nothing but NaN or zero."""
    pairs = [(expected[name].astype(np.float64), array.astype(np.float64)) for name, array in got.items()]
    known = any((np.isfinite(array) & (array != 0)).any() for _, array in pairs)
    return known and all(np.allclose(one, two, rtol=_ROUNDINGS, atol=0, equal_nan=True) for one, two in pairs)
