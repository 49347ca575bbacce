"""The rules on one block that fits in cache, in NumPy calls that neither branch per element nor allocate.

Every function takes 1-D C-contiguous arrays of the compute dtype and a :class:`Workspace` prepared for their length,
and leaves the bits of the rule in ``signopt.rules``. None allocates an array, not even one of a single number: memory
may run out, and what is written must not stop half-way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from signopt.rules.lion import LionCoefficients
from signopt.rules.signum import SignumCoefficients
from signopt.rules.tiger import TigerCoefficients

__all__ = [
    "ELEMENTWISE",
    "Floats",
    "Workspace",
    "has_nan",
    "lion",
    "shrink",
    "signum",
    "tiger",
    "tiger_momentum",
    "tiger_step",
]

Floats: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class Workspace:
    """The scratch memory of one thread, cut anew for every block.

    Attributes
    ----------
    step, scratch : array
        Two blocks of the compute dtype.
    """

    def __init__(self, nbytes: int) -> None:
        self._doubles = np.empty(nbytes // 8, np.float64)
        self._views = {dtype: self._doubles.view(dtype) for dtype in ("float32", "float64", "bool")}
        self._numbers = {dtype: np.array([0.0, np.nan, 0.0, 0.0], dtype) for dtype in ("float32", "float64")}
        self._prepared_for = (-1, "")
        self.make_room_for_rows(0)

    def make_room_for_rows(self, count: int) -> None:
        """Allocate memory for a sum and a rate of each of up to ``count`` rows of a block."""
        self.row_sums = np.empty(count)
        rates = np.empty(count)
        self.row_rates = {dtype: rates.view(dtype)[:count] for dtype in ("float32", "float64")}

    def prepare(self, size: int, compute: str) -> None:
        """Cut the memory for blocks of ``size`` elements of dtype ``compute``."""
        if self._prepared_for == (size, compute):
            return
        self._prepared_for = size, compute
        self._size = size
        self._flat = self._views[compute]
        self.step = self._flat[:size]
        self.scratch = self._flat[size : 2 * size]
        start = size * self._flat.itemsize
        self._above, self._below = (self._views["bool"][start + i * size :][:size] for i in (0, 1))
        self._ones_above, self._ones_below = self._above.view(np.int8), self._below.view(np.int8)
        self.zero, self._nan, self._largest, self._number = (self._numbers[compute][i, ...] for i in range(4))

    def slot(self, index: int) -> Floats:
        """The block at place ``index``; 0 and 1 are ``step`` and ``scratch``."""
        return self._flat[index * self._size :][: self._size]

    def flat(self, array: Floats, index: int, *, copied: bool = False) -> Floats:
        """``array`` as a 1-D array of the compute dtype: a view, or else (always, if so wished) a copy at ``index``."""
        if not copied and array.dtype == self._flat.dtype and array.flags.c_contiguous:
            return array if array.ndim == 1 else array.reshape(-1)
        copy = self.slot(index)
        np.copyto(copy.reshape(array.shape), array, casting="unsafe")
        return copy

    def joined(self, arrays: Sequence[Floats], index: int) -> Floats:
        """Copies of ``arrays``, flattened and end to end, at place ``index``."""
        flats = [array if array.ndim == 1 else array.reshape(-1) for array in arrays]
        return np.concatenate(flats, out=self.slot(index), casting="unsafe")

    def has_nan(self, values: Floats) -> bool:
        """Whether any element is NaN."""
        return has_nan(values, self._largest)

    def nan_in_each(self, values: Floats, starts: Floats, out: Floats) -> list[bool]:
        """Whether there is a NaN in each part of ``values``, one of which begins at each of ``starts``."""
        np.isnan(values, self._below)
        return list(np.logical_or.reduceat(self._below, starts, out=out).tolist())

    def number(self, value: float) -> Floats:
        """``value`` as a 0-d array, until the next call."""
        self._number[()] = value
        return self._number

    def squares(self, values: Floats) -> Floats:
        """The squares of ``values`` in float64, in C order. They occupy ``step`` and ``scratch``."""
        wide = self._doubles[: values.size]
        np.copyto(wide.reshape(values.shape), values, casting="unsafe")
        return np.multiply(wide, wide, wide)

    def sign_of(self, values: Floats) -> None:
        """Leave sign(values) in ``step``, which may be ``values``; ``scratch`` is overwritten.

        ``np.sign`` branches on every element, which costs more than all other arithmetic of a rule together.
        """
        ordered = not self.has_nan(values)
        np.greater(values, self.zero, self._above)
        np.less(values, self.zero, self._below)
        np.subtract(self._ones_above, self._ones_below, self._ones_above)
        if not ordered:
            np.isnan(values, self._below)
        np.copyto(self.step, self._ones_above)
        if not ordered:
            np.copyto(self.step, self._nan, where=self._below)


def has_nan(values: Floats, room: Floats) -> bool:
    """Whether any element is NaN; the maximum, which goes to the 0-d ``room``, is NaN then, and differs from itself."""
    largest = np.maximum.reduce(values, axis=None, out=room).item()
    return bool(largest != largest)


def lion(p: Floats, g: Floats, m: Floats, work: Workspace, k: LionCoefficients) -> None:
    """Lion in place on ``p`` and ``m``."""
    np.multiply(m, k.B1, work.step)
    np.multiply(g, k.A1, work.scratch)
    np.add(work.step, work.scratch, work.step)
    work.sign_of(work.step)
    _average(g, m, work, k.B2, k.A2)
    _descend(p, work, k.lr, k.weight_decay)


def signum(p: Floats, g: Floats, m: Floats, work: Workspace, k: SignumCoefficients) -> None:
    """Signum in place on ``p`` and ``m``."""
    _average(g, m, work, k.B, k.A)
    work.sign_of(m)
    _descend(p, work, k.lr, k.weight_decay)


ELEMENTWISE: Mapping[str, Callable[[Floats, Floats, Floats, Workspace, Any], None]] = {"lion": lion, "signum": signum}
"""The rules whose update of an element needs nothing but that element."""


def tiger(
    p: Floats,
    g: Floats,
    m: Floats,
    work: Workspace,
    k: TigerCoefficients,
    rate: Floats | float,
    shape: tuple[int, ...],
    decays: bool,
) -> None:
    """Tiger's step in place on ``p`` and ``m``; ``rate`` broadcasts against the block seen in ``shape``."""
    tiger_momentum(g, m, work, k)
    tiger_step(p, m, work, k, rate, shape, decays)


def tiger_step(
    p: Floats,
    m: Floats,
    work: Workspace,
    k: TigerCoefficients,
    rate: Floats | float,
    shape: tuple[int, ...],
    decays: bool,
) -> None:
    """The second half of :func:`tiger`: the step, once ``m`` is new."""
    work.sign_of(m)
    _descend(p, work, rate, k.weight_decay if decays else work.zero, shape)


def tiger_momentum(g: Floats, m: Floats, work: Workspace, k: TigerCoefficients) -> None:
    """Tiger's micro-step within a window: only ``m`` changes."""
    _average(g, m, work, k.b1, k.b2)


def shrink(p: Floats, k: TigerCoefficients, centre: Floats) -> None:
    """Tiger's answer to a NaN: p ← (p − c)·s + c."""
    np.subtract(p, centre, p)
    np.multiply(p, k.shrink, p)
    np.add(p, centre, p)


def _average(g: Floats, m: Floats, work: Workspace, keep: float, take: float) -> None:
    np.multiply(g, take, work.scratch)
    np.multiply(m, keep, m)
    np.add(m, work.scratch, m)


def _descend(
    p: Floats,
    work: Workspace,
    rate: Floats | float,
    weight_decay: Floats | float,
    shape: tuple[int, ...] = (-1,),
) -> None:
    step = work.step
    np.multiply(p, weight_decay, work.scratch)
    np.add(step, work.scratch, step)
    stepped = step.reshape(shape)
    np.multiply(stepped, rate, stepped)
    np.subtract(p, step, p)
