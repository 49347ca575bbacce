"""How far a legal evaluation may be from the exact value: the bounds of docs/acceptance.md.

Every function here is a formula that runs on exact fractions and, unchanged, on float64 arrays; the first is what
decides, the second only spares the work. u is the unit roundoff of the arithmetic, uc that of the coefficients, tiny
the absolute error that an underflow may add.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from signopt.conformance.formats import Format

__all__ = ["Units", "average_is_exact", "average_slack", "move_is_exact", "move_slack", "shrink_slack"]


@dataclass(frozen=True)
class Units:
    """The roundings of one port: of its arithmetic, of its coefficients, and what underflow costs.

    ``second_order`` is the factor that covers every product of roundings; ``doubled`` the further rounding, relative
    to the result, where it is rounded to a wider format first.
    """

    compute: Format
    u: Fraction
    uc: Fraction
    tiny: Fraction
    flush: bool

    @classmethod
    def of(cls, compute: Format, uc: Fraction, flush: bool) -> Units:
        """The units of arithmetic in ``compute``; ``flush`` lets subnormals become zero."""
        return cls(compute, compute.unit, uc, compute.smallest_normal if flush else compute.smallest, flush)

    @property
    def second_order(self) -> Fraction:
        """1 + 16·u."""
        return 1 + 16 * self.u

    def doubled(self, storage: Format) -> Fraction:
        """u where the result goes through ``compute`` on its way to a narrower storage, else 2^-10·u."""
        return self.u if storage.precision < self.compute.precision else self.u / 1024


def average_slack(b: Fraction, a: Fraction, m: Any, g: Any, units: Units, number: Any = Fraction) -> Any:
    """The most by which any legal order can miss b·m + a·g before its last rounding; ``m`` and ``g`` ≥ 0.

    (uc + 2·u·max(b, a))·(m + g)·(1 + 16·u) + 8·tiny
    """
    relative = number((units.uc + 2 * units.u * max(b, a)) * units.second_order)
    return relative * (m + g) + number(8 * units.tiny)


def average_is_exact(
    b: Fraction, a: Fraction, m: Any, g: Any, quantum: Any, units: Units, number: Any = Fraction
) -> Any:
    """Whether each intermediate of each legal order of b·m + a·g is a number of the compute format.

    They are all multiples of lsb(b, a)·``quantum``, where ``quantum`` divides m and g, and none is larger than m + g.
    """
    coefficients = min(lsb(b), lsb(a))
    if not all(units.compute.round(x) == x for x in (b, a)):
        return (m + g) < 0
    step = number(coefficients) * quantum
    return ((m + g) <= number(1 / units.u) * step) & (step >= number(units.tiny))


def move_slack(p: Any, s: int, rate: Any, rho: Any, wd: Fraction, units: Units, number: Any = Fraction) -> Any:
    """The most by which any legal order can miss p − rate·(s + wd·p) before its last rounding; ``p`` ≥ 0.

    With ρ the relative error of the rate as the port forms it,
    (1 + 16·u)·(2·u·p·(1 + rate·wd) + (ρ + 3·u)·rate·|s| + (ρ + uc + 4·u)·rate·wd·p) and underflow; without decay
    only (1 + 16·u)·(ρ + u)·rate·|s|: where s = 0 too, p stays.
    """
    underflow = number(8 * units.tiny) * (1 + rate + p)
    u, grown = number(units.u), number(units.second_order)
    if wd:
        decay = rate * number(wd)
        moved = (rho + 3 * u) * rate * abs(s) + (rho + number(units.uc) + 4 * u) * decay * p
        return grown * (2 * u * p * (1 + decay) + moved) + underflow
    moved = (grown * (rho + u) * rate + number(2 * units.tiny)) * abs(s)
    return moved + (underflow if units.flush else 0 * p)


def move_is_exact(p: Any, quantum: Any, rate: Fraction, wd: Fraction, units: Units, number: Any = Fraction) -> Any:
    """Whether each intermediate of each legal order of p − rate·(s ± wd·p) is a number of the compute format.

    ``quantum`` divides ``p`` ≥ 0. Each line below is one intermediate: its bound, and a power of two that divides it.
    """
    if not all(units.compute.round(x) == x for x in (rate, wd)):
        return p < 0
    r, w = lsb(rate), lsb(wd)
    decay = rate * wd
    whole = min(Fraction(1), r * w)
    lines = [
        (number(wd) * p, number(w) * quantum),
        (1 + number(wd) * p, number(w) * quantum),
        (1 + number(wd) * p, number(Fraction(1))),
        (number(rate) * (1 + number(wd) * p), number(r * w) * quantum),
        (number(rate) * (1 + number(wd) * p), number(r)),
        (number(1 + decay), number(whole)),
        (p * number(1 + decay) + number(rate), number(whole) * quantum),
        (p * number(1 + decay) + number(rate), number(r)),
    ]
    fits = p >= 0
    for bound, divisor in lines:
        fits = fits & (bound <= number(1 / units.u) * divisor) & (divisor >= number(units.tiny))
    return fits


def shrink_slack(p: Any, centre: int, units: Units, number: Any = Fraction) -> Any:
    """The most by which (p − centre)·s + centre, or s·p + (1 − s)·centre, can be off; ``p`` ≥ 0."""
    relative = number((units.uc + 4 * units.u) * units.second_order)
    return relative * (p + 2 * centre) + number(8 * units.tiny)


def lsb(value: Fraction) -> Fraction:
    """The largest power of two that divides a dyadic ``value``; 1 for zero."""
    if not value:
        return Fraction(1)
    return Fraction(value.numerator & -value.numerator, value.denominator)
