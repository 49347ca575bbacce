"""Tiger over a table of tensors: each is looked at, for NaN in g and the squares of p, and then updated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from signopt.backends import _numba_kernels as kernels
from signopt.backends._base import Known
from signopt.backends._known import root_of, tells_nan
from signopt.backends._numba_kernels import Looked, TigerTensors
from signopt.backends._numba_rounding import Draws, Rests
from signopt.backends._numba_tables import Floats, TensorTable
from signopt.backends._pairwise import combined, leaves
from signopt.roles import RoleTraits
from signopt.rules.coefficients import Draw
from signopt.rules.tiger import TigerCoefficients

__all__ = ["TigerTable"]


WHOLE = 3 << 20
"""Up to so many elements, a tensor that one thread looks at is partly in cache still when it is updated."""

SHARE = 16
"""How many times such a tensor must fit into the share of a thread, so that threads end at about the same time."""


class TigerTable:
    """What Tiger does with each tensor of ``table``, by its traits."""

    def __init__(self, table: TensorTable, traits: Sequence[RoleTraits]) -> None:
        self.table = table
        self._columns = np.array(
            [_row_length(trait, param.shape) for trait, param in zip(traits, table.params, strict=True)]
        )
        self._scaled = np.array([trait.rms is not None for trait in traits]) & (self._columns == 0)
        self._decays = np.array([trait.decays for trait in traits], table.compute)
        self._centres = np.array([trait.centre for trait in traits], table.compute)
        self._looks: dict[tuple[int, bytes], _Look] = {}
        self._formed: tuple[TigerCoefficients, tuple[Floats, Floats]] | None = None

    def prepare(
        self, k: TigerCoefficients, draw: Draw, scalars: kernels.Scalars, threads: int, facts: Known | None = None
    ) -> Callable[[], None]:
        """One micro-step; the gradients have been pointed to, and ``k`` is rounded to the compute dtype.

        ``facts`` are those of the tensors of which the parameters are shards, or None for what is whole.
        """
        look, policy = self._look(threads, facts), self.table.policy(draw)
        means, has_nan = look(self._scaled & k.moves, threads, policy)
        rates, decays = self._constants(k)
        if not look.all_whole:
            rates = np.where(self._scaled, scalars.lr * self._roots(means, has_nan, facts), rates)
        tensors = TigerTensors(
            rates=rates,
            decays=decays,
            centres=self._centres,
            columns=self._columns,
            has_nan=has_nan,
            whole=look.whole,
            scaled=self._scaled,
        )
        return self.table.prepare(kernels.tiger, threads, self.table.elements, scalars, k.moves, tensors, policy)

    def _look(self, threads: int, facts: Known | None) -> _Look:
        known = (
            np.array([its is not None for its in facts], np.bool_) if facts else np.zeros(len(self._scaled), np.bool_)
        )
        key = threads, known.tobytes()
        if key not in self._looks:
            self._looks[key] = _Look(self.table, threads, known)
        return self._looks[key]

    def _roots(self, means: Floats, has_nan: Floats, facts: Known | None) -> Floats:
        """The RMS of each tensor that is not whole; ``has_nan`` is set as the facts tell it."""
        compute = self.table.compute
        roots = np.sqrt(means).astype(compute)
        for place, its in enumerate(facts or ()):
            if its is not None:
                roots[place], has_nan[place] = root_of(its, compute.name), tells_nan(its)
        return roots

    def _constants(self, k: TigerCoefficients) -> tuple[Floats, Floats]:
        """The rates of tensors that no RMS scales, and the decays of all."""
        if self._formed is None or self._formed[0] is not k:
            compute = self.table.compute
            rates = np.full(len(self._scaled), compute.type(0.5 * k.lr))
            self._formed = k, (rates, self._decays * compute.type(k.weight_decay))
        return self._formed[1]


class _Look:
    """The first pass over those tensors of ``table`` that are not ``whole``, in chunks that threads share.

    A whole tensor is looked at by the thread that updates it, just before, and one that is ``known`` by none.
    """

    def __init__(self, table: TensorTable, threads: int, known: Floats) -> None:
        self._table = table
        small = table.sizes <= max(kernels.CHUNK, min(WHOLE, table.elements // (SHARE * threads)))
        self.whole = small & ~known
        self.all_whole = bool(self.whole.all())
        self._large = np.flatnonzero(~small & ~known).tolist()
        bounds = [leaves(int(table.sizes[t]), kernels.CHUNK) for t in self._large]
        counts = [len(its) - 1 for its in bounds]
        ends = np.cumsum(counts).tolist()
        self._chunks = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
        self._chunk_tensors = np.repeat(np.array(self._large, np.int64), counts)
        self._firsts = np.concatenate([np.empty(0, np.int64), *(its[:-1] for its in bounds)])
        self._lasts = np.concatenate([np.empty(0, np.int64), *(its[1:] for its in bounds)])

    def __call__(self, summed: Floats, threads: int, policy: Draws | Rests | None) -> tuple[Floats, Floats]:
        """The mean of p² of each large tensor that is ``summed``, and whether its gradient has a NaN."""
        count = len(self._firsts)
        sums, chunks_with_nan = np.zeros(count), np.empty(count, np.bool_)
        looked = Looked(self._chunk_tensors, self._firsts, self._lasts, summed, sums, chunks_with_nan)
        if count:
            self._table.prepare(kernels.tiger_look, threads, count, looked, policy)()
        totals, has_nan = np.zeros(len(self.whole)), np.zeros(len(self.whole), np.bool_)
        for tensor, chunks in zip(self._large, self._chunks, strict=True):
            totals[tensor] = combined(sums[chunks])
            has_nan[tensor] = chunks_with_nan[chunks].any()
        return totals / self._table.sizes, has_nan


def _row_length(traits: RoleTraits, shape: tuple[int, ...]) -> int:
    return shape[-1] if traits.rms == "row" and shape else 0
