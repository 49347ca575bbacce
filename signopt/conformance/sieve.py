"""A quick look at whole arrays: which elements are plainly what :mod:`signopt.conformance.legal` allows.

It accepts only what the judgement in fractions would accept, with a margin for its own rounding, and leaves the rest to
it: elements that are wrong, on an edge, not finite or of extreme size. It never rejects.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from signopt.conformance.bounds import average_is_exact, average_slack, move_is_exact, move_slack, shrink_slack
from signopt.conformance.doubledouble import Pair, combine, pair, product
from signopt.conformance.formats import Format
from signopt.conformance.law import Law, Shrink

__all__ = ["Momentum", "plainly_legal", "plainly_shrunk", "remembered"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
_INNER, _OUTER = 1 - 2.0**-10, 1 + 2.0**-10


def number(value: Fraction) -> float:
    """A fraction as float64, beyond its range infinite."""
    try:
        return float(value)
    except OverflowError:
        return np.inf


@dataclass(frozen=True)
class Momentum:
    """The momentum of one tensor as float64: two ends, the same array where the port shows it, and its format."""

    low: Floats
    high: Floats
    storage: Format

    @property
    def known(self) -> Mask:
        """Where both ends are one number."""
        return np.asarray(self.low == self.high)

    @classmethod
    def shown(cls, values: Any, storage: Format) -> Momentum:
        """As a port shows it."""
        wide = np.asarray(values).astype(np.float64)
        return cls(wide, wide, storage)


def lsb(values: Floats) -> Floats:
    """The largest power of two that divides each element; 1 for zero."""
    mantissa, exponent = np.frexp(values)
    whole = (mantissa * 2.0**53).astype(np.int64)
    step = np.ldexp((whole & -whole).astype(np.float64), exponent - 53)
    return np.where(values == 0, 1.0, step)


def half_spacing(values: Floats, storage: Format) -> Floats:
    """Half the distance to the nearest neighbour of each number of the format ``storage``."""
    mantissa, exponent = np.frexp(np.abs(values))
    least = storage.emin - storage.precision + 1
    exponent = np.where(mantissa == 0, least, exponent - storage.precision - (mantissa == 0.5))
    spacing: Floats = np.ldexp(0.5, np.maximum(exponent, least))
    return spacing


def _usual(*arrays: Floats) -> Mask:
    """Finite, and such that no product of these numbers leaves the range of the double-double arithmetic."""
    fine = np.True_
    for values in arrays:
        sizes = np.abs(values)
        fine = fine & ((values == 0) | ((sizes > 2.0**-400) & (sizes < 2.0**400)))
    return np.asarray(fine)


@dataclass(frozen=True)
class _Average:
    low: Pair
    high: Pair
    slack: Floats
    exact: Mask


def _average(coefficients: tuple[Fraction, Fraction], m: Momentum, g: Floats, law: Law) -> _Average:
    b, a = coefficients
    fresh = product(pair(a), g)
    low = combine(product(pair(b), m.low), fresh)
    high = low if m.low is m.high else combine(product(pair(b), m.high), fresh)
    size = np.maximum(np.abs(m.low), np.abs(m.high))
    quantum = np.minimum(np.where(m.low == 0, np.inf, lsb(m.low)), np.where(g == 0, np.inf, lsb(g)))
    empty = (size == 0) & (g == 0)
    quantum = np.where(empty, 1.0, quantum)
    exact = m.known & average_is_exact(b, a, size, np.abs(g), quantum, law.units, number)
    slack = average_slack(b, a, size, np.abs(g), law.units, number)
    exact = exact | empty
    return _Average(low, high, np.where(exact, 0.0, slack), exact)


def plainly_legal(law: Law, p: Floats, g: Floats, m: Momentum, new_p: Floats, new_m: Floats | None) -> Mask:
    """Where the new parameter, and the new momentum if shown, are legal beyond doubt."""
    rates = np.repeat([number(rate) for rate in law.rates], max(p.size // len(law.rates), 0)).reshape(p.shape)
    usual = _usual(p, g, m.low, m.high, rates, new_p) & (law.judged | (not law.moves))
    memory = _average(law.memory, m, g, law)
    direction = memory if law.sign_of_memory else _average(law.direction, m, g, law)
    fine = usual & _in_range(law, p, g, m, rates)
    if new_m is not None:
        fine = fine & _usual(new_m) & _near(new_m, memory.low, memory.slack, memory.exact, m.storage, law)
    if not law.moves:
        return np.asarray(fine & (new_p == p))
    return fine & _moved_by_a_legal_sign(law, p, new_p, rates, direction, m.storage)


def _in_range(law: Law, p: Floats, g: Floats, m: Momentum, rates: Floats) -> Mask:
    half, wd = number(law.units.compute.largest / 2), number(law.weight_decay)
    size = np.abs(p)
    reached = np.maximum(size * (1 + rates * wd) + rates, wd * size + 1 + rates * wd)
    inside: Mask = (np.abs(g) + np.maximum(np.abs(m.low), np.abs(m.high)) < half * _INNER) & (reached < half * _INNER)
    return inside


def _moved_by_a_legal_sign(
    law: Law, p: Floats, new_p: Floats, rates: Floats, direction: _Average, storage: Format
) -> Mask:
    slack = direction.slack
    if law.sign_of_memory and storage.precision < law.units.compute.precision:
        slack = slack + number(storage.smallest)
    still = direction.exact & (direction.low[0] == 0)
    up = ~still & (direction.low[0] > slack * _OUTER)
    down = ~still & (direction.high[0] < -slack * _OUTER)
    band = ~still & (direction.low[0] < slack * _INNER) & (direction.high[0] > -slack * _INNER)
    legal = np.zeros(p.shape, bool)
    for s, certain in ((0, still), (1, up), (-1, down)):
        possible = certain | band
        if possible.any():
            legal |= possible & _reached(law, p, new_p, rates, s)
    return legal


def _reached(law: Law, p: Floats, new_p: Floats, rates: Floats, s: int) -> Mask:
    """Where ``new_p`` is p − rate·(s + wd·p) within the bounds."""
    wd, size = law.weight_decay, np.abs(p)
    pairs = [pair(rate) for rate in law.rates]
    repeats = max(p.size // len(pairs), 0)
    high, low = (np.repeat(part, repeats).reshape(p.shape) for part in zip(*pairs, strict=True))
    target: Pair = combine((p, 0.0), (-s * high, -s * low))
    if wd:
        decays = [pair(rate * wd) for rate in law.rates]
        dh, dl = (np.repeat(part, repeats).reshape(p.shape) for part in zip(*decays, strict=True))
        target = combine(target, product((-dh, -dl), p))
    exact = np.zeros(p.shape, bool)
    if law.plain_rate and not law.units.flush:
        exact = move_is_exact(size, lsb(p), law.rates[0], wd, law.units, number)
    exact = exact | (rates == 0)
    slack = move_slack(size, s, rates, number(law.rate_error), wd, law.units, number)
    return _near(new_p, target, np.where(exact, 0.0, slack), exact, law.storage, law)


def _near(value: Floats, target: Pair, slack: Floats, exact: Mask, storage: Format, law: Law | Shrink) -> Mask:
    """Where ``value`` is a rounding to ``storage`` of something within ``slack`` of ``target``."""
    distance = np.abs((value - target[0]) - target[1])
    narrow = storage.precision < law.units.compute.precision
    rounding = half_spacing(value, storage) * _INNER
    if narrow:
        return np.asarray(distance <= slack * _INNER + rounding)
    close: Mask = np.where(exact, distance == 0, distance <= slack * (1 - 2.0**-40) + rounding)
    return close


def plainly_shrunk(law: Shrink, p: Floats, new_p: Floats) -> Mask:
    """Where ``new_p`` is the parameter after a NaN gradient, beyond doubt."""
    shifted = combine((p, 0.0), (-float(law.centre) * np.ones_like(p), 0.0))
    high, low = product(shifted, number(law.factor))
    rest = pair(law.factor)[1]
    target = combine((high, low + rest * shifted[0]), (float(law.centre) * np.ones_like(p), 0.0))
    slack = shrink_slack(np.abs(p), law.centre, law.units, number)
    return _usual(p, new_p) & _near(new_p, target, slack, np.zeros(p.shape, bool), law.storage, law)


def remembered(law: Law, g: Floats, m: Momentum) -> Momentum:
    """The momentum after a step of a port that does not show it: ends that hold every legal result.

    Where the result is not finite or of extreme size the ends are infinite: nothing is known.
    """
    new = _average(law.memory, m, g, law)
    slack = new.slack * _OUTER + np.abs(new.low[0]) * number(law.units.doubled(m.storage)) * (new.slack > 0)
    low, high = _below(new.low[0] - slack, m.storage), -_below(-(new.high[0] + slack), m.storage)
    sharp = new.exact & _holds(new.low[0], m.storage)
    low, high = np.where(sharp, new.low[0], low), np.where(sharp, new.high[0], high)
    usual = _usual(g, m.low, m.high) & np.isfinite(low) & np.isfinite(high)
    return Momentum(np.where(usual, low, -np.inf), np.where(usual, high, np.inf), m.storage)


def _holds(values: Floats, storage: Format) -> Mask:
    with np.errstate(all="ignore"):
        same: Mask = values.astype(storage.dtype).astype(np.float64) == values
    return same


def _below(values: Floats, storage: Format) -> Floats:
    """A number of ``storage`` that is not above the rounding of any value from ``values`` up."""
    step = 4 * half_spacing(values, storage)
    with np.errstate(all="ignore"):
        return (values - step).astype(storage.dtype).astype(np.float64)
