"""Muon without rounding: momentum, what is orthogonalised, its norm, the Newton–Schulz iterates.

The momentum and the look-ahead are rational with a power of two below; the norm is a root, taken to `blocks.BITS` bits
by an integer square root; each iterate keeps that many bits of its largest element. What is cut off is below 2^-200 of
the sizes of the terms, against the 2^-53 and more that the radius is made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from signopt.conformance.oracle.muon.blocks import Block, dyadic, root

__all__ = ["Triple", "iterates", "look_ahead", "normalised", "remembered", "scale", "schedule"]

Triple = tuple[float, float, float]


def remembered(m: Block, g: Block, beta: float, form: str) -> Block:
    """β·m + (1−β)·g ("ema") or β·m + g ("sum")."""
    return m.times(Fraction(beta)) + g.times(_weight(beta, form))


def look_ahead(m: Block, g: Block, beta: float, form: str, nesterov: bool) -> Block:
    """What is orthogonalised, ``m`` being the new momentum: the same average of m and g once more, or m."""
    return remembered(m, g, beta, form) if nesterov else m


def _weight(beta: float, form: str) -> Fraction:
    return Fraction(1) - Fraction(beta) if form == "ema" else Fraction(1)


def schedule(hyper: Mapping[str, Any]) -> list[Triple]:
    """The coefficients of each step that is done."""
    given, steps = hyper["ns_coefficients"], int(hyper["ns_steps"])
    if np.ndim(given) == 1:
        return [_triple(given)] * steps
    return [_triple(each) for each in given][:steps]


def _triple(values: Sequence[float]) -> Triple:
    a, b, c = (float(value) for value in values)
    return a, b, c


def scale(rows: int, columns: int, adjust: str | None) -> Fraction:
    """√max(1, rows/columns), or 0.2·√max(rows, columns), to `blocks.BITS` bits."""
    if adjust == "match_rms_adamw":
        return dyadic(root(Fraction(max(rows, columns))) / 5)
    return root(max(Fraction(1), Fraction(rows, columns)))


def normalised(u: Block, eps: float, form: str) -> tuple[Block, Fraction, Fraction]:
    """u / (‖u‖ + ε) ("add") or u / max(‖u‖, ε) ("max"), with ‖u‖ and the divisor; zero where u is zero."""
    norm = root(u.square_sum())
    divisor = norm + Fraction(eps) if form == "add" else max(norm, Fraction(eps))
    if not norm:
        return Block(u.ints * 0, 0), norm, divisor
    return u.over(divisor), norm, divisor


def iterates(start: Block, steps: Sequence[Triple]) -> list[Block]:
    """X and what each step makes of it: a·X + b·(X·Xᵀ)·X + c·(X·Xᵀ)²·X."""
    found = [start]
    rows, columns = start.ints.shape
    for triple in steps:
        x = found[-1] if rows <= columns else found[-1].transposed
        after = _step(x, *(Fraction(each) for each in triple))
        found.append(after if rows <= columns else after.transposed)
    return found


def _step(x: Block, a: Fraction, b: Fraction, c: Fraction) -> Block:
    terms = [x.times(a)]
    if b or c:
        gram = (x @ x.transposed).trimmed()
        cube = (gram @ x).trimmed()
        terms += [cube.times(b), (gram @ cube).trimmed().times(c)]
    return _sum([term for term in terms if term.ints.any()] or terms[:1]).trimmed()


def _sum(terms: Sequence[Block]) -> Block:
    """The sum; a term below 2^-1000 of the largest is left out."""
    tops = [term.bits + term.exponent for term in terms]
    kept = [term for term, top in zip(terms, tops, strict=True) if top > max(tops) - 1000]
    total = kept[0]
    for term in kept[1:]:
        total = total + term
    return total
