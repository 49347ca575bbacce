"""Matrices of integers under one common exponent: arithmetic in which nothing is rounded but by `Block.trimmed`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["BITS", "Block", "dyadic"]

Array = np.ndarray[Any, Any]

BITS = 256
"""Bits of the largest element that `Block.trimmed` keeps."""


@dataclass(frozen=True)
class Block:
    """The matrix ``ints · 2^exponent``; ``ints`` is an object array of Python integers."""

    ints: Array
    exponent: int

    @classmethod
    def of(cls, values: Array) -> Block:
        """An array of finite floats, exactly."""
        mantissas, exponents = np.frexp(np.asarray(values, np.float64))
        whole = (mantissas * 2.0**53).astype(np.int64).astype(object)
        used = exponents[mantissas != 0] - 53
        least = int(used.min()) if used.size else 0
        return cls(whole << np.maximum(exponents - 53 - least, 0).astype(object), least)

    @property
    def bits(self) -> int:
        """Bits of the largest element."""
        return max(map(int.bit_length, self.ints.ravel().tolist()), default=0)

    def trimmed(self) -> Block:
        """The same but for an error below 2^-`BITS` + 1 of the largest element."""
        surplus = self.bits - BITS
        return self if surplus <= 0 else Block(self.ints >> surplus, self.exponent + surplus)

    def __matmul__(self, other: Block) -> Block:
        return Block(self.ints @ other.ints, self.exponent + other.exponent)

    def __add__(self, other: Block) -> Block:
        low = min(self.exponent, other.exponent)
        return Block(self._at(low) + other._at(low), low)

    def __sub__(self, other: Block) -> Block:
        return self + other.times(Fraction(-1))

    def _at(self, exponent: int) -> Array:
        return self.ints << (self.exponent - exponent)

    def times(self, factor: Fraction) -> Block:
        """The product with a number whose denominator is a power of two."""
        return Block(self.ints * factor.numerator, self.exponent - (factor.denominator.bit_length() - 1))

    def over(self, divisor: Fraction) -> Block:
        """The quotient, with `BITS` bits of its largest element."""
        shift = max(BITS + divisor.numerator.bit_length() - self.bits - divisor.denominator.bit_length() + 2, 0)
        return Block((self.ints << shift) * divisor.denominator // divisor.numerator, self.exponent - shift).trimmed()

    def square_sum(self) -> Fraction:
        """The sum of the squares of all elements."""
        total = sum(value * value for value in self.ints.ravel().tolist())
        return _scaled(total, 2 * self.exponent)

    @property
    def transposed(self) -> Block:
        """The transpose."""
        return Block(self.ints.T, self.exponent)

    def reshaped(self, shape: tuple[int, ...]) -> Block:
        """The elements in C order in another shape."""
        return Block(self.ints.reshape(shape), self.exponent)

    def floats(self) -> Array:
        """The elements as float64, to within an ulp."""
        try:
            whole = self.ints.astype(np.float64)
        except OverflowError:
            return self._long_floats()
        with np.errstate(over="ignore"):
            return np.asarray(np.ldexp(whole, self.exponent))

    def _long_floats(self) -> Array:
        """The same, one at a time, for integers that are too long to become a float themselves."""
        flat = [_as_float(value, self.exponent) for value in self.ints.ravel().tolist()]
        return np.array(flat, np.float64).reshape(self.ints.shape)


def dyadic(value: Fraction, bits: int = BITS) -> Fraction:
    """``value`` cut to a number with ``bits`` bits, so that its denominator is a power of two."""
    if not value or not value.denominator & (value.denominator - 1):
        return value
    shift = bits - value.numerator.bit_length() + value.denominator.bit_length()
    return _scaled((value.numerator << max(shift, 0)) // (value.denominator << max(-shift, 0)), -shift)


def root(value: Fraction) -> Fraction:
    """The square root from below, to `BITS` bits."""
    if not value:
        return Fraction(0)
    shift = 2 * BITS - value.numerator.bit_length() + value.denominator.bit_length()
    shift += shift % 2
    whole = math.isqrt((value.numerator << max(shift, 0)) // (value.denominator << max(-shift, 0)))
    return _scaled(whole, -shift // 2)


def _scaled(whole: int, exponent: int) -> Fraction:
    return Fraction(whole << max(exponent, 0), 1 << max(-exponent, 0))


def _as_float(value: int, exponent: int) -> float:
    surplus = max(abs(value).bit_length() - 64, 0)
    try:
        return math.ldexp(float(value >> surplus), exponent + surplus)
    except OverflowError:
        return math.copysign(math.inf, value)
