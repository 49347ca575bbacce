"""Parameters as the rules see them, and their new values as they are stored, in any array library."""

from __future__ import annotations

from signopt._namespace import Array, cast, dtype_name, namespace_of
from signopt.backends._storage import Storage
from signopt.rounding import join, split, stochastic_bfloat16, stochastic_float16
from signopt.rules.coefficients import Draw

__all__ = ["Stored"]


class Stored:
    """The parameter at place ``index`` of an optimizer, stored as ``storage`` says."""

    def __init__(self, param: Array, index: int, storage: Storage) -> None:
        self.param = param
        self.rounding = storage.of(param)
        self._number, self._rest = storage.number(index), storage.rest(index)

    def read(self) -> Array:
        """What a rule takes for the parameter, so that it returns a new value that is not rounded to storage yet."""
        if self.rounding == "nearest":
            return self.param
        if self.rounding == "split":
            return join(self.param, self._rest)
        return self.like_read(self.param)

    def like_read(self, grad: Array) -> Array:
        """A gradient in the dtype of :meth:`read`."""
        if self.rounding == "nearest":
            return grad
        xp = namespace_of(self.param)
        return cast(xp, grad, xp.float32)

    def rounded(self, new: Array, draw: Draw) -> list[tuple[Array, Array]]:
        """Each array that is to be written, with its new value."""
        if self.rounding == "nearest":
            return [(self.param, new)]
        if self.rounding == "split":
            high, rest = split(new)
            return [(self.param, high), (self._rest, rest)]
        by_words = stochastic_bfloat16 if dtype_name(self.param) == "bfloat16" else stochastic_float16
        return [(self.param, by_words(new, seed=draw.seed, step=draw.step, tensor=self._number))]
