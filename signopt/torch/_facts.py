"""Tiger's facts of DTensors: each rank's of its shards, summed over all ranks at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
import torch.distributed
from torch import Tensor

from signopt.rounding import join
from signopt.rules.facts import tiger_facts
from signopt.torch._rows import Plan, Row, is_distributed, local_row

__all__ = ["with_facts"]

Ranks: TypeAlias = tuple[Any, tuple[int, ...]]
"""A device mesh, and those of its axes over which a tensor is cut."""


def with_facts(plan: Plan) -> Plan:
    """The plan with the facts of those DTensors whose shards lack no more than these."""
    shards = {row.param: shard for rows, _ in plan for row in rows if (shard := _shard(row)) is not None}
    by_ranks: dict[Ranks, list[Tensor]] = defaultdict(list)
    for param in shards:
        by_ranks[_ranks(param)].append(param)
    facts: dict[Tensor, Tensor] = {}
    for ranks, params in by_ranks.items():
        facts |= _summed(ranks, params, shards)
    return [([row._replace(facts=facts.get(row.param)) for row in rows], numbers) for rows, numbers in plan]


def _shard(row: Row) -> Row | None:
    """The shards of this rank, if all that they lack of their tensor is one triple of facts."""
    if not is_distributed(row.param) or row.rounding == "stochastic":
        return None
    param: Any = row.param
    if not all(its.is_shard() or its.is_replicate() for its in param.placements):
        return None
    if row.role == "embedding" and any(its.is_shard(param.ndim - 1) for its in param.placements):
        return None
    return local_row(row)


def _ranks(param: Any) -> Ranks:
    return param.device_mesh, tuple(axis for axis, its in enumerate(param.placements) if its.is_shard())


def _summed(ranks: Ranks, params: Sequence[Tensor], shards: Mapping[Tensor, Row]) -> dict[Tensor, Tensor]:
    mesh, axes = ranks
    facts = torch.stack([_facts(shards[param]) for param in params])
    for axis in axes:
        torch.distributed.all_reduce(facts, group=mesh.get_group(axis))
    return dict(zip(params, facts.unbind(), strict=True))


def _facts(shard: Row) -> Tensor:
    is_split = shard.rounding == "split" and shard.rest is not None
    facts: Tensor = tiger_facts(join(shard.param, shard.rest) if is_split else shard.param, shard.grad)
    return facts
