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
"""Elements of one tensor that a thread looks at together, at most."""


class TigerTable:
    """What Tiger does with each tensor of ``table``, by its traits."""

    def __init__(self, table: TensorTable, traits: Sequence[RoleTraits]) -> None:
        self.table = table
        shapes = [param.shape for param in table.params]
        by_row = [trait.rms == "row" and shape != () for trait, shape in zip(traits, shapes, strict=True)]
        self._columns = np.array([shape[-1] if row else 0 for row, shape in zip(by_row, shapes, strict=True)])
        self._scaled = np.array([trait.rms is not None for trait in traits])
        self._decays = np.array([trait.decays for trait in traits], table.compute)
        self._centres = np.array([trait.centre for trait in traits], table.compute)
        bounds = [leaves(size, CHUNK) for size in table.sizes.tolist()]
        counts = [len(its) - 1 for its in bounds]
        self._chunk_tensors = np.repeat(np.arange(len(counts)), counts)
        self._firsts = np.concatenate([its[:-1] for its in bounds])
        self._lasts = np.concatenate([its[1:] for its in bounds])
        self._starts = np.cumsum([0, *counts[:-1]])
        self._cut = [
            (t, slice(start, start + count))
            for t, (start, count) in enumerate(zip(self._starts.tolist(), counts, strict=True))
            if count > 1
        ]

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
        )
        scalars = table.scalars(B2=k.b1, A2=k.b2, lr=k.lr, shrink=k.shrink)
        table.run(kernels.tiger, threads, table.elements, scalars, k.moves, tensors)

    def _look(self, k: TigerCoefficients, threads: int) -> tuple[Floats, Floats]:
        """The rate of each tensor without rows, and whether its gradient has a NaN."""
        summed = self._scaled & (self._columns == 0) & k.moves
        count = len(self._firsts)
        sums, broken = np.zeros(count), np.empty(count, np.bool_)
        looked = Looked(self._chunk_tensors, self._firsts, self._lasts, summed, sums, broken)
        self.table.run(kernels.tiger_look, threads, count, looked)
        totals = sums[self._starts]
        for tensor, chunks in self._cut:
            totals[tensor] = combined(sums[chunks])
        compute = self.table.compute
        rms = np.sqrt(totals / self.table.sizes).astype(compute)
        rates = np.where(self._scaled, compute.type(k.lr) * rms, compute.type(0.5 * k.lr))
        return rates, np.logical_or.reduceat(broken, self._starts)
