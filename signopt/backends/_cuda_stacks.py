"""Matrices of one shape in one stack: a device is asked for the products of hundreds of them at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from signopt._namespace import Array, namespace_of
from signopt.rules._matrices import as_matrices, from_matrices

__all__ = ["on_stacks"]

STACK = 1 << 26
"""Bytes of matrices from which on nothing is won by a larger stack, which takes more memory while it is worked on."""


def on_stacks(function: Callable[[Array], Array], arrays: Sequence[Array], batch_axis: int | None) -> list[Array]:
    """``function``, which takes a (count, rows, cols) stack to another, of the matrices of each array, in its shape."""
    import cupy

    matrices = [as_matrices(namespace_of(array), array, batch_axis, "param") for array in arrays]
    stacks = [array.reshape(-1, *array.shape[-2:]) for array in matrices]
    results: list[Any] = [None] * len(arrays)
    for indices in _alike(stacks):
        some = [stacks[index] for index in indices]
        result = function(some[0] if len(some) == 1 else cupy.concatenate(some))
        first = 0
        for index in indices:
            count = len(stacks[index])
            of_one = result[first : first + count].reshape(matrices[index].shape)
            results[index] = from_matrices(namespace_of(of_one), of_one, tuple(arrays[index].shape), batch_axis)
            first += count
    return results


def _alike(stacks: Sequence[Array]) -> Iterator[list[int]]:
    """The places of stacks of one shape and dtype, as many as fit together."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for index, stack in enumerate(stacks):
        groups[stack.shape[-2:], stack.dtype].append(index)
    for indices in groups.values():
        batch: list[int] = []
        for index in indices:
            if batch and sum(stacks[each].nbytes for each in [*batch, index]) > STACK:
                yield batch
                batch = []
            batch.append(index)
        yield batch
