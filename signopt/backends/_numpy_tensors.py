"""Blocks of NumPy arrays as 1-D arrays of the compute dtype: in place if they are that already, else by copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from signopt._namespace import compute_dtype_name, dtype_name
from signopt.backends._layout import Box, boxes, dense_axes, memory_axes
from signopt.backends._numpy_blocks import Floats, Workspace
from signopt.backends._numpy_stored import Place, StoredBlocks, put, ready_to_put_back
from signopt.backends._storage import NEAREST, Storage
from signopt.roles import RoleTraits
from signopt.rounding import join
from signopt.rules.coefficients import Draw

__all__ = ["SLOTS_GATHERED", "SLOTS_IN_PLACE", "Batch", "Block", "Cut", "Group", "Tensor", "at"]

SLOTS_IN_PLACE, SLOTS_GATHERED = 2, 5
"""Blocks of scratch that an update needs: two for itself, and three more for copies of p, g and m."""

Triple: TypeAlias = tuple[Floats, Floats, Floats]


class Tensor:
    """A parameter and its momentum, seen flat if both are dense in one order of axes.

    Attributes
    ----------
    is_stored_by_copies : bool
        Whether its rounding allocates, so that nothing may be updated in place before that is done.
    """

    def __init__(
        self, index: int, param: Floats, momentum: Floats, traits: RoleTraits, storage: Storage = NEAREST
    ) -> None:
        self.index = index
        self.size = param.size
        self.traits = traits
        self.compute = compute_dtype_name(dtype_name(param))
        self.by_row = traits.rms == "row" and param.ndim > 0
        self.param, self.momentum = param, momentum
        upright = tuple(range(param.ndim))
        self.axes = upright if self.by_row else memory_axes(param)
        self.stored = StoredBlocks(param, index, storage, self.axes)
        is_dense = dense_axes(param, momentum, *([] if self.stored.rest is None else [self.stored.rest])) == self.axes
        self._dense = is_dense and (self.stored.number is None or self.axes == upright)
        doubly_rounded = self.compute == "float64" and dtype_name(momentum) == "bfloat16"
        is_nearest = self.stored.number is None and self.stored.rest is None
        self.is_stored_by_copies = doubly_rounded or not is_nearest
        self._flat_shape = (-1, param.shape[-1]) if self.by_row else (-1,)

    def cut(self, grad: Floats) -> Cut:
        """The tensor with its gradient: in 1-D (by rows, if they matter, in 2-D) if all three are dense alike."""
        p, g, m = (self.turned(array) for array in (self.param, grad, self.momentum))
        rest = self.turned_rest
        if self._dense and g.flags.c_contiguous:
            p, g, m = (array.reshape(self._flat_shape) for array in (p, g, m))
            return Cut(self, p, g, m, None if rest is None else rest.reshape(self._flat_shape), dense=True)
        return Cut(self, p, g, m, rest, dense=False)

    def turned(self, array: Floats) -> Floats:
        """A view of ``array`` with the axes in the order in which the parameter lies in memory."""
        return array.transpose(self.axes)

    @property
    def turned_rest(self) -> Floats | None:
        """The same view of the low halves, if there are any."""
        return None if self.stored.rest is None else self.turned(self.stored.rest)


@dataclass(frozen=True, slots=True)
class Cut:
    """One tensor in one step; the arrays have one shape. ``rest`` holds the low halves of a split parameter."""

    tensor: Tensor
    p: Floats
    g: Floats
    m: Floats
    rest: Floats | None
    dense: bool

    @property
    def slots(self) -> int:
        """How many blocks of scratch one of its blocks needs."""
        compute = self.tensor.compute
        in_place = self.dense and self.p.dtype == compute and self.m.dtype == compute
        return SLOTS_IN_PLACE if in_place else SLOTS_GATHERED

    def blocks(self, limit: int) -> Iterator[Block]:
        """Its blocks of at most ``limit`` elements."""
        for box in boxes(self.p.shape, limit):
            yield Block(self, box)

    def masters(self, chunk: Box | slice) -> Floats:
        """The parameter's elements in ``chunk``, or those of which they are the high halves."""
        p = at(self.p, chunk)
        return p if self.rest is None else join(p, at(self.rest, chunk))


@dataclass(frozen=True, slots=True)
class Block:
    """A box of one tensor."""

    cut: Cut
    box: Box

    @property
    def compute(self) -> str:
        return self.cut.tensor.compute

    @property
    def shape(self) -> tuple[int, ...]:
        return self.cut.p[self.box].shape

    def load(self, work: Workspace) -> Triple:
        """p, g and m of this block, and ``work`` prepared for them."""
        cut, box = self.cut, self.box
        p, g, m = cut.masters(box), cut.g[box], cut.m[box]
        work.prepare(p.size, self.compute)
        copied = cut.tensor.is_stored_by_copies
        return work.flat(p, 2, copied=copied), work.flat(g, 3), work.flat(m, 4, copied=copied)

    def store(self, p: Floats | None, m: Floats | None, draw: Draw) -> None:
        """Round ``p`` and ``m`` back to storage, if given and if :meth:`load` copied them: both or none."""
        cut, box = self.cut, self.box
        ready = []
        if m is not None:
            ready += ready_to_put_back(cut.m[box], m)
        if p is not None:
            rest = None if cut.rest is None else cut.rest[box]
            ready += cut.tensor.stored.ready(cut.p[box], rest, p, draw, Place(box, cut.p.shape))
        for old, new in ready:
            put(new, old)


def at(array: Floats, chunk: Box | slice) -> Floats:
    """A box of an array, or a range of its elements in C order."""
    return array[chunk] if isinstance(chunk, tuple) else array.flat[chunk]


class Group:
    """Several small tensors of one compute dtype and one set of traits, to be gathered into one block.

    Attributes
    ----------
    rates, spread, totals, each_total, flags : array or sequence of array
        Memory for what Tiger finds out about each tensor: its rate, also as often as it has elements; Σp², also one by
        one; and whether its gradient has a NaN.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.compute = tensors[0].compute
        self.traits = tensors[0].traits
        self.sizes = np.array([tensor.size for tensor in tensors])
        ends = np.cumsum(self.sizes)
        self.starts = ends - self.sizes
        self.spans = [slice(a, b) for a, b in pairwise([0, *ends.tolist()])]
        self.tensors = tensors
        self.params = [tensor.turned(tensor.param) for tensor in tensors]
        self.momenta = [tensor.turned(tensor.momentum) for tensor in tensors]
        self.rests = [tensor.turned_rest for tensor in tensors]
        self.is_split = any(rest is not None for rest in self.rests)
        self.is_plain = not any(tensor.is_stored_by_copies for tensor in tensors)
        self.counts, self.totals = self.sizes.astype(np.float64), np.empty(len(tensors))
        self.flags, self.rates = np.empty(len(tensors), np.bool_), np.empty(len(tensors), self.compute)
        self.each_total = [self.totals[i, ...] for i in range(len(tensors))]
        self.spread = [np.broadcast_to(self.rates[i : i + 1], tensor.size) for i, tensor in enumerate(tensors)]


@dataclass(frozen=True, slots=True)
class Batch:
    """A group of tensors in one step; ``grads`` are those of all tensors of the optimizer."""

    group: Group
    grads: Sequence[Floats]

    @property
    def compute(self) -> str:
        return self.group.compute

    def load(self, work: Workspace) -> Triple:
        """Copies of all p, g and m, each end to end, and ``work`` prepared for them."""
        group = self.group
        work.prepare(group.spans[-1].stop, group.compute)
        grads = [tensor.turned(self.grads[tensor.index]) for tensor in group.tensors]
        return work.joined(self._masters(), 2), work.joined(grads, 3), work.joined(group.momenta, 4)

    def load_params(self, work: Workspace) -> None:
        """Copies of all p once more, where those of :meth:`load` were."""
        work.joined(self._masters(), 2)

    def _masters(self) -> list[Floats]:
        group = self.group
        if not group.is_split:
            return group.params
        rows = zip(group.params, group.rests, strict=True)
        return [param if rest is None else join(param, rest) for param, rest in rows]

    def store(self, p: Floats | None, m: Floats | None, draw: Draw, positions: Sequence[int] | None = None) -> None:
        """Round ``p`` and ``m``, if given, back to all tensors, or to those at ``positions``: to all or to none.

        What has to be allocated for that is, before the first is written.
        """
        group = self.group
        places = range(len(group.spans)) if positions is None else positions
        if group.is_plain:
            for values, targets in ((m, group.momenta), (p, group.params)):
                if values is not None:
                    _put_back_each(values, group.spans, targets, places)
            return
        ready: list[tuple[Floats, Floats]] = []
        for position in places:
            span, tensor = group.spans[position], group.tensors[position]
            if m is not None:
                ready += ready_to_put_back(group.momenta[position], m[span])
            if p is not None:
                ready += tensor.stored.ready(group.params[position], group.rests[position], p[span], draw)
        for old, new in ready:
            put(new, old)


def _put_back_each(values: Floats, spans: Sequence[slice], targets: Sequence[Floats], places: Iterable[int]) -> None:
    for place in places:
        target, part = targets[place], values[spans[place]]
        new = part if target.ndim == 1 else part.reshape(target.shape)
        try:  # as in put(), whose call would take as long as the copy
            target[...] = new
        except MemoryError:
            target[...] = new
