"""A rule on whole tensors: DTensors are gathered, and each rank writes its shard."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor

from signopt.roles import traits_of
from signopt.rules import UPDATES
from signopt.rules.coefficients import Coefficients
from signopt.torch._rows import Row

__all__ = ["prepare_gathered"]


def prepare_gathered(plan: Iterable[tuple[Sequence[Row], Coefficients]]) -> Callable[[], None]:
    """All of a step that can fail. What is returned writes it, and cannot."""
    writes = [
        (old, _placed_like(old, new))
        for rows, coefficients in plan
        for row in rows
        for old, new in zip((row.param, row.momentum), _results(row, coefficients), strict=True)
    ]

    def write() -> None:
        for old, new in writes:
            old.copy_(new)

    return write


def _results(row: Row, coefficients: Coefficients) -> tuple[Tensor, Tensor]:
    whole = (_whole(tensor) for tensor in (row.param, row.grad, row.momentum))
    return UPDATES[coefficients.rule](*whole, coefficients, traits_of(row.role))


def _is_distributed(tensor: Tensor) -> bool:
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def _whole(tensor: Any) -> Tensor:
    gathered: Tensor = tensor.full_tensor() if _is_distributed(tensor) else tensor
    return gathered


def _placed_like(old: Any, new: Tensor) -> Tensor:
    """``new``, which every rank has, cut as ``old`` is."""
    if not _is_distributed(old):
        return new
    module = sys.modules["torch.distributed.tensor"]
    mesh = old.device_mesh
    replicated = module.DTensor.from_local(new, mesh, [module.Replicate()] * mesh.ndim, run_check=False)
    placed: Tensor = replicated.redistribute(placements=old.placements)
    return placed
