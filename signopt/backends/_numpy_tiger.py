"""What Tiger must know of a whole tensor before it may touch a block of it: a NaN in the gradient, and RMS(p)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import TypeAlias

import numpy as np

from signopt.backends import _numpy_blocks as kernels
from signopt.backends._layout import Box, boxes, row_boxes
from signopt.backends._numpy_blocks import Floats, Workspace, has_nan
from signopt.backends._numpy_tensors import Batch, Block, Cut, Group, at
from signopt.backends._pairwise import combined, leaves
from signopt.rules.tiger import TigerCoefficients

__all__ = ["Look", "update_batch"]

CHUNKS_AT_ONCE = 2

Chunks: TypeAlias = list[tuple[int, Box | slice]]


class Look:
    """A first pass over one tensor, and what it found.

    Parameters
    ----------
    cut : Cut
        The tensor and its gradient.
    moves : bool
        Whether this micro-step moves parameters, so that an RMS is wanted.
    block_limit : int
        Elements per block of the pass to come. Rows that fit in one get their RMS there, without a pass of their own.
    chunk_limit : int
        Elements looked at together, whose squares in float64 fit in the scratch memory of a thread.

    Attributes
    ----------
    broken : bool
        Whether any element of the gradient is NaN.
    """

    def __init__(self, cut: Cut, moves: bool, block_limit: int, chunk_limit: int) -> None:
        self.cut = cut
        self.broken = False
        shape, tensor = cut.p.shape, cut.tensor
        self._rows_fit = tensor.by_row and shape[-1] <= block_limit
        self._sums_wanted = moves and tensor.traits.rms is not None and not self._rows_fit
        self._chunk_limit = chunk_limit
        self._bounds = leaves(shape[-1] if tensor.by_row else tensor.size, chunk_limit)
        rows = math.prod(shape[:-1]) if tensor.by_row else 1
        self._sums = np.empty((rows, len(self._bounds) - 1) if self._sums_wanted else 0)

    def tasks(self) -> Iterator[tuple[Look, Chunks]]:
        """The tensor in pieces of work for :meth:`take`."""
        chunks = enumerate(self._chunks())
        while some := list(islice(chunks, CHUNKS_AT_ONCE)):
            yield self, some

    def _chunks(self) -> Iterator[Box | slice]:
        shape = self.cut.p.shape
        if not self._sums_wanted:
            return boxes(shape, self._chunk_limit)
        if self.cut.tensor.by_row or self.cut.dense:
            return row_boxes(shape, self._bounds)
        return (slice(first, last) for first, last in pairwise(self._bounds.tolist()))

    def take(self, chunks: Chunks, work: Workspace) -> None:
        """Look at some chunks."""
        for index, chunk in chunks:
            p, g = self.cut.masters(chunk), at(self.cut.g, chunk)
            work.prepare(p.size, self.cut.tensor.compute)
            if self._sums_wanted:
                self._sums.flat[index] = np.add.reduce(work.squares(p), axis=None)
            if has_nan(work.flat(g, 0)):
                self.broken = True

    def update(self, block: Block, work: Workspace, k: TigerCoefficients) -> None:
        """Tiger on one block of this tensor, once all chunks have been looked at."""
        p, g, m = block.load(work)
        traits = self.cut.tensor.traits
        if self.broken:
            kernels.shrink(p, k, traits.centre)
            block.store_params(p, k.draw)
        elif k.moves:
            rate = self._rate(block, p, work, k)
            kernels.tiger(p, g, m, work, k, rate, block.shape, traits.decays)
            block.store_params(p, k.draw)
            block.store_momenta(m)
        else:
            kernels.tiger_momentum(g, m, work, k)
            block.store_momenta(m)

    def _rate(self, block: Block, p: Floats, work: Workspace, k: TigerCoefficients) -> Floats | float:
        tensor, shape = self.cut.tensor, self.cut.p.shape
        if tensor.traits.rms is None:
            return 0.5 * k.lr
        if self._rows_fit:
            squares = work.squares(p).reshape(block.shape)
            return _rms_rate(np.add.reduce(squares, axis=-1, keepdims=True), shape[-1], k, tensor.compute)
        row = np.ravel_multi_index([part.start for part in block.box[:-1]], shape[:-1]) if tensor.by_row else 0
        count = shape[-1] if tensor.by_row else tensor.size
        return _rms_rate(combined(self._sums[row]), count, k, tensor.compute)


def update_batch(batch: Batch, work: Workspace, k: TigerCoefficients) -> None:
    """Tiger on a batch of small tensors, none of them with rows of its own."""
    p, g, m = batch.load(work)
    group = batch.group
    broken = _broken(group, g)
    shrunk = p.copy() if broken else p
    if broken:
        kernels.shrink(shrunk, k, group.traits.centre)
    healthy = [position for position in range(len(group.spans)) if position not in broken]
    if k.moves:
        kernels.tiger(p, g, m, work, k, _group_rate(group, p, work, k), p.shape, group.traits.decays)
        batch.store_params(p, k.draw, healthy)
    else:
        kernels.tiger_momentum(g, m, work, k)
    batch.store_params(shrunk, k.draw, broken)
    batch.store_momenta(m, healthy)


def _broken(group: Group, g: Floats) -> set[int]:
    if not has_nan(g):
        return set()
    return set(np.flatnonzero(np.logical_or.reduceat(np.isnan(g), group.starts)).tolist())


def _group_rate(group: Group, p: Floats, work: Workspace, k: TigerCoefficients) -> Floats | float:
    if group.traits.rms is None:
        return 0.5 * k.lr
    squares = work.squares(p)
    totals = np.array([np.add.reduce(squares[span]) for span in group.spans])
    return np.repeat(_rms_rate(totals, group.sizes, k, group.compute), group.sizes)


def _rms_rate(totals: Floats, counts: Floats | int, k: TigerCoefficients, compute: str) -> Floats:
    """lr·RMS from sums of squares in float64, the RMS rounded once to the compute dtype."""
    rms = np.sqrt(totals / counts).astype(compute)
    return np.asarray(k.lr * rms)
