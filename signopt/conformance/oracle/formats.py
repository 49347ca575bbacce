"""Binary floating-point formats, and correct rounding of exact rationals to them.

Values are carried as Python floats: binary64 holds every float32, float16 and bfloat16 exactly. What is exact
is a ratio of two integers; `Format.round_ratio` is the only place where one becomes a float.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

__all__ = ["FORMATS", "Format", "compute_format", "format_of"]


@dataclass(frozen=True)
class Format:
    """A binary format of IEEE 754 kind: ``precision`` significant bits, exponents from ``emin`` to ``emax``.

    Examples
    --------
    >>> FORMATS["float16"].round(Fraction(1, 3)).hex()
    '0x1.5540000000000p-2'
    >>> FORMATS["float16"].round(Fraction(10**6))
    inf
    """

    name: str
    precision: int
    emin: int
    emax: int
    bytes: int

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype; bfloat16 is that of ml_dtypes."""
        if self.name == "bfloat16":
            try:
                import ml_dtypes  # noqa: F401  (registers the dtype's name)
            except ImportError as error:
                raise ImportError("bfloat16 needs ml_dtypes: pip install signopt[bfloat16]") from error
        return np.dtype(self.name)

    @cached_property
    def unit(self) -> Fraction:
        """The unit roundoff u = 2^-precision: rounding changes a normal number by at most u of itself."""
        return Fraction(1, 1 << self.precision)

    @cached_property
    def smallest(self) -> Fraction:
        """The smallest positive number, a subnormal: the spacing of everything below ``smallest_normal``."""
        return Fraction(2) ** (self.emin - self.precision + 1)

    @cached_property
    def smallest_normal(self) -> Fraction:
        """2^emin: below it the spacing no longer shrinks."""
        return Fraction(2) ** self.emin

    @cached_property
    def largest(self) -> Fraction:
        """The largest finite number."""
        return Fraction(2) ** (self.emax + 1) * (1 - self.unit)

    def round(self, value: Fraction) -> float:
        """The nearest number of this format, ties to even; beyond the range ±inf, zero as +0."""
        return self.round_ratio(value.numerator, value.denominator)

    def round_ratio(self, numerator: int, denominator: int) -> float:
        """``numerator / denominator`` (denominator > 0) rounded once, to nearest even.

        Subnormals and overflow are included. A nonzero ratio that underflows keeps its sign: −0.0 from below.
        """
        if numerator == 0:
            return 0.0
        magnitude, side = abs(numerator), (-1.0 if numerator < 0 else 1.0)
        exponent = magnitude.bit_length() - denominator.bit_length()
        if (magnitude << max(-exponent, 0)) < (denominator << max(exponent, 0)):
            exponent -= 1
        last = max(exponent, self.emin) - self.precision + 1
        quotient, rest = divmod(magnitude << max(-last, 0), denominator << max(last, 0))
        twice, whole = 2 * rest, denominator << max(last, 0)
        if twice > whole or (twice == whole and quotient & 1):
            quotient += 1
        if quotient.bit_length() + last > self.emax + 1:
            return side * math.inf
        return side * math.ldexp(quotient, last)

    def cast(self, value: float) -> float:
        """A float of any wider format rounded once to this one; NaN, ±inf and ±0 stay."""
        if value == 0 or not math.isfinite(value):
            return value
        return self.round_ratio(*value.as_integer_ratio())


FORMATS = {
    "float64": Format("float64", 53, -1022, 1023, 8),
    "float32": Format("float32", 24, -126, 127, 4),
    "float16": Format("float16", 11, -14, 15, 2),
    "bfloat16": Format("bfloat16", 8, -126, 127, 2),
}


def format_of(dtype: Any) -> Format:
    """The format of a NumPy dtype (or its name); TypeError for any other dtype."""
    return _format_of(dtype if isinstance(dtype, str) else np.dtype(dtype))


@lru_cache(maxsize=64)
def _format_of(dtype: str | np.dtype[Any]) -> Format:
    name = dtype if isinstance(dtype, str) else dtype.name
    if name not in FORMATS:
        raise TypeError(f"dtype {name!r} is not one of {', '.join(FORMATS)}")
    return FORMATS[name]


def compute_format(storage: Format) -> Format:
    """The format in which the library computes: float64 for float64, else float32."""
    return FORMATS["float64"] if storage.name == "float64" else FORMATS["float32"]
