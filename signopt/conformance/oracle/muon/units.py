"""With what precision a port computes one tensor, part by part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from signopt.conformance.oracle.formats import FORMATS, Format, compute_format

__all__ = ["Precision", "gamma"]

_SINGLE = FORMATS["float32"]


def gamma(count: float, unit: float) -> float:
    """How far a product of ``count`` factors (1 + δ)^±1, |δ| ≤ ``unit``, may be from 1 (Higham, lemma 3.1)."""
    return count * unit / (1 - count * unit) if count * unit < 1 else float("inf")


@dataclass(frozen=True)
class Precision:
    """The formats of one tensor.

    Attributes
    ----------
    storage, momentum : Format
        Of the parameter and of its momentum.
    compute : Format
        Of momentum, look-ahead and the final bracket.
    iteration : Format
        Of the Newton–Schulz iteration (``ns_dtype``).
    single_hyper : bool
        Whether hyperparameters are float32 also for float64 (``hyper = "float32"``).
    flush : bool
        Whether subnormal operands and results may become zero.
    scaled : bool
        Whether the norm is right if the sum of squares leaves the range of the arithmetic (``range = "scaled"``).
    """

    storage: Format
    momentum: Format
    compute: Format
    iteration: Format
    single_hyper: bool = False
    flush: bool = False
    scaled: bool = False

    @classmethod
    def plain(cls, storage: str, iteration: str | None = None) -> Precision:
        """A port that declares nothing but perhaps its ``ns_dtype``."""
        own = FORMATS[storage]
        compute = compute_format(own)
        return cls(own, own, compute, compute if iteration is None else FORMATS[iteration])

    @cached_property
    def coefficient(self) -> float:
        """Unit roundoff of hyperparameters."""
        return float(max(self.compute.unit, _SINGLE.unit if self.single_hyper else 0))

    @cached_property
    def elementwise(self) -> float:
        """Unit roundoff of the elementwise parts, with that of their hyperparameters."""
        return max(float(self.compute.unit), self.coefficient)

    @cached_property
    def unit(self) -> float:
        """Unit roundoff of the iteration, of every single operation; of stored results if `accumulates_wider`."""
        return float(max(self.iteration.unit, self.compute.unit))

    @cached_property
    def accumulates_wider(self) -> bool:
        """Whether products of matrices are summed in float32 and only their results are rounded to 16 bits."""
        return self.unit > _SINGLE.unit

    @cached_property
    def inner(self) -> float:
        """Unit roundoff within a sum of products or of squares."""
        return float(_SINGLE.unit) if self.accumulates_wider else self.unit

    @cached_property
    def momentum_rounding(self) -> float:
        """Unit roundoff of storing the momentum, 0 if that is as wide as the arithmetic."""
        return float(self.momentum.unit) if self.momentum.precision < self.compute.precision else 0.0

    @cached_property
    def storage_rounding(self) -> float:
        """The same of the parameter."""
        return float(self.storage.unit) if self.storage.precision < self.compute.precision else 0.0

    @cached_property
    def unstored(self) -> Precision:
        """The same of a result that is not rounded to its storage."""
        return self if self.storage == self.compute else replace(self, storage=self.compute)

    @cached_property
    def held(self) -> Precision:
        """The same of an iteration that need not round to its 16 bits (see `held`)."""
        return replace(self, iteration=_SINGLE) if self.accumulates_wider else self

    def tiny(self, which: Format) -> float:
        """What an underflow in a format may change: its smallest number, or its smallest normal one."""
        return float(which.smallest_normal if self.flush else which.smallest)

    @cached_property
    def norm_underflow(self) -> float:
        """What a square that underflows may change: squares are summed in float32 at least."""
        iteration = min(self.iteration.smallest_normal, _SINGLE.smallest_normal)
        return float(max(iteration, self.compute.smallest_normal))

    @cached_property
    def underflow(self) -> float:
        """The same of products within a sum, where flushing is legal without a declaration."""
        return float(_SINGLE.smallest_normal) if self.accumulates_wider else self.stored_underflow

    @cached_property
    def stored_underflow(self) -> float:
        """The same of what the iteration stores."""
        return float(max(self.iteration.smallest_normal, self.compute.smallest_normal))
