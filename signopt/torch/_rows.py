"""Which backend takes the step of which tensors."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.autograd.graph import increment_version

from signopt._checks import check_disjoint, check_writable
from signopt.backends import Backend, select
from signopt.backends._interop import is_plain_tensor
from signopt.backends.portable import PortableBackend
from signopt.rules.coefficients import Coefficients

__all__ = ["Bindings", "Row", "local_row"]

Write = Callable[[], None]


class Row(NamedTuple):
    """One parameter, with what its step reads and writes."""

    param: Tensor
    grad: Tensor
    momentum: Tensor
    role: str


def local_row(row: Row) -> Row:
    """The shards of this rank, which share memory with the DTensors of ``row``, if all of them are cut alike.

    Any other row is returned as it is.
    """
    module = sys.modules.get("torch.distributed.tensor")
    if (
        module is None
        or is_plain_tensor(row.param)
        or not all(isinstance(tensor, module.DTensor) for tensor in row[:3])
    ):
        return row
    placed: Any = row.param
    if any((t.device_mesh, t.placements) != (placed.device_mesh, placed.placements) for t in (row.grad, row.momentum)):  # type: ignore[attr-defined]
        return row
    param, grad, momentum = (tensor.to_local() for tensor in row[:3])  # type: ignore[attr-defined]
    return Row(param, grad, momentum, row.role)


class Bindings:
    """Backends, each bound to the tensors of the last step, and used again if these are where they were."""

    def __init__(self) -> None:
        self._bound: dict[Any, Backend] = {}

    def prepare(self, plan: Iterable[tuple[Sequence[Row], Coefficients]]) -> Write:
        """All of a step that can fail. What is returned writes it, and cannot."""
        plan = list(plan)
        bound: dict[Any, Backend] = {}
        writes = [
            self._prepare(place, rows, coefficients, bound)
            for all_rows, coefficients in plan
            for place, rows in _by_place(all_rows).items()
        ]
        self._bound = bound
        written = [tensor for rows, _ in plan for row in rows for tensor in (row.param, row.momentum)]

        def write() -> None:
            _all(writes)
            increment_version(written)

        return write

    def _prepare(self, place: Any, rows: Sequence[Row], coefficients: Coefficients, bound: dict[Any, Backend]) -> Write:
        if place is None:
            return _portable(rows, coefficients)
        key = tuple((_where(row.param), _where(row.momentum), row.role) for row in rows)
        backend = self._bound.get(key)
        if backend is None:
            params = [row.param for row in rows]
            for label, tensor in _labelled(rows).items():
                check_writable(tensor, label, f"signopt.{coefficients.rule}")
            check_disjoint(_labelled(rows), {})
            backend = select("auto", params)(params, [row.momentum for row in rows], [row.role for row in rows])
        bound[key] = backend
        return backend.prepare([row.grad for row in rows], coefficients)


def _all(writes: Iterable[Write]) -> None:
    for write in writes:
        write()


def _by_place(rows: Sequence[Row]) -> dict[Any, list[Row]]:
    """The rows by device; under None those that only the rule itself can update: subclasses of tensors."""
    places: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        places[row.param.device if all(map(is_plain_tensor, row[:3])) else None].append(row)
    return places


def _labelled(rows: Sequence[Row]) -> dict[str, Tensor]:
    labels = (("parameter", 0), ("momentum of parameter", 2))
    return {f"{what} {place}": row[column] for place, row in enumerate(rows) for what, column in labels}  # type: ignore[misc]


def _where(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.device


def _portable(rows: Sequence[Row], coefficients: Coefficients) -> Write:
    params, grads, momenta, roles = (list(column) for column in zip(*rows, strict=True))
    return PortableBackend(params, momenta, roles).prepare(grads, coefficients)
