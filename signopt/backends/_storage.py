"""How the parameters of an optimizer are stored once a step has been computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from signopt._namespace import Array, dtype_name

__all__ = ["NEAREST", "ROUNDINGS", "Storage"]

ROUNDINGS = ("nearest", "stochastic", "split")
"""The names that ``rounding=`` takes."""

_SERVED = {"nearest": (), "stochastic": ("bfloat16", "float16"), "split": ("bfloat16",)}


@dataclass(frozen=True)
class Storage:
    """The rounding of each parameter of one optimizer; what has more than 16 bits is rounded to nearest in any case.

    Attributes
    ----------
    rounding : {"nearest", "stochastic", "split"}
    numbers : sequence of int
        The number of each parameter, by which its random words differ from those of the others.
    rests : sequence of array or None
        The low halves of each split parameter, int16, of its shape.
    """

    rounding: str = "nearest"
    numbers: Sequence[int] = field(default=())
    rests: Sequence[Array | None] = field(default=())

    def of(self, param: Array) -> str:
        """The rounding of this parameter, by its dtype."""
        return self.rounding if dtype_name(param) in _SERVED[self.rounding] else "nearest"

    def number(self, index: int) -> int:
        """The number of the parameter at place ``index``."""
        return self.numbers[index] if self.numbers else index

    def rest(self, index: int) -> Any:
        """The low halves of the parameter at place ``index``, or None."""
        return self.rests[index] if self.rests else None

    def seen(self, view: Callable[[Array], Array]) -> Storage:
        """The same for parameters of another library over the same memory."""
        return Storage(self.rounding, self.numbers, [None if rest is None else view(rest) for rest in self.rests])

    def some(self, indices: Sequence[int]) -> Storage:
        """The same for some of the parameters."""
        return Storage(self.rounding, [self.number(i) for i in indices], [self.rest(i) for i in indices])


NEAREST = Storage()
