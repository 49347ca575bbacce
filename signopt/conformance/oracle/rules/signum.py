"""Signum: the sign of the average that is kept."""

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

__all__ = ["SIGNUM", "step"]


class Signum(SignRule):
    """The rule as the suite knows it."""

    name = "signum"
    sources = ("https://arxiv.org/abs/1802.04434",)
    hyper = (Hyper("lr", default=1e-4), Hyper("beta", default=0.9), Hyper("weight_decay", default=0.0))
    sign_of_memory = True
    idle_at_zero = True

    def averages(self, hyper: Mapping[str, Any], step: int) -> tuple[Average, Average]:
        """One β for both."""
        beta = Fraction(hyper["beta"])
        return (beta, 1 - beta), (beta, 1 - beta)

    def exact(
        self, habits: SignHabits, hyper: Mapping[str, Any], at: int, name: str, param: Array, grad: Array, m: Array
    ) -> Iterator[tuple[Array, Array]]:
        """See `Optimizer.exact`."""
        compute = habits.compute_format(format_of(param.dtype)).name
        yield step(param, grad, m, **hyper, order=habits.order() or CANONICAL, compute=compute)


def step(
    param: Array, grad: Array, momentum: Array, *, lr: float, beta: float, weight_decay: float,
    order: Order = CANONICAL, compute: str | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """One step of Signum: m' = β·m + (1−β)·g; p − lr·(sign(m') + wd·p), m' before its rounding to storage."""
    x = arithmetic_of(param, compute)
    remembered = average(x, *coefficients(x, beta, 1, order), order)
    moved_to = move(x, lr, weight_decay, order)
    new = [remembered(m, g) for m, g in zip(floats(momentum), floats(grad), strict=True)]
    moved = [moved_to(p, sign(m)) for p, m in zip(floats(param), new, strict=True)]
    return stored(moved, param), stored(new, momentum)


SIGNUM = Signum()
