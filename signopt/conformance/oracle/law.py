"""What one step of a sign rule must do to one tensor, in exact numbers.

A `Law` is the same for every sign rule: an average that is looked at for its sign, an average that is kept, a rate and
a decay. What differs between the rules is only which numbers these are.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import accumulate

from signopt.conformance.oracle.bounds import Units, representable
from signopt.conformance.oracle.formats import FORMATS, Format
from signopt.conformance.oracle.habits import SignHabits

__all__ = ["Law", "Shrink", "units_of"]


@dataclass(frozen=True, eq=False)
class Law:
    """c = b·m + a·g with (b, a) = ``direction``; m' the same with ``memory``; p − rate·(sign(c) + wd·p).

    ``sign_of_memory``: the sign is that of m' (Signum, Tiger), and may be taken after m' was rounded to storage.
    ``rates`` holds exact rates, ``rate_errors`` how far off, relative to it, a port may form each, and ``spans`` for
    how many elements each holds, one after the other; a single rate holds for all. ``moves`` is False inside a window
    of Tiger, where p stays bit for bit.
    """

    direction: tuple[Fraction, Fraction]
    memory: tuple[Fraction, Fraction]
    rates: tuple[Fraction, ...]
    rate_errors: tuple[Fraction, ...]
    weight_decay: Fraction
    units: Units
    storage: Format
    sign_of_memory: bool = False
    plain_rate: bool = True
    moves: bool = True
    judged: bool = True
    nan: str = "propagate"
    spans: tuple[int, ...] = (0,)

    @cached_property
    def sharp_move(self) -> bool:
        """Whether there are parameters for which every order of the update is exact."""
        fits = all(representable(x, self.units.coefficients) for x in (self.rates[0], self.weight_decay))
        return self.plain_rate and not self.units.flush and fits

    def rate_at(self, index: int) -> tuple[Fraction, Fraction]:
        """The exact rate of the element at a flat index, and its error."""
        at = bisect_right(list(accumulate(self.spans)), index) if len(self.rates) > 1 else 0
        return self.rates[at], self.rate_errors[at]


@dataclass(frozen=True)
class Shrink:
    """Tiger after a NaN: p becomes (p − centre)·factor + centre and m stays bit for bit."""

    centre: int
    factor: Fraction
    units: Units
    storage: Format


def units_of(habits: SignHabits, storage: Format) -> Units:
    """The roundings of a port with arrays stored as ``storage``."""
    compute = habits.compute_format(storage)
    single = habits.hyper == "float32" and compute.name == "float64"
    return _units(compute, single, storage if habits.subnormals == "flush" else None)


@lru_cache(maxsize=64)
def _units(compute: Format, single: bool, flushed: Format | None) -> Units:
    return Units.of(compute, FORMATS["float32"] if single else compute, flushed)
