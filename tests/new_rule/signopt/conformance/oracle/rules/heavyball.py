"""The sign of a heavy-ball momentum, from exact arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from signopt.conformance.oracle.rules._rule import Hyper
from signopt.conformance.oracle.rules._sign import Average, SignRule

__all__ = ["HEAVYBALL"]


class Heavyball(SignRule):
    """The rule as the suite knows it."""

    name = "heavyball"
    sources = ("https://doi.org/10.1016/0041-5553(64)90137-5",)
    hyper = (Hyper("lr", default=1e-4), Hyper("beta", default=0.9), Hyper("weight_decay", default=0.0))
    sign_of_memory = True

    def averages(self, hyper: Mapping[str, Any], step: int) -> tuple[Average, Average]:
        """β·m + g for both."""
        average = Fraction(hyper["beta"]), Fraction(1)
        return average, average


HEAVYBALL = Heavyball()
