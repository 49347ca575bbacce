"""What a rule makes of one element, and of many that are rounded by random words."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import overload

from signopt.backends._numba_floats import inlined
from signopt.backends._numba_vectors import AT_ONCE, put, put_by_words, sign, taken

__all__ = ["lion_by_vectors", "lion_of", "rest", "signum_by_vectors", "signum_of"]


@inlined
def lion_of(x: Any, v: Any, d: Any, k: Any, rate: Any, weight_decay: Any) -> Any:
    """The new p and m of p, m and g, numbers or vectors in the compute dtype."""
    c = k.B1 * v + k.A1 * d
    return x - rate * (sign(c, k.one) + weight_decay * x), k.B2 * v + k.A2 * d


@inlined
def signum_of(x: Any, v: Any, d: Any, k: Any, rate: Any, weight_decay: Any) -> Any:
    """The same of Signum and Tiger, whose sign is that of the new m."""
    v = k.B2 * v + k.A2 * d
    return x - rate * (sign(v, k.one) + weight_decay * x), v


def lion_by_vectors(p: Any, m: Any, g: Any, beside: Any, k: Any, rate: Any, weight_decay: Any) -> Any:
    """Update the elements but for a rest, and return how many, if they are rounded by random words; else 0."""


def signum_by_vectors(p: Any, m: Any, g: Any, beside: Any, k: Any, rate: Any, weight_decay: Any) -> Any:
    """The same by :func:`signum_of`."""


def rest(beside: Any, done: Any) -> Any:
    """What there is beside the elements after the first ``done``."""


def _by_vectors(rule_of: Any) -> Any:
    def by_vectors(p: Any, m: Any, g: Any, beside: Any, k: Any, rate: Any, weight_decay: Any) -> Any:
        for i in range(len(p) // AT_ONCE):
            (x0, x1), (v0, v1), (d0, d1) = taken(p, i, p), taken(m, i, p), taken(g, i, p)
            x0, v0 = rule_of(x0, v0, d0, k, rate, weight_decay)
            x1, v1 = rule_of(x1, v1, d1, k, rate, weight_decay)
            put_by_words(p, beside, i, x0, x1)
            put(m, i, v0, v1, p)
        return len(p) // AT_ONCE * AT_ONCE

    def chosen(p: Any, m: Any, g: Any, beside: Any, k: Any, rate: Any, weight_decay: Any) -> Any:
        if getattr(beside, "dtype", None) in (types.uint16, types.uint32):
            return by_vectors
        return lambda p, m, g, beside, k, rate, weight_decay: 0

    return chosen


overload(lion_by_vectors, strict=False)(_by_vectors(lion_of))
overload(signum_by_vectors, strict=False)(_by_vectors(signum_of))


@overload(rest, inline="always", strict=False)
def _rest(beside: Any, done: Any) -> Any:
    if beside == types.none:
        return lambda beside, done: None
    return lambda beside, done: beside[done:]
