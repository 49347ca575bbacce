"""The radius: how far any legal evaluation may be from the exact iterate, in Frobenius norm.

The letters are those of docs/acceptance.md: r the radius so far, s the spectral norm of |X|, k the longer side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.exact import Triple, iterates, normalised
from signopt.conformance.oracle.muon.held import grid_of
from signopt.conformance.oracle.muon.sensitivity import Carried, singular_values
from signopt.conformance.oracle.muon.units import Precision, gamma

__all__ = ["Enclosure", "enclose", "local_error"]

Array = np.ndarray[Any, Any]

MOST = 1e3
"""Beyond this a radius says nothing, and is given as infinite."""
_INFLATION = 1 + 2.0**-30
"""Covers the roundings of the radius itself."""


@dataclass(frozen=True)
class Enclosure:
    """The exact last iterate, and the radius of legal ones around it. ``start`` is the exact X₀, of a u of ``norm``.

    ``least`` is a part of the radius that is soon found. As right ports seldom come near to the whole, what is within
    it is accepted, and the rest is worked out only if something is not. ``sampled`` is what may be in the place of a
    radius above a half (see `spread`), and infinite if nothing may. ``held`` says that 16 bits need not round (see
    `held`); ``precision`` is without them then.
    """

    x: Block
    start: Block
    norm: float
    least: float
    steps: tuple[Triple, ...]
    first: float
    shown: tuple[Array, ...]
    precision: Precision
    sampled: float = math.inf
    held: bool = False

    @cached_property
    def radius(self) -> float:
        """How far a legal iterate may be from ``x``, in Frobenius norm."""
        return self.sampled if math.isfinite(self.sampled) else self.proven

    @property
    def ground(self) -> str:
        """What the radius is: that of a proof, or of a sample; "nothing" if sampling failed, too."""
        if math.isfinite(self.sampled):
            return "spread"
        return "nothing" if math.isnan(self.sampled) else "radius"

    @cached_property
    def proven(self) -> float:
        """The same without sampling, from what X₀ and every step may be off."""
        if not self.first:
            return 0.0
        if not all(np.isfinite(x).all() for x in self.shown):
            return math.inf
        return _carried(self.shown, self.steps, self.first, self.precision) * _INFLATION

    def with_sample(self, sampled: float) -> Enclosure:
        """The same if nothing is proven but that legal iterates scatter so far, unless more is proven."""
        return self if sampled >= self.proven else replace(self, sampled=sampled, least=min(self.least, sampled))


def enclose(
    u: Block, u_error: float, steps: Sequence[Triple], eps: float, form: str, precision: Precision
) -> Enclosure:
    """The iterate of ``u``, which a port knows up to ``u_error`` in Frobenius norm, and its radius."""
    start, norm, divisor = normalised(u, eps, form)
    exact = iterates(start, steps)
    shown = tuple(x.floats() for x in exact)

    def enclosed(precision: Precision, lost: float = 0.0, *, held: bool = False) -> Enclosure:
        nothing = not norm and not u_error
        first = 0.0 if nothing else input_error(shown[0], u_error, norm, divisor, precision) + lost
        least = 0.0 if nothing else _least(shown, steps, first, precision)
        return Enclosure(exact[-1], start, float(norm), least, tuple(steps), first, shown, precision, held=held)

    if precision.accumulates_wider and norm:
        grid = grid_of(u, norm, eps, steps, precision.iteration)
        found = enclosed(precision.held, eps / float(norm), held=True) if grid else None
        if found is not None and _disturbed(found) < grid * float(precision.iteration.unit) / 2:
            return found
    return enclosed(precision)


def _disturbed(found: Enclosure) -> float:
    """How far any number of an evaluation may be from what it is without rounding; if all is a·X, in proportion."""
    if all(not b and not c for _, b, c in found.steps):
        return found.proven / float(np.prod([abs(a) for a, _, _ in found.steps]))
    (a, b, c), x = found.steps[0], found.shown[0]
    return found.first * (abs(a) + 3 * abs(b) + 5 * abs(c)) + local_error(x, found.first, (a, b, c), found.precision)


def _least(shown: Sequence[Array], steps: Sequence[Triple], first: float, precision: Precision) -> float:
    """What the last step alone may add, which no radius is below."""
    if not steps:
        return first
    return local_error(shown[-2], 0.0, steps[-1], precision) if np.isfinite(shown[-2]).all() else 0.0


def input_error(x: Array, u_error: float, norm: Fraction, divisor: Fraction, precision: Precision) -> float:
    """How far X₀ may be off: what is known of u, its norm, ε, the division, and storing it in the iteration's dtype."""
    if not divisor:
        return math.inf
    over = float(1 / divisor) if 1 / divisor < Fraction(10) ** 300 else math.inf
    moved = 2 * u_error * over if u_error else 0.0
    counted = gamma(x.size / 2 + 7, max(precision.inner, float(precision.compute.unit)))
    if precision.accumulates_wider:
        counted = (1 + counted) * (1 + gamma(6, precision.unit)) - 1
    size = float(np.linalg.norm(x))
    lost = _lost_squares(x.size, norm, precision) * over if not precision.scaled else 0.0
    absolute = math.sqrt(x.size) * precision.stored_underflow * (1 + 2 * over)
    return (size + moved) * (counted + lost) + moved + absolute


def _lost_squares(count: int, norm: Fraction, precision: Precision) -> float:
    """How much the norm may lack because squares underflow: √(N·tiny), or N·tiny/‖u‖ if that is less."""
    lost = count * float(precision.norm_underflow)
    return min(math.sqrt(lost), lost / float(norm)) if float(norm) else math.sqrt(lost)


def _carried(shown: Sequence[Array], steps: Sequence[Triple], first: float, precision: Precision) -> float:
    """Every local error times what the later steps make of it, or the whole radius a step at a time: the smaller."""
    carried, errors, radius = Carried(shown[0].shape), [first], first
    for x, triple in zip(shown, steps, strict=False):
        values, uncertain = singular_values(x)
        carried.start(values, radius + uncertain)
        grown = carried.advance(triple)
        local = local_error(x, radius, triple, precision)
        radius = local + min(float(np.dot(errors, grown)), radius * float(grown[-1]))
        errors.append(local)
        if not radius <= MOST:
            return math.inf
    return radius


def local_error(x: Array, radius: float, triple: Triple, precision: Precision) -> float:
    """What one step may add, in Frobenius norm, at any matrix within ``radius`` of ``x``."""
    a, b, c = (abs(each) for each in triple)
    rows, columns = x.shape
    longer, size = max(rows, columns), np.abs(x)
    gram = size @ size.T if rows <= columns else size.T @ size
    cube = gram @ size if rows <= columns else size @ gram
    fifth = gram @ cube if rows <= columns else cube @ gram
    s = float(np.linalg.norm(size, 2))
    reach = s + radius
    powers = (
        float(np.linalg.norm(size)) + radius,
        float(np.linalg.norm(cube)) + 3 * radius * reach**2,
        float(np.linalg.norm(fifth)) + 5 * radius * reach**4,
    )
    counts = _counts(rows, columns, precision)
    rounded = sum(count * factor * power for count, factor, power in zip(counts, (a, b, c), powers, strict=True))
    products = _underflow(longer, reach, 1 + a + b + c, precision)
    return rounded + products + _flushed(rows, columns, reach, (a, b, c), precision)


def _counts(rows: int, columns: int, precision: Precision) -> tuple[float, float, float]:
    """The relative error of either monomial: 2k + 4, m + n + k + 5 and 2(m + n) + 6 operations, in any order.

    If matrices are stored in 16 bits and summed in float32, 4, 6 and 8 storages besides.
    """
    longer, both = max(rows, columns), rows + columns
    counted = [gamma(count, precision.inner) for count in (2 * longer + 4, both + longer + 5, 2 * both + 6)]
    if precision.accumulates_wider:
        stored = [gamma(count, precision.unit) for count in (4, 6, 8)]
        counted = [(1 + one) * (1 + two) - 1 for one, two in zip(counted, stored, strict=True)]
    if precision.coefficient > precision.inner:
        counted = [(1 + one) * (1 + precision.coefficient) - 1 for one in counted]
    one, two, three = counted
    return one, two, three


def _underflow(longer: int, reach: float, factors: float, precision: Precision) -> float:
    """Products that underflow: each of at most 16·k³ of them is off by ``tiny`` times what it is multiplied with."""
    return float(precision.underflow * 16 * longer**3 * factors * (1 + reach) ** 4)


def _flushed(rows: int, columns: int, reach: float, factors: Triple, precision: Precision) -> float:
    """What is lost if matrices stored in 16 bits underflow: some seven in X's shape, and some eight squares."""
    if not precision.accumulates_wider:
        return 0.0
    a, b, c = factors
    whole = math.sqrt(rows * columns)
    stored = 3 * whole * (1 + a)
    if b or c:
        stored += 8 * (min(rows, columns) + whole) * (1 + b + c) * max(1.0, reach) ** 4
    return stored * precision.stored_underflow
