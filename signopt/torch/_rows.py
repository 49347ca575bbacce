"""Which backend takes the step of which tensors."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor

from signopt._checks import check_disjoint, check_writable
from signopt.backends import Backend, select
from signopt.backends._interop import is_plain_tensor
from signopt.backends._storage import Storage
from signopt.backends.portable import PortableBackend
from signopt.rules.coefficients import Coefficients

__all__ = ["Bindings", "Plan", "Row", "bound_to", "is_distributed", "local_row"]

Write: TypeAlias = Callable[[], None]


class Row(NamedTuple):
    """One parameter, with what its step reads and writes.

    ``number`` and ``rest`` serve its rounding; ``counter`` counts its steps, if anything asks for them; ``facts`` are
    Tiger's, if it is a shard.
    """

    param: Tensor
    grad: Tensor
    momentum: Tensor
    role: str = "matrix"
    rounding: str = "nearest"
    number: int = 0
    rest: Tensor | None = None
    counter: Tensor | None = None
    facts: Tensor | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Parameter, gradient, momentum and, if it has one, the rest."""
        three = (self.param, self.grad, self.momentum)
        return three if self.rest is None else (*three, self.rest)

    @property
    def written(self) -> tuple[Tensor, ...]:
        """What a step changes: parameter, momentum and, if it has one, the rest."""
        return (self.param, self.momentum) if self.rest is None else (self.param, self.momentum, self.rest)


Plan: TypeAlias = list[tuple[list[Row], Coefficients]]
"""What is updated with the same numbers, and these."""


def is_distributed(tensor: Tensor) -> bool:
    """Whether it is a DTensor."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local_row(row: Row) -> Row | None:
    """The shards of this rank, which share memory with the DTensors of ``row``; None if they are not cut alike."""
    if not all(map(is_distributed, row.tensors)):
        return None
    tensors: tuple[Any, ...] = row.tensors
    if any((t.device_mesh, t.placements) != (tensors[0].device_mesh, tensors[0].placements) for t in tensors):
        return None
    local = {
        name: tensor.to_local() for name, tensor in zip(("param", "grad", "momentum", "rest"), tensors, strict=False)
    }
    return row._replace(**local)


def bound_to(rows: Sequence[Row], backend: type[Backend] | None = None) -> Backend:
    """The fastest backend for tensors of one device, or the one given, bound to them; their rounding is one."""
    params = [row.param for row in rows]
    storage = Storage(rows[0].rounding, [row.number for row in rows], [row.rest for row in rows])
    kind = backend or select("auto", params)
    return kind(params, [row.momentum for row in rows], [row.role for row in rows], storage)


class Bindings:
    """Backends, each bound to the tensors of the last step, and used again if these are where they were."""

    def __init__(self) -> None:
        self._bound: dict[Any, Backend] = {}

    def prepare(self, plan: Plan) -> Write:
        """All of a step that can fail. What is returned writes it, and cannot."""
        bound: dict[Any, Backend] = {}
        writes = [
            self._prepare(place, rows, coefficients, bound)
            for all_rows, coefficients in plan
            for place, rows in _by_place(all_rows).items()
        ]
        self._bound = bound
        return lambda: _all(writes)

    def _prepare(self, place: Any, rows: Sequence[Row], coefficients: Coefficients, bound: dict[Any, Backend]) -> Write:
        grads = [row.grad for row in rows]
        facts = [row.facts for row in rows] if any(row.facts is not None for row in rows) else None
        if place[0] is None:
            return bound_to(rows, PortableBackend).prepare(grads, coefficients, facts=facts)
        key = tuple([(row.role, row.rounding, row.number, *map(_where, row.written)) for row in rows])
        backend = self._bound.get(key)
        if backend is None:
            for label, tensor in _labelled(rows).items():
                check_writable(tensor, label, f"signopt.{coefficients.rule}")
            check_disjoint(_labelled(rows), {})
            backend = bound_to(rows)
        bound[key] = backend
        return backend.prepare(grads, coefficients, facts=facts)


def _all(writes: Iterable[Write]) -> None:
    for write in writes:
        write()


def _by_place(rows: Sequence[Row]) -> dict[Any, list[Row]]:
    """The rows by device and rounding; without a device those that only the rule can update: subclasses of tensors."""
    places: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        device = row.param.device if all(map(is_plain_tensor, row.tensors)) else None
        places[device, row.rounding].append(row)
    return places


def _labelled(rows: Sequence[Row]) -> dict[str, Tensor]:
    return {
        f"{what} {place}": tensor
        for place, row in enumerate(rows)
        for what, tensor in zip(_WRITTEN, row.written, strict=False)
    }


_WRITTEN = ("parameter", "momentum of parameter", "rest of parameter")


def _where(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.device
