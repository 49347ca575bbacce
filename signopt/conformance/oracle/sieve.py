"""A quick look at whole arrays: which elements are plainly what :mod:`signopt.conformance.oracle.judge` allows.

It accepts only what the judgement in fractions would accept, with a margin for its own rounding, and leaves the rest to
it: elements that are wrong, on an edge, not finite or of extreme size. It never rejects.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

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
from signopt.conformance.oracle.doubledouble import Pair, combine, pair, product
from signopt.conformance.oracle.formats import Format
from signopt.conformance.oracle.law import Law, Shrink
from signopt.conformance.oracle.momentum import Floats, Mask, Momentum

__all__ = ["discriminating", "plainly_legal", "plainly_shrunk", "remembered"]

_INNER, _OUTER = 1 - 2.0**-10, 1 + 2.0**-10


def _lsb(values: Floats, of_zero: float = np.inf) -> Floats:
    """The largest power of two that divides each element."""
    mantissa, exponent = np.frexp(values)
    whole = (mantissa * 2.0**53).astype(np.int64)
    step = np.ldexp((whole & -whole).astype(np.float64), exponent - 53)
    return np.where(values == 0, of_zero, step)


def _half_spacing(values: Floats, storage: Format, outward: Mask | bool = False) -> Floats:
    """Half the distance to the next number of ``storage`` towards zero, or away from it where ``outward``."""
    mantissa, exponent = np.frexp(values)
    least = storage.emin - storage.precision + 1
    exponent = exponent - storage.precision - ((np.abs(mantissa) == 0.5) & ~np.asarray(outward))
    exponent = np.where(mantissa == 0, least, np.maximum(exponent, least))
    spacing: Floats = np.ldexp(0.5, exponent)
    return spacing


def _usual(*arrays: Floats) -> Mask:
    """Finite, and such that no product of these numbers leaves the range of the double-double arithmetic."""
    fine = np.True_
    for values in arrays:
        sizes = np.abs(values)
        fine = fine & ((values == 0) | ((sizes > 2.0**-850) & (sizes < 2.0**850)))
    return np.asarray(fine)


class _Weights:
    """b·m + a·g: the coefficients as floats and as pairs, and the power of two that divides both (0: none does)."""

    def __init__(self, coefficients: tuple[Fraction, Fraction], units: Units) -> None:
        b, a = coefficients
        self.b, self.a = float(b), float(a)
        self.pairs = pair(b), pair(a)
        sharp = representable(b, units.coefficients) and representable(a, units.coefficients)
        self.step = float(min(lsb(b), lsb(a))) if sharp else 0.0


@lru_cache(maxsize=256)
def _weights(coefficients: tuple[Fraction, Fraction], units: Units) -> _Weights:
    return _Weights(coefficients, units)


class _Constants:
    """The numbers of one law as float64, formed once."""

    def __init__(self, law: Law) -> None:
        self.units = law.units.floats
        self.memory = _weights(law.memory, law.units)
        self.direction = _weights(law.direction, law.units)
        self.wd, self.half = float(law.weight_decay), float(law.units.compute.largest / 2)
        self.errors = np.array([[float(error) for error in law.rate_errors]])
        self.spans = law.spans
        self.rates = np.array([pair(rate) for rate in law.rates]).T
        self.decays = np.array(product((self.rates[0], self.rates[1]), -self.wd)) if self.wd else self.rates
        self.steps = (float(lsb(law.rates[0])), float(lsb(law.weight_decay))) if law.sharp_move else None

    def each(self, rows: Floats) -> tuple[Any, ...]:
        """Each row with its numbers repeated for the elements that they hold for; a single number as it is."""
        return tuple(row[0] if len(row) == 1 else np.repeat(row, self.spans) for row in rows)


@lru_cache(maxsize=256)
def _constants(law: Law) -> _Constants:
    return _Constants(law)


@dataclass(frozen=True)
class _Average:
    low: Pair
    high: Pair
    slack: Floats
    exact: Mask


def _average(weights: _Weights, m: Momentum, g: Floats, units: Units) -> _Average:
    fresh = product(weights.pairs[1], g)
    low = combine(product(weights.pairs[0], m.low), fresh)
    high = low if m.low is m.high else combine(product(weights.pairs[0], m.high), fresh)
    size, gradient = np.maximum(np.abs(m.low), np.abs(m.high)), np.abs(g)
    exact = (size == 0) & (gradient == 0)
    if weights.step:
        quantum = np.minimum(_lsb(m.low), _lsb(g))
        exact |= m.known & average_is_exact(weights.step, size, gradient, quantum, units)
    slack = average_slack(weights.b, weights.a, size, gradient, units)
    return _Average(low, high, np.where(exact, 0.0, slack), exact)


def plainly_legal(law: Law, p: Floats, g: Floats, m: Momentum, new_p: Floats, new_m: Floats | None) -> Mask:
    """Where the new parameter, and the new momentum if shown, are legal beyond doubt; all arrays flat."""
    if not p.size or not (law.judged or not law.moves):
        return np.zeros(p.shape, bool)
    constants = _constants(law)
    memory = _average(constants.memory, m, g, constants.units)
    fine = _usual(p, g, m.low, m.high, new_p) & _in_range(constants, p, g, m)
    if new_m is not None:
        near = _near(new_m, memory.low, memory.slack, memory.exact, m.storage, law)
        fine = fine & _usual(new_m) & near
    if not law.moves:
        return np.asarray(fine & (new_p == p))
    direction = memory if law.sign_of_memory else _average(constants.direction, m, g, constants.units)
    return np.asarray(fine & _moved_by_a_legal_sign(law, constants, p, new_p, direction, m.storage))


def _in_range(constants: _Constants, p: Floats, g: Floats, m: Momentum) -> Mask:
    """No sum or product of these may overflow; rates and decays of the checks are below 2^20."""
    rate, size = np.max(constants.rates[0]), np.abs(p)
    reached = (size + 1) * (1 + rate * constants.wd + rate + constants.wd)
    largest = np.maximum(np.abs(g) + np.maximum(np.abs(m.low), np.abs(m.high)), reached)
    return np.asarray(largest < constants.half * _INNER)


def _moved_by_a_legal_sign(
    law: Law, constants: _Constants, p: Floats, new_p: Floats, direction: _Average, storage: Format
) -> Mask:
    slack = direction.slack
    if law.sign_of_memory and storage.precision < law.units.compute.precision:
        slack = slack + float(storage.smallest)
    still = direction.exact & (direction.low[0] == 0)
    up, down = direction.low[0] > slack * _OUTER, direction.high[0] < -slack * _OUTER
    certain = np.where(still, 0.0, up * 1.0 - down)
    legal = (still | up | down) & _reached(law, constants, p, new_p, certain)
    band = ~still & (direction.low[0] < slack * _INNER) & (direction.high[0] > -slack * _INNER)
    if band.any():
        for s in (-1.0, 0.0, 1.0):
            legal = legal | (band & _reached(law, constants, p, new_p, np.full(p.shape, s)))
    return np.asarray(legal)


def _reached(law: Law, constants: _Constants, p: Floats, new_p: Floats, s: Floats) -> Mask:
    """Where ``new_p`` is p − rate·(s + wd·p) within the bounds."""
    (high, low), (rho,) = constants.each(constants.rates), constants.each(constants.errors)
    size = np.abs(p)
    target: Pair = combine((p, 0.0), (-s * high, -s * low))
    if constants.wd:
        target = combine(target, product(constants.each(constants.decays), p))
    exact = np.broadcast_to(high == 0, p.shape)
    if constants.steps:
        exact = exact | move_is_exact(size, _lsb(p, 1.0), high, constants.wd, *constants.steps, constants.units)
    slack = move_slack(size, np.abs(s), high, rho, constants.wd, constants.units)
    return _near(new_p, target, np.where(exact, 0.0, slack), exact, law.storage, law)


def _near(value: Floats, target: Pair, slack: Floats, exact: Mask, storage: Format, law: Law | Shrink) -> Mask:
    """Where ``value`` is a rounding to ``storage`` of something within ``slack`` of ``target``."""
    distance = np.abs((value - target[0]) - target[1])
    rounding = _half_spacing(value, storage, np.abs(target[0]) > np.abs(value))
    within = distance <= slack * (1 - 2.0**-40) + rounding * (1 - 2.0**-20)
    if storage.precision < law.units.compute.precision:
        return np.asarray(within)
    close: Mask = np.where(exact, distance == 0, within)
    return close


def plainly_shrunk(law: Shrink, p: Floats, new_p: Floats) -> Mask:
    """Where ``new_p`` is the parameter after a NaN gradient, beyond doubt."""
    centre = np.full(p.shape, float(law.centre))
    target = combine(product(pair(law.factor), p), product(pair(1 - law.factor), centre))
    slack = shrink_slack(np.abs(p), law.centre, law.units.floats)
    return np.asarray(_usual(p, new_p) & _near(new_p, target, slack, np.zeros(p.shape, bool), law.storage, law))


def discriminating(law: Law | Shrink, p: Floats, g: Floats, m: Momentum) -> tuple[Mask, Mask]:
    """Where an element can tell a right step from one with another sign, and from one without decay.

    That is where the bound, with the rounding to storage, is below half of the rate, or half of rate·wd·|p|; and,
    for the sign, where the sign is certain. After a NaN: where it is below half of what the shrinking moves.
    """
    if isinstance(law, Shrink):
        slack = shrink_slack(np.abs(p), law.centre, law.units.floats) + _half_spacing(p, law.storage)
        return slack < np.abs(p - law.centre) * float(1 - law.factor) / 2, np.zeros(p.shape, bool)
    if not law.moves:
        return np.ones(p.shape, bool), np.zeros(p.shape, bool)
    constants = _constants(law)
    direction = _average(constants.direction, m, g, constants.units)
    certain = direction.exact | (direction.low[0] > direction.slack) | (direction.high[0] < -direction.slack)
    (rate, _), (rho,) = constants.each(constants.rates), constants.each(constants.errors)
    slack = move_slack(np.abs(p), 1.0, rate, rho, constants.wd, constants.units) + _half_spacing(p, law.storage)
    decays = slack < rate * constants.wd * np.abs(p) / 2
    return law.judged & certain & ((slack < rate / 2) | (rate == 0)), law.judged & np.asarray(decays)


def remembered(law: Law, g: Floats, m: Momentum) -> Momentum:
    """The momentum after a step of a port that does not show it: ends that hold every legal result.

    Where g or m is NaN or infinite it stays so, and the ends are equal; where the result is of extreme size they are
    infinite and opposite: nothing is known.
    """
    constants = _constants(law)
    new = _average(constants.memory, m, g, constants.units)
    slack = new.slack * _OUTER
    slack = slack + np.abs(new.low[0]) * constants.units.doubled(m.storage) * (new.slack > 0)
    low, high = _below(new.low[0] - slack, m.storage), -_below(-(new.high[0] + slack), m.storage)
    sharp = new.exact & _holds(new.low[0], m.storage)
    low, high = np.where(sharp, new.low[0], low), np.where(sharp, new.high[0], high)
    usual = _usual(g, m.low, m.high) & np.isfinite(low) & np.isfinite(high)
    lost = m.known & ~(np.isfinite(g) & np.isfinite(m.low)) | np.isnan(g) | np.isnan(m.low)
    lost |= np.isinf(g) & np.isfinite(m.low) & np.isfinite(m.high)
    low, high = (
        np.where(lost, g + m.low, np.where(usual, ends, unknown)) for ends, unknown in ((low, -np.inf), (high, np.inf))
    )
    return Momentum(low, high, m.storage)


def _holds(values: Floats, storage: Format) -> Mask:
    same: Mask = values.astype(storage.dtype).astype(np.float64) == values
    return same


def _below(values: Floats, storage: Format) -> Floats:
    """A number of ``storage`` that is not above the rounding of any value from ``values`` up."""
    lower: Floats = (values - 4 * _half_spacing(values, storage)).astype(storage.dtype).astype(np.float64)
    return lower
