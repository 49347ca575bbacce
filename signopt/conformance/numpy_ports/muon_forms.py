"""Forms of Muon from which more than one right port is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.muon import MuonPort

__all__ = ["JORDAN", "cast_to", "narrow", "stored", "sum_form"]

JORDAN = (3.4445, -4.7750, 2.0315)


def cast_to(dtype: str) -> Callable[[Array], Array]:
    """x with the bits of a 16-bit dtype, in float32."""
    if dtype == "bfloat16":
        return w.bfloat16
    return lambda x: np.asarray(x, np.float32).astype(np.float16).astype(np.float32)


def narrow(port: MuonPort, dtype: str) -> MuonPort:
    """The port with every iterate rounded to 16 bits, declared; what it does wrong stays wrong."""
    cast, plain = cast_to(dtype), type(port)

    class Narrow(plain):  # type: ignore[misc, valid-type]
        declared: ClassVar[Any] = {**plain.declared, "ns_dtype": dtype}

        def normalise(self, x: Array) -> Array:
            return cast(super().normalise(cast(x)))

        def polynomial(self, x: Array, a: Any, b: Any, c: Any) -> Array:
            return cast(super().polynomial(x, a, b, c))

    return Narrow()


def sum_form(self: NumpyPort, m: Array, g: Array, beta: float) -> Array:
    """β·m + g."""
    return m.dtype.type(beta) * m + g


def stored(dtype: str) -> dict[str, Any]:
    """An iteration whose matrices are stored in 16 bits, with products summed in float32."""
    cast = cast_to(dtype)

    def polynomial(self: MuonPort, x: Array, a: Any, b: Any, c: Any) -> Array:
        a, b, c = (cast(np.asarray(each, np.float32)) for each in (a, b, c))
        gram = cast(x @ x.T)
        inner = cast(cast(b * gram) + cast(cast(c * gram) @ gram))
        return cast(cast(a * x) + cast(inner @ x))

    def normalise(self: MuonPort, x: Array) -> Array:
        x = cast(x)
        divisor = cast(cast(np.sqrt(np.sum(x * x))) + np.float32(self.eps()))
        return cast(x / divisor) if divisor else x

    return {
        "iteration": lambda self, kind: np.dtype(np.float32),
        "polynomial": polynomial,
        "normalise": normalise,
        "declared": {"ns_dtype": dtype},
    }
