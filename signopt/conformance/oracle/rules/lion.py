"""Lion: the sign of one average, and another that is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from signopt.conformance.oracle.arithmetic import (
    CANONICAL,
    Array,
    Order,
    arithmetic_of,
    average,
    coefficients,
    floats,
    move,
    sign,
    stored,
)
from signopt.conformance.oracle.formats import format_of
from signopt.conformance.oracle.habits import SignHabits
from signopt.conformance.oracle.rules._rule import Hyper
from signopt.conformance.oracle.rules._sign import Average, SignRule

__all__ = ["LION", "step"]


class Lion(SignRule):
    """The rule as the suite knows it."""

    name = "lion"
    sources = ("https://arxiv.org/abs/2302.06675", "https://github.com/google/automl/tree/master/lion")
    hyper = (
        Hyper("lr", default=1e-4),
        Hyper("betas", "numbers", default=(0.9, 0.99)),
        Hyper("weight_decay", default=0.0),
    )

    def averages(self, hyper: Mapping[str, Any], step: int) -> tuple[Average, Average]:
        """β1 in the sign, β2 in the momentum."""
        direction, memory = ((Fraction(beta), 1 - Fraction(beta)) for beta in hyper["betas"])
        return direction, memory

    def exact(
        self, habits: SignHabits, hyper: Mapping[str, Any], at: int, name: str, param: Array, grad: Array, m: Array
    ) -> Iterator[tuple[Array, Array]]:
        """See `Optimizer.exact`."""
        compute = habits.compute_format(format_of(param.dtype)).name
        yield step(param, grad, m, **hyper, order=habits.order() or CANONICAL, compute=compute)


def step(
    param: Array, grad: Array, momentum: Array, *, lr: float, betas: tuple[float, float], weight_decay: float,
    order: Order = CANONICAL, compute: str | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """One step of Lion: the parameter and the momentum, rounded operation by operation in ``order``.

    c = β1·m + (1−β1)·g;  p − lr·(sign(c) + wd·p);  β2·m + (1−β2)·g. ``compute`` names the dtype of the
    intermediates; by default float64 for float64 and float32 for all else.
    """
    x = arithmetic_of(param, compute)
    direction, remembered = (average(x, *coefficients(x, beta, 1, order), order) for beta in betas)
    moved_to = move(x, lr, weight_decay, order)
    rows = list(zip(floats(param), floats(grad), floats(momentum), strict=True))
    moved = [moved_to(p, sign(direction(m, g))) for p, g, m in rows]
    return stored(moved, param), stored([remembered(m, g) for _, g, m in rows], momentum)


LION = Lion()
