"""Blocks of NumPy arrays as 1-D arrays of the compute dtype: in place where they are that already, else by copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from signopt._namespace import compute_dtype_name, dtype_name, storable
from signopt.backends._layout import Box, boxes, dense_axes, memory_axes
from signopt.backends._numpy_blocks import Floats, Workspace
from signopt.roles import RoleTraits

__all__ = ["SLOTS_GATHERED", "SLOTS_IN_PLACE", "Batch", "Block", "Cut", "Group", "Tensor"]

SLOTS_IN_PLACE, SLOTS_GATHERED = 2, 5
"""Blocks of scratch that an update needs: two for itself, and three more for copies of p, g and m."""

Triple: TypeAlias = tuple[Floats, Floats, Floats]


class Tensor:
    """A parameter and its momentum, seen flat if both are dense in one order of axes."""

    def __init__(self, index: int, param: Floats, momentum: Floats, traits: RoleTraits) -> None:
        self.index = index
        self.size = param.size
        self.traits = traits
        self.compute = compute_dtype_name(dtype_name(param))
        self.by_row = traits.rms == "row" and param.ndim > 0
        self.param, self.momentum = param, momentum
        upright = tuple(range(param.ndim))
        self.axes = upright if self.by_row else memory_axes(param)
        self._dense = dense_axes(param, momentum) == self.axes
        self._flat_shape = (-1, param.shape[-1]) if self.by_row else (-1,)

    def cut(self, grad: Floats) -> Cut:
        """The tensor with its gradient: in 1-D (by rows, where they matter, in 2-D) if all three are dense alike."""
        p, g, m = (self.turned(array) for array in (self.param, grad, self.momentum))
        if self._dense and g.flags.c_contiguous:
            p, g, m = (array.reshape(self._flat_shape) for array in (p, g, m))
            return Cut(self, p, g, m, dense=True)
        return Cut(self, p, g, m, dense=False)

    def turned(self, array: Floats) -> Floats:
        """A view of ``array`` with the axes in the order in which the parameter lies in memory."""
        return array.transpose(self.axes)


@dataclass(frozen=True, slots=True)
class Cut:
    """One tensor in one step; the three arrays have one shape."""

    tensor: Tensor
    p: Floats
    g: Floats
    m: Floats
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
        p, g, m = cut.p[box], cut.g[box], cut.m[box]
        work.prepare(p.size, self.compute)
        return work.flat(p, 2), work.flat(g, 3), work.flat(m, 4)

    def store_params(self, p: Floats) -> None:
        """Round ``p`` back to storage, if :meth:`load` copied it."""
        _put_back(self.cut.p[self.box], p)

    def store_momenta(self, m: Floats) -> None:
        """Round ``m`` back to storage, if :meth:`load` copied it."""
        _put_back(self.cut.m[self.box], m)


def _put_back(old: Floats, new: Floats) -> None:
    if not np.may_share_memory(old, new):
        old[...] = storable(new, old.dtype).reshape(old.shape)


class Group:
    """Several small tensors of one compute dtype and one set of traits, to be gathered into one block."""

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
        return work.joined(group.params, 2), work.joined(grads, 3), work.joined(group.momenta, 4)

    def store_params(self, p: Floats, positions: Iterable[int] | None = None) -> None:
        """Round ``p`` back to all tensors, or to those at ``positions``."""
        self._store(p, self.group.params, positions)

    def store_momenta(self, m: Floats, positions: Iterable[int] | None = None) -> None:
        """Round ``m`` back to all tensors, or to those at ``positions``."""
        self._store(m, self.group.momenta, positions)

    def _store(self, values: Floats, targets: Sequence[Floats], positions: Iterable[int] | None) -> None:
        is_double = self.compute == "float64"
        for position in range(len(targets)) if positions is None else positions:
            target, part = targets[position], values[self.group.spans[position]]
            if is_double:
                part = storable(part, target.dtype)
            target[...] = part if target.ndim == 1 else part.reshape(target.shape)
