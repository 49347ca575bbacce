"""The rules in pure NumPy, in place, one cache-sized block at a time, on a few threads.

Large arrays are cut into blocks; small ones are gathered, many at a time, into one block, so that the cost of a NumPy
call is paid once for all of them. Scratch memory stays under 1 MiB in all, whatever the size of the arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np

from signopt._namespace import Array
from signopt.backends import _numpy_blocks as kernels
from signopt.backends._base import Backend, Known
from signopt.backends._numpy_blocks import Floats, Workspace
from signopt.backends._numpy_muon import Matrices
from signopt.backends._numpy_tensors import SLOTS_GATHERED, Batch, Block, Cut, Group, Tensor
from signopt.backends._numpy_tiger import Chunks, Look, update_batch
from signopt.backends._storage import NEAREST, Storage
from signopt.backends._threads import default_threads, for_each
from signopt.backends.portable import PortableBackend
from signopt.roles import traits_of
from signopt.rules.coefficients import Coefficients
from signopt.rules.muon import MuonCoefficients
from signopt.rules.tiger import TigerCoefficients

__all__ = ["NumpyBackend"]

WORTH_GATHERING = 12 << 10
"""Up to this many bytes in the compute dtype, copying an array costs less than NumPy calls of its own."""

WORTH_A_THREAD = 1 << 17
"""Elements of large arrays per thread under which handing work over costs more than it saves. Gathering small ones is
mostly work that holds the GIL, and no reason for a thread."""

SCRATCH, SCRATCH_PER_THREAD = 800 << 10, 400 << 10
"""Bytes of scratch for all threads, and for one: small enough for its cache, and large enough that a NumPy call takes
longer than handing the GIL from one thread to another."""

SCRATCH_OF_MANY = 600 << 10
"""The same for more than two threads, whose tasks in flight take memory too."""

RESERVE = 64 << 10
"""Bytes that are set aside for a task that finds no memory."""

Kernel: TypeAlias = Callable[[Floats, Floats, Floats, Workspace, Any], None]
Task = TypeVar("Task")


class NumpyBackend(Backend):
    """Blocked NumPy with the bits of the rule.

    Parameters
    ----------
    params, momenta : sequence of ndarray
        The arrays that are written: float64, float32, float16 or bfloat16, of any layout.
    roles : sequence of str, optional
        Tiger's, one per parameter.

    Attributes
    ----------
    threads : int
        The most threads that a step uses, 1 to 8; no result depends on it. At first ``SIGNOPT_NUM_THREADS``, or the
        number of processors.
    """

    name: ClassVar[str] = "numpy"

    def __init__(
        self,
        params: Sequence[Array],
        momenta: Sequence[Array],
        roles: Sequence[str] | None = None,
        storage: Storage = NEAREST,
    ) -> None:
        self.threads = default_threads()
        self._params, self._momenta, self._roles, self._storage = params, momenta, roles, storage
        self._matrices: Matrices | None = None
        tensors = [
            Tensor(index, param, momentum, traits_of(role), storage)
            for index, (param, momentum, role) in enumerate(
                zip(params, momenta, roles or ["matrix"] * len(params), strict=True)
            )
            if param.size
        ]
        self._large = [tensor for tensor in tensors if not _worth_gathering(tensor)]
        self._small = [tensor for tensor in tensors if _worth_gathering(tensor)]
        self._elements = sum(tensor.size for tensor in self._large)
        self._groups: dict[int, list[Group]] = {}

    def prepare(
        self,
        grads: Sequence[Array],
        coefficients: Coefficients,
        *,
        unchanged: bool = False,
        facts: Known | None = None,
    ) -> Callable[[], None]:
        if isinstance(coefficients, MuonCoefficients):
            return self._muon(grads, coefficients)
        if isinstance(coefficients, TigerCoefficients):
            return self._tiger(grads, coefficients, facts)
        if coefficients.rule in kernels.ELEMENTWISE:
            return self._elementwise(grads, kernels.ELEMENTWISE[coefficients.rule], coefficients)
        return self._portable(grads, coefficients)

    def _portable(self, grads: Sequence[Array], coefficients: Coefficients) -> Callable[[], None]:
        """The rule itself, if there is nothing here that does better."""
        return PortableBackend(self._params, self._momenta, self._roles, self._storage).prepare(grads, coefficients)

    def _muon(self, grads: Sequence[Array], coefficients: MuonCoefficients) -> Callable[[], None]:
        if self._storage.rounding != "nearest":
            return self._portable(grads, coefficients)
        if self._matrices is None or self._matrices.batch_axis != coefficients.batch_axis:
            self._matrices = Matrices(self._params, self._momenta, coefficients.batch_axis)
        return self._matrices.prepare(grads, coefficients, self.threads)

    def _tiger(
        self, grads: Sequence[Array], coefficients: TigerCoefficients, facts: Known | None
    ) -> Callable[[], None]:
        crew = _Crew(self.threads, self._elements)
        by_dtype = _rounded(coefficients)
        looks = [
            Look(
                cut,
                coefficients.moves,
                crew.limit(cut.slots, cut.tensor.compute),
                crew.limit(1, "float64"),
                None if facts is None else facts[cut.tensor.index],
            )
            for cut in self._cuts(grads, self._large if facts is None else self._large + self._small)
        ]

        def look(task: tuple[Look, Chunks], work: Workspace) -> None:
            task[0].take(task[1], work)

        def update(task: tuple[Look, Block] | Batch, work: Workspace) -> None:
            if isinstance(task, Batch):
                update_batch(task, work, by_dtype[task.compute])
            else:
                task[0].update(task[1], work, by_dtype[task[1].compute])

        crew.run(chain.from_iterable(seen.tasks() for seen in looks), look)
        for seen in looks:
            seen.settle(by_dtype[seen.cut.tensor.compute])
        crew.make_room_for_rows(max((seen.rows_at_once for seen in looks), default=0))
        blocks = ((seen, block) for seen in looks for block in crew.blocks(seen.cut))
        batches = self._batches(crew, grads) if facts is None else ()
        tasks: Iterator[tuple[Look, Block] | Batch] = chain(batches, blocks)
        return lambda: crew.run(tasks, update)

    def _elementwise(self, grads: Sequence[Array], kernel: Kernel, coefficients: Any) -> Callable[[], None]:
        crew = _Crew(self.threads, self._elements)
        by_dtype = _rounded(coefficients)

        def update(piece: Block | Batch, work: Workspace) -> None:
            p, g, m = piece.load(work)
            kernel(p, g, m, work, by_dtype[piece.compute])
            piece.store(p, m, coefficients.draw)

        blocks = (block for cut in self._cuts(grads, self._large) for block in crew.blocks(cut))
        tasks: Iterator[Block | Batch] = chain(self._batches(crew, grads), blocks)
        return lambda: crew.run(tasks, update)

    def _cuts(self, grads: Sequence[Array], tensors: Sequence[Tensor]) -> list[Cut]:
        return [tensor.cut(grads[tensor.index]) for tensor in tensors]

    def _batches(self, crew: _Crew, grads: Sequence[Array]) -> Iterator[Batch]:
        """The small tensors, as many at a time as fill a block of this crew."""
        if crew.bytes_each not in self._groups:
            self._groups = {crew.bytes_each: list(_grouped(self._small, crew))}
        return (Batch(group, grads) for group in self._groups[crew.bytes_each])


class _Crew:
    """The threads of one step and their scratch memory, all of it taken before anything is written."""

    def __init__(self, threads: int, elements: int) -> None:
        count = max(1, min(threads, elements // WORTH_A_THREAD))
        self.bytes_each = min(SCRATCH_PER_THREAD, (SCRATCH if count <= 2 else SCRATCH_OF_MANY) // count) // 8 * 8
        self._workspaces = [Workspace(self.bytes_each) for _ in range(count)]
        self._reserve: Floats | None = np.empty(RESERVE, np.int8)

    def make_room_for_rows(self, count: int) -> None:
        """See :meth:`Workspace.make_room_for_rows`."""
        for workspace in self._workspaces:
            workspace.make_room_for_rows(count)

    def limit(self, slots: int, compute: str) -> int:
        """Elements per block if one needs ``slots`` blocks of scratch."""
        return self.bytes_each // (slots * np.dtype(compute).itemsize)

    def blocks(self, cut: Cut) -> Iterator[Block]:
        """The blocks of ``cut`` that fit in the scratch memory of one thread."""
        return cut.blocks(self.limit(cut.slots, cut.tensor.compute))

    def run(self, tasks: Iterable[Task], work: Callable[[Task, Workspace], None]) -> None:
        """Call ``work(task, workspace)`` for every task.

        A task that finds no memory finds it before it has written anything. It gets the reserve, and is begun again:
        others may have been written.
        """

        def work_or_try_again(task: Task, thread: int) -> None:
            try:
                work(task, self._workspaces[thread])
            except MemoryError:
                self._reserve = None
                work(task, self._workspaces[thread])

        for_each(tasks, work_or_try_again, len(self._workspaces))


def _worth_gathering(tensor: Tensor) -> bool:
    return not tensor.by_row and tensor.size * np.dtype(tensor.compute).itemsize <= WORTH_GATHERING


def _grouped(tensors: Sequence[Tensor], crew: _Crew) -> Iterator[Group]:
    for (compute, *_), alike in groupby(sorted(tensors, key=_kind), _kind):
        limit = crew.limit(SLOTS_GATHERED, compute)
        members: list[Tensor] = []
        size = 0
        for tensor in alike:
            if size + tensor.size > limit:
                yield Group(members)
                members, size = [], 0
            members.append(tensor)
            size += tensor.size
        yield Group(members)


def _kind(tensor: Tensor) -> tuple[str, str, bool, float]:
    traits = tensor.traits
    return tensor.compute, str(traits.rms), traits.decays, traits.centre


def _rounded(coefficients: Any) -> dict[str, Any]:
    """The coefficients by compute dtype, as 0-d arrays, which NumPy takes in half the time of Python floats."""
    numbers = coefficients.numbers()
    by_dtype = {compute: coefficients.rounded(compute) for compute in ("float32", "float64")}
    return {
        compute: replace(k, **{name: np.array(getattr(k, name), compute) for name in numbers})
        for compute, k in by_dtype.items()
    }
