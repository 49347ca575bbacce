"""Matrices of one shape in one stack: a device is asked for the products of hundreds of them at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from signopt._namespace import Array, namespace_of
from signopt.rules._matrices import as_matrices, from_matrices

__all__ = ["on_stacks"]

STACK = 1 << 26
"""Bytes of matrices from which on nothing is won by a larger stack, which takes more memory while it is worked on."""


def on_stacks(function: Callable[[Array], Array], arrays: Sequence[Array], batch_axis: int | None) -> list[Array]:
    """``function`` of the matrices of each array, in its shape; it takes a matrix or a stack and gives another.

    What has no like is not stacked: cuBLAS multiplies a single matrix faster as such than as a stack of one.
    """
    matrices = [as_matrices(namespace_of(array), array, batch_axis, "param") for array in arrays]
    results: list[Any] = [None] * len(arrays)
    for indices in _alike(matrices):
        for index, result in zip(indices, _together(function, [matrices[i] for i in indices]), strict=True):
            results[index] = from_matrices(namespace_of(result), result, tuple(arrays[index].shape), batch_axis)
    return results


def _together(function: Callable[[Array], Array], alike: Sequence[Array]) -> list[Array]:
    import cupy

    if len(alike) == 1:
        return [function(alike[0])]
    stacks = [matrices.reshape(-1, *matrices.shape[-2:]) for matrices in alike]
    ends = [*accumulate(map(len, stacks))]
    parts = cupy.split(function(cupy.concatenate(stacks)), ends[:-1])
    return [part.reshape(matrices.shape) for part, matrices in zip(parts, alike, strict=True)]


def _alike(matrices: Sequence[Array]) -> Iterator[list[int]]:
    """The places of matrices of one shape and dtype, as many as fit together."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for index, one in enumerate(matrices):
        groups[one.shape[-2:], one.dtype].append(index)
    for indices in groups.values():
        batch: list[int] = []
        for index in indices:
            if batch and sum(matrices[each].nbytes for each in [*batch, index]) > STACK:
                yield batch
                batch = []
            batch.append(index)
        yield batch
