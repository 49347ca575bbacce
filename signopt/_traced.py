"""Numbers that are known only when a compiled program runs, and arithmetic on them in binary64."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import array_api_compat

from signopt._namespace import Array, Namespace, cast, divide, dtype_name, is_traced, namespace_of

__all__ = ["Traced", "binary64", "choose", "concrete", "is_multiple", "known", "scalar"]


def binary64(array: Array) -> AbstractContextManager[Any]:
    """Within it, arrays of the library of ``array`` may be float64; JAX forbids it elsewhere without jax_enable_x64."""
    if not array_api_compat.is_jax_array(array):
        return nullcontext()
    context: AbstractContextManager[Any] = sys.modules["jax"].enable_x64(True)
    return context


def scalar(value: Any, name: str) -> Any:
    """A 0-d array as the number that it holds: a Python number, or a :class:`Traced` if it is not known yet.

    Raises
    ------
    TypeError
        If it is no 0-d array of real numbers.
    """
    if isinstance(value, Traced):
        return value
    if not array_api_compat.is_array_api_obj(value) or value.ndim or not _is_real(value):
        what = f"{value.dtype} array of shape {tuple(value.shape)}" if hasattr(value, "shape") else repr(value)
        raise TypeError(f"{name} must be a real number or a 0-d array of one, got {type(value).__name__}: {what}")
    if is_traced(value):
        return Traced(value)
    return float(value) if "float" in dtype_name(value) else int(value)


def _is_real(array: Array) -> bool:
    return dtype_name(array).startswith(("float", "bfloat", "int", "uint"))


@dataclass(frozen=True, eq=False)
class Traced:
    """A 0-d array without a value yet. Arithmetic on it is that of Python floats: in binary64, each result rounded."""

    array: Array

    def is_integer(self) -> bool:
        """Whether it holds an integer."""
        return "int" in dtype_name(self.array)

    def map(self, operation: Callable[..., Array], *others: Any) -> Traced:
        """``operation`` on this number and ``others``, all as float64 arrays."""
        with binary64(self.array):
            return Traced(operation(self.wide(), *(o.wide() if isinstance(o, Traced) else o for o in others)))

    def wide(self) -> Array:
        """The number as a float64 array, to be used within :func:`binary64`; a truth value as it is."""
        xp = namespace_of(self.array)
        return self.array if self.array.dtype == xp.bool else cast(xp, self.array, xp.float64)

    def rounded(self, xp: Namespace, compute: str, name: str) -> Array:
        """The number as a 0-d array of the compute dtype, for arrays of the library ``xp``; a truth value as it is."""
        if xp is not namespace_of(self.array):
            raise TypeError(
                f"{name} is traced, a {type(self.array).__name__}, and the arrays are of another library; under a "
                "trace, use the pure functions on traced arrays"
            )
        with binary64(self.array):
            return self.array if self.array.dtype == xp.bool else cast(xp, self.array, getattr(xp, compute))

    def __add__(self, other: Any) -> Traced:
        return self.map(lambda a, b: a + b, other)

    def __sub__(self, other: Any) -> Traced:
        return self.map(lambda a, b: a - b, other)

    def __rsub__(self, other: Any) -> Traced:
        return self.map(lambda a, b: b - a, other)

    def __mul__(self, other: Any) -> Traced:
        return self.map(lambda a, b: a * b, other)

    def __truediv__(self, other: Any) -> Traced:
        return self.map(divide, other)

    def __rtruediv__(self, other: Any) -> Traced:
        return self.map(lambda a, b: b / a, other)

    __radd__, __rmul__ = __add__, __mul__


def known(number: Any) -> bool:
    """Whether the value of ``number`` is known by now, so that its range can be checked."""
    return not isinstance(number, Traced)


def concrete(number: Any, name: str) -> Any:
    """``number``, or TypeError if it is traced: it decides what is computed, and so must be known before."""
    if isinstance(number, Traced):
        raise TypeError(f"{name} is traced, but it decides what is compiled; pass a Python number")
    return number


def is_multiple(number: Any, divisor: Any) -> Any:
    """Whether the integer ``number`` is a multiple of ``divisor``; either may be traced."""
    if isinstance(number, Traced):
        return number.map(lambda a, b: a % b == 0, divisor)
    if isinstance(divisor, Traced):
        return divisor.map(lambda b, a: a % b == 0, number)
    return number % divisor == 0


def choose(condition: Any, first: Any, second: Any) -> Any:
    """``first`` if ``condition`` else ``second``, each of which may be traced."""
    if not isinstance(condition, Traced):
        return first if condition else second
    return condition.map(namespace_of(condition.array).where, first, second)
