"""Muon on NumPy arrays: element by element in cache-sized blocks with the rule's bits, and products in a workspace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from signopt._namespace import Array, compute_dtype_name, dtype_name, ready_to_round
from signopt.backends._layout import Box, boxes, memory_axes
from signopt.backends._muon_iteration import Iteration, Numbers, Room, Single, Stack, to_spectral_part
from signopt.backends._muon_products import Products
from signopt.backends._numpy_blocks import Floats, Workspace
from signopt.backends._threads import for_each
from signopt.rules._matrices import matrix_shape
from signopt.rules.muon import MuonCoefficients
from signopt.rules.spectral_decay import ROUNDS

__all__ = ["Matrices"]

WORTH_STACKING = 1 << 13
"""Up to this many elements a matrix is iterated together with others of its shape."""

STACKED = 1 << 16
"""Elements of a stack: a few of them are in the cache together."""

SLOTS, SCRATCH = 5, 400 << 10
"""Blocks of scratch that an update needs, and the bytes of all of them: they fit in a processor's cache."""

WORTH_A_THREAD = 1 << 17
"""Elements of a matrix per thread under which handing work over costs more than it saves."""


@dataclass(frozen=True)
class Matrix:
    """One matrix: a parameter, or one of the stack that a parameter is.

    ``shape`` is that of the matrix in the workspace, which is the transpose if the parameter lies in memory so.
    """

    index: int
    param: Floats
    momentum: Floats
    view: Callable[[Floats], Floats]
    shape: tuple[int, int]
    is_transposed: bool
    rule_shape: tuple[int, ...]
    compute: str


class Matrices:
    """The matrices of one optimizer, in the order in which a step takes them, and the workspace that they share.

    Parameters
    ----------
    params, momenta : sequence of ndarray
    batch_axis : int, optional
        As for :func:`signopt.muon`.
    """

    def __init__(self, params: Sequence[Floats], momenta: Sequence[Floats], batch_axis: int | None = None) -> None:
        self.batch_axis = batch_axis
        matrices = [
            matrix
            for index, (param, momentum) in enumerate(zip(params, momenta, strict=True))
            if param.size
            for matrix in _matrices(index, param, momentum, batch_axis)
        ]
        self._elements = max((matrix.param.size for matrix in matrices), default=0)
        self._sides = max((sum(matrix.shape) for matrix in matrices), default=0)
        groups = list(_groups(matrices))
        self._products = {compute: Products(compute) for compute in ("float32", "float64")}
        room = Room(max((_nbytes(group) for group in groups), default=0))
        made: dict[Any, Iteration] = {}
        self._jobs: list[tuple[list[Matrix], Iteration]] = []
        for group in groups:
            key = len(group), group[0].shape, group[0].compute
            if key not in made:
                made[key] = self._iteration(*key, room)
            self._jobs.append((group, made[key]))

    def prepare(self, grads: Sequence[Array], coefficients: MuonCoefficients, threads: int) -> Callable[[], None]:
        """All that can fail of a step; what is returned takes it."""
        threads = max(1, min(threads, self._elements // WORTH_A_THREAD))
        crew = [Workspace(SCRATCH) for _ in range(threads)]
        rounded = {compute: coefficients.rounded(compute) for compute in ("float32", "float64")}
        spectral = {compute: (Numbers(compute), np.empty(self._sides, compute)) for compute in rounded}
        jobs = [
            _Job(
                matrices, [matrix.view(grads[matrix.index]) for matrix in matrices], iteration, rounded, crew, spectral
            )
            for matrices, iteration in self._jobs
        ]
        return partial(_take, jobs)

    def _iteration(self, count: int, shape: tuple[int, int], compute: str, room: Room) -> Iteration:
        if _is_small(shape):
            return Stack(count, shape, compute, room)
        return Single(shape, compute, self._products[compute], room)


def _take(jobs: Sequence[_Job]) -> None:
    with np.errstate(all="ignore"):
        for job in jobs:
            job.step()


def _matrices(index: int, param: Floats, momentum: Floats, batch_axis: int | None) -> Iterator[Matrix]:
    rule_shape = tuple(param.shape)
    rows, cols = matrix_shape(rule_shape, batch_axis, "param")
    compute = compute_dtype_name(dtype_name(param))
    for place in [None] if batch_axis is None else range(param.shape[batch_axis]):
        one = _view(param, batch_axis, place)
        is_transposed = one.ndim == 2 and memory_axes(one) == (1, 0)
        view = partial(_view, batch_axis=batch_axis, place=place, is_transposed=is_transposed)
        shape = (cols, rows) if is_transposed else (rows, cols)
        yield Matrix(index, view(param), view(momentum), view, shape, is_transposed, rule_shape, compute)


def _view(array: Floats, batch_axis: int | None, place: int | None, is_transposed: bool = False) -> Floats:
    one = array if batch_axis is None else np.moveaxis(array, batch_axis, 0)[place]
    return one.T if is_transposed else one


def _is_small(shape: tuple[int, int]) -> bool:
    return shape[0] * shape[1] <= WORTH_STACKING


def _groups(matrices: Sequence[Matrix]) -> Iterator[list[Matrix]]:
    """Large matrices one by one; small ones of one shape together, up to a limit."""
    small: dict[tuple[Any, ...], list[Matrix]] = defaultdict(list)
    for matrix in matrices:
        if _is_small(matrix.shape):
            small[matrix.shape, matrix.compute].append(matrix)
        else:
            yield [matrix]
    for (shape, _), alike in small.items():
        count = max(1, STACKED // (shape[0] * shape[1]))
        for start in range(0, len(alike), count):
            yield alike[start : start + count]


def _nbytes(group: list[Matrix]) -> int:
    shape, compute = group[0].shape, group[0].compute
    return Stack.nbytes(len(group), shape, compute) if _is_small(shape) else Single.nbytes(shape, compute)


class _Job:
    """One step of some matrices of one shape."""

    def __init__(
        self,
        matrices: Sequence[Matrix],
        grads: Sequence[Floats],
        iteration: Iteration,
        rounded: dict[str, MuonCoefficients],
        crew: Sequence[Workspace],
        spectral: dict[str, tuple[Numbers, Floats]],
    ) -> None:
        self._matrices, self._grads, self._iteration, self._crew = matrices, grads, iteration, crew
        self._k = rounded[matrices[0].compute]
        self._spectral = spectral[matrices[0].compute]
        scale = self._k.scale(matrices[0].rule_shape, matrices[0].compute)
        self._scale = None if scale == 1.0 else np.array(scale, matrices[0].compute)
        numbers: dict[str, Any] = {
            name: np.array(getattr(self._k, name), matrices[0].compute) for name in self._k.numbers()
        }
        self._numbers = replace(self._k, **numbers)
        limit = SCRATCH // (SLOTS * np.dtype(matrices[0].compute).itemsize)
        self._boxes = list(boxes(matrices[0].param.shape, limit))

    def step(self) -> None:
        """Momenta first, then the iteration, then the parameters."""
        u = self._like_params(self._iteration.u)
        self._on_blocks(lambda place, box, work: self._average(place, u[place], box, work))
        x, spare = map(self._like_params, self._iteration.run(self._k.triples, self._k.eps))
        decaying = self._decaying(spare)
        self._on_blocks(lambda place, box, work: self._descend(place, x[place], decaying[place], box, work))

    def _like_params(self, stack: Floats) -> list[Floats]:
        return [array.reshape(matrix.param.shape) for array, matrix in zip(stack, self._matrices, strict=True)]

    def _on_blocks(self, work: Callable[[int, Box, Workspace], None]) -> None:
        tasks = [(place, box) for place in range(len(self._matrices)) for box in self._boxes]
        threads = min(len(tasks), len(self._crew))
        for_each(tasks, lambda task, thread: work(*task, self._crew[thread]), threads)

    def _average(self, place: int, u: Floats, box: Box, work: Workspace) -> None:
        """m and u of one block; ``u`` is its parameter's part of the workspace."""
        k, momentum = self._numbers, self._matrices[place].momentum[box]
        to = u[box].reshape(-1)
        work.prepare(to.size, self._matrices[place].compute)
        g, m = _twice(work.flat, self._grads[place][box], 3), _twice(work.flat, momentum, 4)
        np.multiply(g, k.A, work.scratch)
        np.multiply(m, k.B, m)
        np.add(m, work.scratch, m)
        if k.nesterov:
            np.multiply(m, k.B, to)
            np.add(work.scratch, to, to)
        else:
            np.copyto(to, m)
        _put_back(momentum, m)

    def _descend(self, place: int, x: Floats, decaying: Floats, box: Box, work: Workspace) -> None:
        """p of one block, whose part of X is lost; ``decaying`` is p or its spectral part."""
        k, param = self._numbers, self._matrices[place].param[box]
        step = x[box].reshape(-1)
        work.prepare(step.size, self._matrices[place].compute)
        p = _twice(work.flat, param, 2)
        d = p if decaying is self._matrices[place].param else decaying[box].reshape(-1)
        if self._scale is not None:
            np.multiply(step, self._scale, step)
        np.multiply(d, k.weight_decay, work.scratch)
        np.add(step, work.scratch, step)
        np.multiply(step, k.lr, step)
        np.subtract(p, step, p)
        _put_back(param, p)

    def _decaying(self, spare: Sequence[Floats]) -> list[Floats]:
        """What is subtracted as decay: the parameters, or their spectral parts, which are put into ``spare``."""
        if self._k.decay == "plain":
            return [matrix.param for matrix in self._matrices]
        for matrix, out in zip(self._matrices, spare, strict=True):
            _twice(partial(np.copyto, casting="unsafe"), out, matrix.param)
            w = out.reshape(matrix.shape)
            to_spectral_part(w.T if matrix.is_transposed else w, ROUNDS, *self._spectral)
        return list(spare)


def _put_back(old: Floats, new: Floats) -> None:
    if not np.may_share_memory(old, new):
        _twice(_put, old, new)


def _put(old: Floats, new: Floats) -> None:
    old[...] = ready_to_round(new, old.dtype).reshape(old.shape)


def _twice(function: Callable[..., Any], *args: Any) -> Any:
    """Call again if there is no memory: NumPy takes a few bytes before it converts to or from bfloat16.

    What other blocks have written cannot be taken back, and few bytes may be there again.
    """
    try:
        return function(*args)
    except MemoryError:
        return function(*args)
