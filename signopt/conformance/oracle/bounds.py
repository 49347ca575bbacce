"""How far a legal evaluation may be from the exact value: the bounds of docs/acceptance.md.

Every function here is a formula that runs on exact fractions and, unchanged, on floats and float64 arrays; the first is
what decides, the second only spares the work.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from signopt.conformance.oracle.formats import FORMATS, Format

__all__ = [
    "Units", "average_is_exact", "average_slack", "lsb", "move_is_exact", "move_slack", "representable", "shrink_slack",
]  # fmt: skip


_SINGLE = FORMATS["float32"]


@dataclass(frozen=True, eq=False)
class Units:
    """The roundings of one port, as fractions or as floats.

    ``u`` is the unit roundoff of the arithmetic, ``uc`` that of the coefficients, ``tiny`` the absolute error that an
    underflow may add: the smallest number, or the smallest normal one if subnormals may be flushed.
    """

    compute: Format
    coefficients: Format
    u: Any
    uc: Any
    tiny: Any
    flush: bool

    @classmethod
    def of(cls, compute: Format, coefficients: Format, flushed: Format | None = None) -> Units:
        """The units of arithmetic in ``compute``; subnormals of it and of the format ``flushed`` may become zero."""
        u, uc = compute.unit, coefficients.unit
        if flushed is None:
            return cls(compute, coefficients, u, uc, compute.smallest, False)
        return cls(compute, coefficients, u, uc, max(compute.smallest_normal, flushed.smallest_normal), True)

    @cached_property
    def floats(self) -> Units:
        """The same as floats."""
        return replace(self, u=float(self.u), uc=float(self.uc), tiny=float(self.tiny))

    @property
    def second_order(self) -> Any:
        """1 + 16·max(u, uc), which covers every product of roundings, those of coefficients too."""
        return 1 + 16 * max(self.u, self.uc)

    def doubled(self, storage: Format) -> Any:
        """The further rounding of a result that is first rounded to a wider format, relative to it.

        u if the storage is narrower than the arithmetic; else 2^-10·u, for arithmetic at least ten bits wider.
        From float64 no hardware converts to bfloat16 but by way of float32.
        """
        if self.by_single(storage):
            return type(self.u)(_SINGLE.unit)
        return self.u if storage.precision < self.compute.precision else self.u / 1024

    def by_single(self, storage: Format) -> bool:
        """Whether a result may be rounded to float32 on its way to a narrower storage."""
        return storage.precision < _SINGLE.precision < self.compute.precision


def average_slack(b: Any, a: Any, m: Any, g: Any, units: Units) -> Any:
    """The most by which any legal order can miss b·m + a·g before its last rounding; ``m`` and ``g`` ≥ 0.

    (uc + 2·u·max(b, a))·(m + g)·(1 + 16·max(u, uc)) + 8·tiny
    """
    return (units.uc + 2 * units.u * max(b, a)) * units.second_order * (m + g) + 8 * units.tiny


def average_is_exact(step: Any, m: Any, g: Any, quantum: Any, units: Units) -> Any:
    """Whether each intermediate of each legal order of b·m + a·g is a number of the compute format.

    They are all multiples of ``step``·``quantum``, where ``step`` is the power of two that divides b and a, which are
    themselves numbers of the format, and ``quantum`` the one that divides m and g; and none is larger than m + g.
    """
    multiple = step * quantum
    return (units.u * (m + g) <= multiple) & (multiple >= units.tiny)


def move_slack(p: Any, s: Any, rate: Any, rho: Any, wd: Any, units: Units) -> Any:
    """The most by which any legal order can miss p − rate·(s + wd·p) before its last rounding; ``p`` and ``s`` ≥ 0.

    With ρ the relative error of the rate as the port forms it, and h = 1 + 16·max(u, uc),
    h·((u + uc)·p·(1 + rate·wd) + (ρ + 3·u)·rate·s + (ρ + 2·uc + 3·u)·rate·wd·p) and underflow; without decay
    only h·(ρ + u)·rate·s: where s = 0 too, p stays.
    """
    u, uc, grown = units.u, units.uc, units.second_order
    if wd:
        decay = rate * wd
        moved = (rho + 3 * u) * rate * s + (rho + 2 * uc + 3 * u) * decay * p
        return grown * ((u + uc) * p * (1 + decay) + moved) + 8 * units.tiny * (1 + rate + p)
    moved = (grown * (rho + u) * rate + 2 * units.tiny) * s
    return moved + 8 * units.tiny * (1 + rate + p) if units.flush else moved


def move_is_exact(p: Any, quantum: Any, rate: Any, wd: Any, rate_lsb: Any, wd_lsb: Any, units: Units) -> Any:
    """Whether each intermediate of each legal order of p − rate·(s ± wd·p) is a number of the compute format.

    Rate and decay are such numbers; ``quantum`` divides ``p`` ≥ 0. Each pair below is one kind of intermediate: its
    bound, and a power of two that divides it.
    """
    decay, whole = rate * wd, min(1, rate_lsb * wd_lsb)
    fits = p >= 0
    for bound, divisor in (
        (1 + wd * p, wd_lsb * quantum),
        (rate * (1 + wd * p), rate_lsb * wd_lsb * quantum),
        (p * (1 + decay) + rate, whole * quantum),
        (1 + wd * p, 1),
        (1 + decay, whole),
        (p * (1 + decay) + rate, rate_lsb),
    ):
        fits = fits & (units.u * bound <= divisor) & (divisor >= units.tiny)
    return fits


def shrink_slack(p: Any, centre: int, units: Units) -> Any:
    """The most by which (p − centre)·s + centre, or s·p + (1 − s)·centre, can be off; ``p`` ≥ 0."""
    return (units.uc + 4 * units.u) * units.second_order * (p + 2 * centre) + 8 * units.tiny


def lsb(value: Fraction) -> Fraction:
    """The largest power of two that divides a dyadic ``value``; 1 for zero."""
    if not value:
        return Fraction(1)
    return Fraction(value.numerator & -value.numerator, value.denominator)


def representable(value: Fraction, target: Format) -> bool:
    """Whether ``value`` is a finite number of the format."""
    rounded = target.round(value)
    return abs(rounded) <= target.largest and rounded == value
