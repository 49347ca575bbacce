"""Matrices that 16 bits hold through every legal evaluation, so that rounding to them changes nothing.

All elements of u have one size, a power of two, or are zero, and so has its norm; every number that an evaluation
stores is then a multiple of a grid with no more bits than the format has. See docs/acceptance.md, "Nothing to round".
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from signopt.conformance.oracle.formats import Format
from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.exact import Triple

__all__ = ["grid_of", "is_power_of_two"]

_LOST_EPS = Fraction(1, 2**25)
"""Of the norm: less than this of it, and ε is gone from a sum in 16 bits, as from one in float32."""


def grid_of(u: Block, norm: Fraction, eps: float, steps: Sequence[Triple], stored: Format) -> float:
    """The spacing of the numbers that an iteration of ``u`` comes to, whatever its order; 0 if it may have to round.

    For several applications of a·X alone it is relative to the last.
    """
    sizes = {abs(value) for value in u.ints.ravel().tolist()} - {0}
    if len(sizes) != 1 or not is_power_of_two(norm) or Fraction(eps) > norm * _LOST_EPS:
        return 0.0
    size = Fraction(sizes.pop()) * Fraction(2) ** u.exponent
    if not _in_range(size, norm, stored):
        return 0.0
    unit = size / norm
    if all(not b and not c for _, b, c in steps):
        return float(unit) if _holds_factors([a for a, _, _ in steps], unit, stored) else 0.0
    return _grid_of_one(unit, steps[0], stored) if len(steps) == 1 else 0.0


def is_power_of_two(value: Fraction) -> bool:
    """Whether ``value`` is one, of any sign of its exponent."""
    return value > 0 and not value.numerator & (value.numerator - 1) and not value.denominator & (value.denominator - 1)


def _in_range(size: Fraction, norm: Fraction, stored: Format) -> bool:
    return min(size, size**2) >= stored.smallest_normal and max(norm, norm**2) <= stored.largest


def _holds_factors(factors: Sequence[float], unit: Fraction, stored: Format) -> bool:
    """Whether every product of some of the factors is a number of the format, and the elements with it."""
    whole = Fraction(1)
    for factor in factors:
        whole *= abs(Fraction(factor))
        if not whole or whole * unit < stored.smallest_normal or max(whole, whole**4) > stored.largest:
            return False
    return _odd_bits(whole) <= stored.precision


def _grid_of_one(unit: Fraction, triple: Triple, stored: Format) -> float:
    """One application: multiples of u⁵, u³ or u and of the coefficients' last digit, none above |a| + |b| + |c|."""
    a, b, c = (Fraction(each) for each in triple)
    digit = Fraction(1, max(each.denominator for each in (a, b, c)))
    grid: Fraction = unit ** (5 if c else 3) * digit
    fits = (abs(a) + abs(b) + abs(c)) / grid <= 2**stored.precision
    return float(grid) if fits and grid >= stored.smallest_normal else 0.0


def _odd_bits(value: Fraction) -> int:
    """Bits of a number that is a multiple of a power of two."""
    odd = value.numerator
    while odd and not odd & 1:
        odd >>= 1
    return odd.bit_length()
