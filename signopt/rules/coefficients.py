"""The numbers that multiply arrays: formed in binary64, rounded once to the compute dtype."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from signopt._namespace import Namespace
from signopt._traced import Traced

__all__ = ["Coefficients", "Draw"]


class Draw(NamedTuple):
    """Of what the random words of one step are a function, beside tensor and element."""

    seed: int = 0
    step: int = 0


@dataclass(frozen=True)
class Coefficients:
    """The numbers of one step of one rule; every field of type float is rounded.

    ``draw`` serves parameters that are rounded stochastically.
    """

    rule: ClassVar[str]
    draw: Draw = field(default=Draw(), kw_only=True)

    @classmethod
    def numbers(cls) -> list[str]:
        """The names of the fields that multiply arrays."""
        return [field.name for field in fields(cls) if field.type == "float"]

    def same_numbers(self, other: Coefficients) -> bool:
        """Whether ``other`` was made of the very same numbers: by :func:`~dataclasses.replace`, with another ``draw``.

        Objects are compared, since 0 equals −0 and NaN nothing.
        """
        its = vars(other)
        return all(value is its[name] for name, value in vars(self).items() if name != "draw")

    def rounded(self, compute: str, xp: Namespace | None = None) -> Self:
        """These coefficients, each rounded once to the compute dtype (``"float64"`` or ``"float32"``).

        Those that are traced become 0-d arrays of the library ``xp``; without one, TypeError is raised for them.
        """
        traced = {name: value for name, value in vars(self).items() if isinstance(value, Traced)}
        if compute == "float64" and not traced:
            return self
        known: dict[str, Any] = {}
        if compute != "float64":
            with np.errstate(over="ignore"):
                known = {n: float(np.float32(getattr(self, n))) for n in self.numbers() if n not in traced}
        return replace(self, **known, **{name: value.rounded(xp, compute, name) for name, value in traced.items()})
