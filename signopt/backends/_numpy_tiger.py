"""What Tiger must know of a whole tensor before it may touch a block of it: a NaN in the gradient, and RMS(p)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import TypeAlias

import numpy as np

from signopt.backends import _numpy_blocks as kernels
from signopt.backends._known import root_of, tells_nan, tells_rms
from signopt.backends._layout import Box, boxes, row_boxes
from signopt.backends._numpy_blocks import Floats, Workspace
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
    facts : array, optional
        What is known already, if this is a shard: no NaN is looked for then, nor an RMS that the facts give.

    Attributes
    ----------
    has_nan : bool
        Whether any element of the gradient is NaN.
    """

    def __init__(self, cut: Cut, moves: bool, block_limit: int, chunk_limit: int, facts: Floats | None = None) -> None:
        self.cut = cut
        self._facts = facts
        self.has_nan = facts is not None and tells_nan(facts)
        shape, tensor = cut.p.shape, cut.tensor
        self._block_limit = block_limit
        self._rms_known = facts is not None and tells_rms(facts, tensor.param.ndim, tensor.traits)
        self._rows_fit = moves and tensor.by_row and not self._rms_known and shape[-1] <= block_limit
        self._width = np.array(float(shape[-1] if shape else 1))
        self._sums_wanted = moves and tensor.traits.rms is not None and not (self._rows_fit or self._rms_known)
        self._chunk_limit = chunk_limit
        self._bounds = leaves(shape[-1] if tensor.by_row else tensor.size, chunk_limit)
        rows = math.prod(shape[:-1]) if tensor.by_row else 1
        self._sums = np.empty((rows, len(self._bounds) - 1) if self._sums_wanted else 0)

    def tasks(self) -> Iterator[tuple[Look, Chunks]]:
        """The tensor in pieces of work for :meth:`take`."""
        chunks = enumerate(self._chunks()) if self._facts is None or self._sums_wanted else iter(())
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
            if self._facts is None and work.has_nan(work.flat(g, 0)):
                self.has_nan = True

    def settle(self, k: TigerCoefficients) -> None:
        """Form the rates, once all chunks have been looked at: those that need no block of the parameter."""
        tensor = self.cut.tensor
        if tensor.traits.rms is None:
            self._rates = np.asarray(0.5 * k.lr).reshape(1)
        elif self._facts is not None and self._rms_known:
            self._rates = np.asarray(k.lr * root_of(self._facts, tensor.compute)).reshape(-1)
        elif self._sums_wanted and not self.has_nan:
            counts = np.asarray(float(self.cut.p.shape[-1] if tensor.by_row else tensor.size))
            sums = combined(self._sums)
            self._rates = np.empty(len(sums), tensor.compute)
            _rms_rates(sums, counts, k, self._rates)

    @property
    def rows_at_once(self) -> int:
        """How many rows of a block get their RMS there."""
        return self._block_limit // self.cut.p.shape[-1] if self._rows_fit else 0

    def update(self, block: Block, work: Workspace, k: TigerCoefficients) -> None:
        """Tiger on one block of this tensor, once the rates are settled."""
        p, g, m = block.load(work)
        traits = self.cut.tensor.traits
        if self.has_nan:
            kernels.shrink(p, k, work.number(traits.centre))
            block.store(p, None, k.draw)
        elif k.moves:
            kernels.tiger(p, g, m, work, k, self._rate(block, p, work, k), block.shape, traits.decays)
            block.store(p, m, k.draw)
        else:
            kernels.tiger_momentum(g, m, work, k)
            block.store(None, m, k.draw)

    def _rate(self, block: Block, p: Floats, work: Workspace, k: TigerCoefficients) -> Floats:
        tensor, shape = self.cut.tensor, self.cut.p.shape
        if self._rows_fit:
            squares, rows = work.squares(p).reshape(block.shape), (*block.shape[:-1], 1)
            count = p.size // shape[-1]
            sums, rates = work.row_sums[:count].reshape(rows), work.row_rates[tensor.compute][:count].reshape(rows)
            np.add.reduce(squares, axis=-1, keepdims=True, out=sums)
            _rms_rates(sums, self._width, k, rates)
            return rates
        if self._rms_known and tensor.by_row:
            return np.broadcast_to(self._rates.reshape(*shape[:-1], 1), shape)[block.box]
        row = 0
        if tensor.by_row and tensor.traits.rms is not None:
            for part, length in zip(block.box[:-1], shape[:-1], strict=True):
                row = row * length + part.start
        return self._rates[row : row + 1]


def update_batch(batch: Batch, work: Workspace, k: TigerCoefficients) -> None:
    """Tiger on a batch of small tensors, none of them with rows of its own."""
    p, g, m = batch.load(work)
    group = batch.group
    flags = work.nan_in_each(g, group.starts, group.flags) if work.has_nan(g) else []
    with_nan = [position for position, flag in enumerate(flags) if flag]
    healthy = [position for position, flag in enumerate(flags) if not flag] if with_nan else None
    if k.moves:
        _settle_group(group, p, work, k)
        kernels.tiger_momentum(g, m, work, k)
        rate = np.concatenate(group.spread, out=g)  # whose values are in m by now
        kernels.tiger_step(p, m, work, k, rate, p.shape, group.traits.decays)
        batch.store(p, m, k.draw, healthy)
    else:
        kernels.tiger_momentum(g, m, work, k)
        batch.store(None, m, k.draw, healthy)
    if with_nan:
        batch.load_params(work)
        kernels.shrink(p, k, work.number(group.traits.centre))
        batch.store(p, None, k.draw, with_nan)


def _settle_group(group: Group, p: Floats, work: Workspace, k: TigerCoefficients) -> None:
    """Leave the rate of every tensor of the group in ``group.rates``."""
    if group.traits.rms is None:
        np.multiply(k.lr, work.number(0.5), out=group.rates)
        return
    squares = work.squares(p)
    for span, total in zip(group.spans, group.each_total, strict=True):
        np.add.reduce(squares[span], axis=None, out=total)
    _rms_rates(group.totals, group.counts, k, group.rates)


def _rms_rates(totals: Floats, counts: Floats, k: TigerCoefficients, out: Floats) -> None:
    """lr·RMS from sums of squares in float64, which are overwritten; the RMS is rounded once to the compute dtype."""
    np.divide(totals, counts, totals)
    np.sqrt(totals, totals)
    out[...] = totals
    np.multiply(k.lr, out, out)
