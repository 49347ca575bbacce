"""Exact arithmetic with one rounding an operation, and the pieces of a step that every sign rule is made of.

Nothing here knows a rule: each operation is carried out on the exact ratio of its operands and rounded once. The
steps in :mod:`signopt.conformance.oracle.rules` are made of these pieces, so that they and ``signopt.rules`` are two
derivations of one contract that must agree in every bit. The written order (decay in the bracket, multiply-add, 1 − β
in binary64) is the default; the orders that a port may declare instead are arguments, and what all legal orders
together may give is in :mod:`signopt.conformance.oracle.judge`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from signopt.conformance.oracle.formats import FORMATS, Format, compute_format, format_of

__all__ = [
    "BINARY64",
    "CANONICAL",
    "COMPLEMENTS",
    "DECAYS",
    "FORMS",
    "Arithmetic",
    "Array",
    "Average",
    "Move",
    "Order",
    "arithmetic_of",
    "average",
    "coefficients",
    "exact_text",
    "floats",
    "move",
    "root",
    "sign",
    "stored",
]

Array = np.ndarray[Any, Any]
BINARY64 = FORMATS["float64"]


def sign(value: float) -> float:
    """−1, 0 or 1; NaN for NaN, and +0 for either zero."""
    if math.isnan(value):
        return value
    return float((value > 0) - (value < 0))


@dataclass(frozen=True)
class Arithmetic:
    """+, −, × and fused multiply-add on numbers of one format, each rounded once from the exact result."""

    format: Format

    def add(self, a: float, b: float) -> float:
        """``a + b``."""
        if not (math.isfinite(a) and math.isfinite(b)):
            return a + b
        (n, d), (k, e) = a.as_integer_ratio(), b.as_integer_ratio()
        exact = n * e + k * d
        return self.format.round_ratio(exact, d * e) if exact else a + b

    def sub(self, a: float, b: float) -> float:
        """``a − b``."""
        return self.add(a, -b)

    def mul(self, a: float, b: float) -> float:
        """``a·b``."""
        if a == 0 or b == 0 or not (math.isfinite(a) and math.isfinite(b)):
            return a * b
        (n, d), (k, e) = a.as_integer_ratio(), b.as_integer_ratio()
        return self.format.round_ratio(n * k, d * e)

    def fma(self, a: float, b: float, c: float) -> float:
        """``a·b + c`` with one rounding."""
        if not (math.isfinite(a) and math.isfinite(b)):
            return a * b + c
        if not math.isfinite(c):
            return c
        exact = Fraction(a) * Fraction(b) + Fraction(c)
        if exact:
            return self.format.round(exact)
        return 0.0 if a and b else a * b + c


@dataclass(frozen=True)
class Order:
    """An order of evaluation that a port may declare for the strict profile.

    ``decay``: "bracket" p − lr·(s + wd·p), or "first" p·(1 − lr·wd) − lr·s.
    ``form``: "mul-add" b·m + a·g; "fma" the same with the last product fused into the sum, fma(a, g, b·m);
    "lerp" m + a·(g − m); "torch-lerp" the same with the sum fused, and from the other end g − (g − m)·(1 − a)
    where a ≥ 0.5; "difference" (m − g)·b + g.
    ``complement``: 1 − β formed in "double", or in the "dtype" from the rounded β.
    """

    decay: str = "bracket"
    form: str = "mul-add"
    complement: str = "double"


CANONICAL = Order()
_BINARY64 = Arithmetic(BINARY64)


def _mul_add(x: Arithmetic, b: float, a: float, m: float, g: float) -> float:
    return x.add(x.mul(b, m), x.mul(a, g))


def _fma(x: Arithmetic, b: float, a: float, m: float, g: float) -> float:
    return x.fma(a, g, x.mul(b, m))


def _lerp(x: Arithmetic, b: float, a: float, m: float, g: float) -> float:
    return x.add(m, x.mul(a, x.sub(g, m)))


def _torch_lerp(x: Arithmetic, b: float, a: float, m: float, g: float) -> float:
    rise = x.sub(g, m)
    return x.fma(a, rise, m) if a < 0.5 else x.fma(-rise, x.sub(1.0, a), g)


def _difference(x: Arithmetic, b: float, a: float, m: float, g: float) -> float:
    return x.add(x.mul(x.sub(m, g), b), g)


FORMS: Mapping[str, Callable[[Arithmetic, float, float, float, float], float]] = {
    "mul-add": _mul_add, "fma": _fma, "lerp": _lerp, "torch-lerp": _torch_lerp, "difference": _difference,
}  # fmt: skip
DECAYS = ("bracket", "first")
COMPLEMENTS = ("double", "dtype")

Average = Callable[[float, float], float]
Move = Callable[[float, float], float]


def coefficients(x: Arithmetic, beta: float, share: int, order: Order) -> tuple[float, float]:
    """β and (1−β)/share in the format of ``x``, the latter by way of binary64 or of the dtype."""
    b = x.format.cast(beta)
    wide, start = (x, b) if order.complement == "dtype" else (_BINARY64, beta)
    shared = Fraction(wide.sub(1.0, start)) / share
    return b, x.format.cast(wide.format.round(shared))


def average(x: Arithmetic, b: float, a: float, order: Order) -> Average:
    """The moving average b·m + a·g as a function of (m, g)."""
    form = FORMS[order.form]
    return lambda m, g: form(x, b, a, m, g)


def move(x: Arithmetic, rate: float, weight_decay: float, order: Order) -> Move:
    """The update of the parameter as a function of (p, s); ``rate`` and ``weight_decay`` are binary64."""
    r, wd = x.format.cast(rate), x.format.cast(weight_decay)
    if order.decay == "bracket":
        return lambda p, s: x.sub(p, x.mul(r, x.add(s, x.mul(wd, p))))
    kept = x.format.cast(_BINARY64.sub(1.0, _BINARY64.mul(rate, weight_decay)))
    return lambda p, s: x.sub(x.mul(p, kept), x.mul(r, s))


def floats(array: Array) -> list[float]:
    """The elements of an array of any shape and any of the four dtypes, exactly, in C order."""
    values: list[float] = np.asarray(array).astype(np.float64).ravel().tolist()
    return values


def stored(values: list[float], like: Array) -> Array:
    """Rounded once to the dtype of ``like``, in its shape."""
    target = format_of(like.dtype)
    return np.array([target.cast(v) for v in values], np.float64).astype(target.dtype).reshape(like.shape)


def arithmetic_of(param: Array, compute: str | None) -> Arithmetic:
    """The arithmetic on ``param``: by default in float64 for float64 and in float32 for all else."""
    return Arithmetic(FORMATS[compute] if compute else compute_format(format_of(param.dtype)))


def root(value: Fraction, bits: int) -> Fraction:
    """√value to ``bits`` significant bits and a sticky bit below, which makes a later rounding correct."""
    if not value:
        return value
    scale = bits - (value.numerator.bit_length() - value.denominator.bit_length()) // 2
    shifted = value * Fraction(4) ** scale
    whole = math.isqrt(int(shifted))
    inexact = whole * whole != shifted
    return Fraction(2 * whole + inexact, 2) / Fraction(2) ** scale


def exact_text(value: Fraction | float) -> str:
    """An exact number as decimal and fraction, or a float that is not finite."""
    if isinstance(value, float):
        return value.hex()
    try:
        decimal = f"{float(value):.17g}"
    except OverflowError:
        decimal = "beyond float64"
    text = f"{value.numerator}/{value.denominator}"
    return f"{decimal} = {text}" if len(text) < 120 else decimal
