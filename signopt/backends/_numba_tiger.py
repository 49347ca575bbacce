"""Tiger's two passes over a table of tensors: look for NaN and sum squares, then update."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from signopt.backends import _numba_kernels as kernels
from signopt.backends._numba_families import Floats, TensorTable
from signopt.backends._numba_kernels import Looked, TigerTensors
from signopt.backends._pairwise import combined, leaves
from signopt.roles import RoleTraits
from signopt.rules._coefficients import TigerCoefficients

__all__ = ["TigerTable"]


CHUNK = 1 << 16
"""Elements that a thread looks at together, at most. A tensor no larger is still in cache when it is updated."""


class TigerTable:
    """What Tiger does with each tensor of ``table``, by its traits."""

    def __init__(self, table: TensorTable, traits: Sequence[RoleTraits]) -> None:
        self.table = table
        self._whole = table.sizes <= CHUNK
        self._columns = np.array(
            [_row_length(trait, param.shape) for trait, param in zip(traits, table.params, strict=True)]
        )
        self._scaled = np.array([trait.rms is not None for trait in traits])
        one_row = self._whole & self._scaled & (self._columns == 0)
        self._columns[one_row] = table.sizes[one_row]
        self._decays = np.array([trait.decays for trait in traits], table.compute)
        self._centres = np.array([trait.centre for trait in traits], table.compute)
        self._large = np.flatnonzero(~self._whole).tolist()
        bounds = [leaves(int(table.sizes[t]), CHUNK) for t in self._large]
        counts = [len(its) - 1 for its in bounds]
        ends = np.cumsum(counts).tolist()
        self._chunks = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
        self._chunk_tensors = np.repeat(np.array(self._large, np.int64), counts)
        self._firsts = np.concatenate([np.empty(0, np.int64), *(its[:-1] for its in bounds)])
        self._lasts = np.concatenate([np.empty(0, np.int64), *(its[1:] for its in bounds)])

    def step(self, k: TigerCoefficients, threads: int) -> None:
        """One micro-step; the gradients have been pointed to, and ``k`` is rounded to the compute dtype."""
        table = self.table
        rates, broken = self._look(k, threads)
        tensors = TigerTensors(
            rates=rates,
            decays=self._decays * table.compute.type(k.weight_decay),
            centres=self._centres,
            columns=self._columns,
            broken=broken,
            whole=self._whole,
        )
        scalars = table.scalars(B2=k.b1, A2=k.b2, lr=k.lr, shrink=k.shrink)
        table.run(kernels.tiger, threads, table.elements, scalars, k.moves, tensors)

    def _look(self, k: TigerCoefficients, threads: int) -> tuple[Floats, Floats]:
        """The rate of each tensor without rows, and whether its gradient has a NaN, for the large ones."""
        summed = self._scaled & (self._columns == 0) & k.moves
        count = len(self._firsts)
        sums, broken_chunks = np.zeros(count), np.empty(count, np.bool_)
        looked = Looked(self._chunk_tensors, self._firsts, self._lasts, summed, sums, broken_chunks)
        if count:
            self.table.run(kernels.tiger_look, threads, count, looked)
        totals, broken = np.zeros(len(self._whole)), np.zeros(len(self._whole), np.bool_)
        for tensor, chunks in zip(self._large, self._chunks, strict=True):
            totals[tensor] = combined(sums[chunks])
            broken[tensor] = broken_chunks[chunks].any()
        compute = self.table.compute
        rms = np.sqrt(totals / self.table.sizes).astype(compute)
        return np.where(self._scaled, compute.type(k.lr) * rms, compute.type(0.5 * k.lr)), broken


def _row_length(traits: RoleTraits, shape: tuple[int, ...]) -> int:
    return shape[-1] if traits.rms == "row" and shape else 0
