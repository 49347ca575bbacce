"""What a right port may give for one element: the exact direction, its region, and the sets of legal results.

This is the judgement; :mod:`signopt.conformance.oracle.sieve` only spares it the elements that are plainly right.
Everything is a fraction. A set of legal results is the set of numbers of the storage format between two of them, ends
included: rounding is monotonic, so it holds every rounding of every value between the two real ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from signopt.conformance.oracle.bounds import (
    Units,
    average_is_exact,
    average_slack,
    lsb,
    move_is_exact,
    move_slack,
    representable,
    shrink_slack,
)
from signopt.conformance.oracle.formats import Format
from signopt.conformance.oracle.law import Law, Shrink

__all__ = ["ANYTHING", "Allowed", "Judgement", "judge", "judge_shrink", "nearness"]


@dataclass(frozen=True)
class Allowed:
    """The legal values: the union of closed ranges, and NaN or not."""

    ranges: tuple[tuple[float, float], ...]
    nan: bool = False

    def __contains__(self, value: float) -> bool:
        if math.isnan(value):
            return self.nan
        return any(low <= value <= high for low, high in self.ranges)

    def __str__(self) -> str:
        parts = [low.hex() if low == high else f"{low.hex()} … {high.hex()}" for low, high in self.ranges]
        return " or ".join([*parts, *(["nan"] if self.nan else [])])


ANYTHING = Allowed(((-math.inf, math.inf),), nan=True)
_NAN = Allowed((), nan=True)
_NONFINITE = Allowed(((-math.inf, -math.inf), (math.inf, math.inf)), nan=True)


@dataclass(frozen=True)
class Judgement:
    """One element judged: the exact ``direction`` c, its region, the legal signs, parameters and momenta.

    ``region`` is "clear" (the sign is certain), "band" (legal rounding may change it), "zero", "subnormal" (clear,
    with c or what it is made of below the normal range) or "nonfinite".
    """

    direction: Fraction | float
    region: str
    signs: tuple[int, ...]
    param: Allowed
    momentum: Allowed


@dataclass(frozen=True)
class _Average:
    """b·m + a·g for m between two ends: the exact ends, and how far off a legal order may be (None: not at all)."""

    low: Fraction
    high: Fraction
    slack: Fraction

    @property
    def exact(self) -> bool:
        return not self.slack and self.low == self.high


def _average(coefficients: tuple[Fraction, Fraction], m: tuple[float, float], g: float, units: Units) -> _Average:
    b, a = coefficients
    low, high = (b * Fraction(end) + a * Fraction(g) for end in m)
    size = max(abs(Fraction(end)) for end in m)
    if not any(m) and not g:
        return _Average(low, high, Fraction(0))
    sharp = m[0] == m[1] and representable(b, units.coefficients) and representable(a, units.coefficients)
    quantum = min(lsb(Fraction(x)) for x in (m[0], g) if x) if any((m[0], g)) else Fraction(1)
    if sharp and average_is_exact(min(lsb(b), lsb(a)), size, abs(Fraction(g)), quantum, units):
        return _Average(low, high, Fraction(0))
    return _Average(low, high, average_slack(b, a, size, abs(Fraction(g)), units))


def nearness(value: Fraction, slack: Fraction, storage: Format, units: Units) -> tuple[float, float]:
    """The numbers of ``storage`` to which a value within ``slack`` of ``value`` may be rounded: least and largest."""
    if slack or units.by_single(storage):
        slack += abs(value) * units.doubled(storage)
    return storage.round(value - slack), storage.round(value + slack)


def judge(
    law: Law, p: float, g: float, m: tuple[float, float], momentum_storage: Format, rate: tuple[Fraction, Fraction]
) -> Judgement:
    """Judge one element: ``p``, ``g``, and the momentum as an interval whose ends are equal if it is known.

    ``rate`` is the exact rate and the relative error with which it may be formed.
    """
    if not all(map(math.isfinite, (g, *m))):
        return _nonfinite(law, p, g, m, rate)
    if not _in_range(law, g, m):
        return Judgement(math.nan, "nonfinite", (-1, 0, 1), ANYTHING, ANYTHING)
    new = _average(law.memory, m, g, law.units)
    direction = new if law.sign_of_memory else _average(law.direction, m, g, law.units)
    signs = _signs(direction, law, momentum_storage)
    low = nearness(new.low, new.slack, momentum_storage, law.units)
    high = nearness(new.high, new.slack, momentum_storage, law.units)
    momentum = Allowed(((low[0], high[1]),))
    param = _param(law, p, signs, rate)
    return Judgement(direction.low, _region(direction, signs, law, m, g), signs, param, momentum)


def _signs(direction: _Average, law: Law, momentum_storage: Format) -> tuple[int, ...]:
    """The signs that a legal evaluation may see."""
    slack = direction.slack
    if law.sign_of_memory and momentum_storage.precision < law.units.compute.precision:
        slack += momentum_storage.smallest
    if direction.exact and slack == direction.slack:
        return ((direction.low > 0) - (direction.low < 0),)
    if not direction.low and not direction.high and not direction.slack:
        return (0,)
    if direction.low - slack > 0:
        return (1,)
    return (-1,) if direction.high + slack < 0 else (-1, 0, 1)


def _region(direction: _Average, signs: tuple[int, ...], law: Law, m: tuple[float, float], g: float) -> str:
    if signs == (0,):
        return "zero"
    if len(signs) > 1:
        return "band"
    normal = law.units.compute.smallest_normal
    parts = [abs(Fraction(x)) for x in (*m, g)] + [abs(direction.low)]
    return "subnormal" if any(0 < part < normal for part in parts) else "clear"


def _param(law: Law, p: float, signs: tuple[int, ...], rate: tuple[Fraction, Fraction]) -> Allowed:
    if not law.moves:
        return Allowed((), nan=True) if math.isnan(p) else Allowed(((p, p),))
    if not math.isfinite(p):
        return _NAN if math.isnan(p) else _NONFINITE
    if not law.judged or not _move_in_range(law, p, rate[0]):
        return ANYTHING
    return Allowed(tuple(_candidate(law, p, s, *rate) for s in signs))


def _candidate(law: Law, p: float, s: int, rate: Fraction, rate_error: Fraction) -> tuple[float, float]:
    """The legal parameters if the sign is ``s``; a rate of zero leaves p in every order."""
    if not rate:
        return p, p
    exact_p, wd, units = Fraction(p), law.weight_decay, law.units
    target = exact_p - rate * (s + wd * exact_p)
    size = abs(exact_p)
    if law.sharp_move and move_is_exact(size, lsb(size), rate, wd, lsb(rate), lsb(wd), units):
        return nearness(target, Fraction(0), law.storage, units)
    slack = move_slack(size, abs(s), rate, rate_error, wd, units)
    return nearness(target, slack, law.storage, units)


def _in_range(law: Law, g: float, m: tuple[float, float]) -> bool:
    return 2 * (abs(Fraction(g)) + max(abs(Fraction(end)) for end in m)) <= law.units.compute.largest


def _move_in_range(law: Law, p: float, rate: Fraction) -> bool:
    size = abs(Fraction(p))
    decayed = law.weight_decay * size
    reached = max(size * (1 + rate * law.weight_decay) + rate, decayed + 1, rate * law.weight_decay)
    return 2 * reached <= law.units.compute.largest


def _nonfinite(law: Law, p: float, g: float, m: tuple[float, float], rate: tuple[Fraction, Fraction]) -> Judgement:
    """NaN or Inf in g or m. Inf may become NaN (g − m); sign(NaN) is NaN, or 0 if the port declares so."""
    if math.isinf(m[0]) and m[1] == -m[0]:
        return Judgement(math.nan, "nonfinite", (-1, 0, 1), ANYTHING, ANYTHING)
    value = sum(math.copysign(1.0, x) * math.inf if math.isinf(x) else x * 0 for x in (m[0], g))
    direction = math.nan if any(map(math.isnan, (g, *m))) else value
    momentum = _NAN if math.isnan(direction) else Allowed(((direction, direction),), nan=True)
    side = 0 if math.isnan(direction) else int(math.copysign(1, direction))
    signs = tuple(s for s in (side, 0) if law.nan == "zero" or s)
    if not law.moves or not math.isfinite(p):
        return Judgement(direction, "nonfinite", signs, _param(law, p, signs, rate), momentum)
    moved = _param(law, p, signs, rate)
    return Judgement(direction, "nonfinite", signs, Allowed(moved.ranges, nan=law.nan != "zero"), momentum)


def judge_shrink(law: Shrink, p: float) -> Allowed:
    """The legal parameters after a NaN gradient."""
    if not math.isfinite(p):
        return _NAN if math.isnan(p) else _NONFINITE
    if p == law.centre == 0:
        return Allowed(((0.0, 0.0),))
    target = (Fraction(p) - law.centre) * law.factor + law.centre
    slack = shrink_slack(abs(Fraction(p)), law.centre, law.units)
    return Allowed((nearness(target, slack, law.storage, law.units),))
