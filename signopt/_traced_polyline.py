"""A polyline at a place that is known only when a compiled program runs, as exactly as rational arithmetic gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from signopt._namespace import Array, fence, namespace_of
from signopt._traced import Traced

__all__ = ["traced_polyline"]


def traced_polyline(keys: Sequence[int], values: Sequence[float], step: Traced) -> Traced:
    """The binary64 number nearest to the polyline through ``(keys, values)`` at ``step``; the last value stays.

    Between two keys it is (v0·(s1 − t) + v1·(t − s0))/(s1 − s0). The numerator is kept as the unevaluated sum of two
    binary64 numbers, whose error is below 2^-100 of it, and so is the quotient before it is rounded.
    """
    xp = namespace_of(step.array)

    def at(t: Array) -> Array:
        value = xp.full_like(t, values[-1])
        for s0, s1, v0, v1 in reversed(list(zip(keys, keys[1:], values, values[1:], strict=False))):
            value = xp.where(t < s1, _between(t, (s0, s1), (v0, v1)), value)
        return value

    return step.map(at)


def _between(t: Array, ends: tuple[int, int], values: tuple[float, float]) -> Array:
    first, first_error = _exact_product(values[0], ends[1] - t)
    second, second_error = _exact_product(values[1], t - ends[0])
    high, low = _exact_sum(first, second)
    high, low = _exact_sum(high, low + (first_error + second_error))
    length = float(ends[1] - ends[0])
    quotient = high / length
    back, back_error = _exact_product(length, quotient)
    return quotient + ((high - back) - back_error + low) / length


def _exact_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b as a rounded sum and its error (Knuth)."""
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


def _exact_product(a: float, b: Array) -> tuple[Array, Array]:
    """a·b as a rounded product and its error (Dekker), without an FMA."""
    product = fence(a * b)
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    error = fence(a_high * b_high) - product
    return product, ((error + fence(a_high * b_low)) + fence(a_low * b_high)) + fence(a_low * b_low)


def _halves(a: Any) -> tuple[Any, Any]:
    """a as a sum of two numbers of at most 26 bits (Veltkamp)."""
    scaled = fence(134217729.0 * a)
    high = scaled - (scaled - a)
    return high, a - high
