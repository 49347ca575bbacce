"""cos(πx) for a fraction x, to far more places than a float has."""

from __future__ import annotations

from fractions import Fraction

__all__ = ["cos_pi"]

_PLACES = 188
_PI = 0x3243F6A8885A308D313198A2E03707344A4093822299F31D
"""π·2¹⁸⁸, rounded down."""


def cos_pi(x: Fraction) -> Fraction:
    """cos(πx) for 0 ≤ x ≤ 1, within 2⁻¹⁷⁰, and exact if it is rational: only then could a rounding be a tie.

    By Niven's theorem it is rational for no x but 0, 1/3, 1/2, 2/3 and 1.
    """
    if x > Fraction(1, 2):
        return -cos_pi(1 - x)
    if 6 % x.denominator == 0 and x != Fraction(1, 6):
        return {0: Fraction(1), 2: Fraction(1, 2), 3: Fraction(0)}[int(6 * x)]
    angle = _PI * x.numerator // x.denominator
    square = angle * angle >> _PLACES
    total = term = 1 << _PLACES
    k = 0
    while term:
        k += 2
        term = -(term * square >> _PLACES) // ((k - 1) * k)
        total += term
    return Fraction(total, 1 << _PLACES)
