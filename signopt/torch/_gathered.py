"""Steps on whole tensors: DTensors are gathered one by one, and each rank writes its shard."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from signopt.rules.coefficients import Coefficients
from signopt.torch._rows import Plan, Row, bound_to, is_distributed

__all__ = ["prepare_gathered"]


def prepare_gathered(plan: Plan) -> Callable[[], None]:
    """All of a step that can fail. What is returned writes it, and cannot."""
    writes = [
        (old, _placed_like(old, new))
        for rows, coefficients in plan
        for row in rows
        for old, new in zip(row.written, _stepped(row, coefficients), strict=True)
    ]

    def write() -> None:
        for old, new in writes:
            old.copy_(new)

    return write


def _stepped(row: Row, coefficients: Coefficients) -> list[Tensor]:
    """What is to be written to ``row``, as whole tensors."""
    rest = None if row.rest is None else _whole(row.rest)
    whole = row._replace(param=_whole(row.param), grad=_whole(row.grad), momentum=_whole(row.momentum), rest=rest)
    bound_to([whole]).prepare([whole.grad], coefficients)()
    return list(whole.written)


def _whole(tensor: Any) -> Tensor:
    """A tensor of its own with all elements; the shards of a DTensor may lie in the memory of what it gathers into."""
    if not is_distributed(tensor):
        return tensor.detach().clone()  # type: ignore[no-any-return]
    carried = torch.bfloat16 if tensor.dtype == torch.int16 else tensor.dtype  # gloo sends no int16
    local = tensor.detach().to_local().view(carried)
    module = sys.modules["torch.distributed.tensor"]
    placed = module.DTensor.from_local(
        local, tensor.device_mesh, tensor.placements, run_check=False, shape=tensor.shape, stride=tensor.stride()
    )
    gathered: Tensor = placed.full_tensor().view(tensor.dtype).clone()
    return gathered


def _placed_like(old: Any, new: Tensor) -> Tensor:
    """``new``, which every rank has, cut as ``old`` is."""
    if not is_distributed(old):
        return new
    module = sys.modules["torch.distributed.tensor"]
    mesh = old.device_mesh
    replicated = module.DTensor.from_local(new, mesh, [module.Replicate()] * mesh.ndim, run_check=False)
    placed: Tensor = replicated.redistribute(placements=old.placements)
    return placed
