"""The numbers that multiply arrays: formed in binary64, rounded once to the compute dtype."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import numpy as np

__all__ = ["Coefficients"]


@dataclass(frozen=True)
class Coefficients:
    """The numbers of one step of one rule; every field of type float is rounded."""

    rule: ClassVar[str]

    @classmethod
    def numbers(cls) -> list[str]:
        """The names of the fields that multiply arrays."""
        return [field.name for field in fields(cls) if field.type == "float"]

    def rounded(self, compute: str) -> Self:
        """These coefficients, each rounded once to the compute dtype (``"float64"`` or ``"float32"``)."""
        if compute == "float64":
            return self
        with np.errstate(over="ignore"):
            return replace(self, **{name: float(np.float32(getattr(self, name))) for name in self.numbers()})
