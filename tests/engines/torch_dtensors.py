"""DTensors and local shards that are given gradients, on any number of ranks, against whole tensors in one process.

Each case returns [elements compared on this rank, elements that differ].
"""

import itertools

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

import signopt
import signopt.torch

__all__ = ["count", "dtensor_cases", "whole"]


def whole(tensor):
    tensor = tensor.detach()
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).numpy()


def count(pairs):
    pairs = list(pairs)
    differ = sum(int((a.view(np.uint32) != b.view(np.uint32)).sum()) for a, b in pairs)
    return [sum(a.size for a, _ in pairs), differ]


def dtensor(kind, placement):
    """The in-place optimizers of signopt on DTensors, with a NaN that one rank holds."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    generator = torch.Generator().manual_seed(3)
    param, grad = (torch.randn(16, 24, generator=generator) for _ in range(2))
    grad[-1, -1] = torch.nan
    pieces = [distribute_tensor(tensor.clone(), mesh, [placement]) for tensor in (param, grad)]
    optimizer = getattr(signopt, kind)({"w": pieces[0]}, lr=1e-3)
    optimizer.step({"w": pieces[1]})
    wanted = getattr(signopt, optimizer.rule)(param.numpy(), grad.numpy(), np.zeros((16, 24), np.float32), lr=1e-3)
    got = whole(pieces[0]), whole(optimizer.momentum["w"])
    return count((np.nan_to_num(a, nan=7), np.nan_to_num(b, nan=7)) for a, b in zip(got, wanted, strict=True))


def muon_of_dtensors():
    """The rule on DTensors, whose products DTensor distributes: the same but for the rounding of X."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    generator = torch.Generator().manual_seed(6)
    tensors = [torch.randn(16, 24, generator=generator) for _ in range(3)]
    wanted = signopt.muon(*tensors, lr=0.1)
    compared = differ = 0
    for placement in (Shard(0), Shard(1), Replicate()):
        pieces = [distribute_tensor(tensor.clone(), mesh, [placement]) for tensor in tensors]
        param, momentum = (torch.from_numpy(whole(tensor)) for tensor in signopt.muon(*pieces, lr=0.1))
        compared += 2 * param.numel()
        differ += int((momentum != wanted[1]).sum()) + int(((param - wanted[0]).abs() > 1e-6).sum())
    return [compared, differ]


def facts(role):
    """Tiger on local shards, with the facts summed over the ranks."""
    generator = torch.Generator().manual_seed(4)
    whole_p, whole_g, whole_m = (torch.randn(13, 7, generator=generator) for _ in range(3))
    cut = [
        tensor.tensor_split(dist.get_world_size(), dim=-1)[dist.get_rank()] for tensor in (whole_p, whole_g, whole_m)
    ]
    total = signopt.tiger_facts(*cut[:2], role)
    dist.all_reduce(total)
    results = signopt.tiger(*cut, role=role, facts=total)
    wanted = signopt.tiger(whole_p.numpy(), whole_g.numpy(), whole_m.numpy(), role=role)
    mine = [np.array_split(a, dist.get_world_size(), axis=-1)[dist.get_rank()] for a in wanted]
    return count(
        (np.ascontiguousarray(a), np.ascontiguousarray(b)) for a, b in zip(map(whole, results), mine, strict=True)
    )


def rounded(name, rounding, axis):
    """bfloat16 DTensors against one process with plain tensors, with low halves and with random words."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    generator = torch.Generator().manual_seed(5)
    wholes = [torch.randn(shape, generator=generator).bfloat16() for shape in ((13, 8), (5, 6))]
    pieces = [distribute_tensor(tensor.clone(), mesh, [Shard(axis)]) for tensor in wholes]
    plain, cut = (list(map(nn.Parameter, tensors)) for tensors in (wholes, pieces))
    role = {"role": "embedding"} if name == "Tiger" else {}
    optimizers = [
        getattr(signopt.torch, name)(params, lr=1e-3, rounding=rounding, seed=7, **role) for params in (plain, cut)
    ]
    for _ in range(3):
        for p, q in zip(plain, cut, strict=True):
            p.grad = torch.randn(p.shape, generator=generator).bfloat16()
            q.grad = distribute_tensor(p.grad.clone(), mesh, [Shard(axis)])
        for optimizer in optimizers:
            optimizer.step()
    states = [optimizer.state for optimizer in optimizers]
    pairs = list(zip(plain, cut, strict=True))
    for slot in ("momentum", "rest"):
        pairs += [(states[0][p].get(slot), states[1][q].get(slot)) for p, q in zip(plain, cut, strict=True)]
    arrays = [(whole(a.detach().float()), whole(b.detach().float())) for a, b in pairs if a is not None]
    return count((np.ascontiguousarray(a), np.ascontiguousarray(b)) for a, b in arrays)


def two_axes(name, role, broken=False):
    """DTensors over meshes of two axes: replicated along one, or cut along both; with a NaN that some ranks hold."""
    generator = torch.Generator().manual_seed(8)
    whole_p, whole_g = (torch.randn(13, 8, generator=generator) for _ in range(2))
    whole_g[-1, -1] = torch.nan if broken else 0.0
    options = {"lr": 1e-2, **({"role": role} if name == "Tiger" else {})}
    pairs = []
    ranks = dist.get_world_size()
    for first in (divisor for divisor in range(1, ranks + 1) if ranks % divisor == 0):
        mesh = init_device_mesh("cpu", (first, ranks // first))
        for placements in itertools.permutations((Replicate(), Shard(0), Shard(1)), 2):
            plain = nn.Parameter(whole_p.clone())
            cut = nn.Parameter(distribute_tensor(whole_p.clone(), mesh, placements))
            plain.grad, cut.grad = whole_g.clone(), distribute_tensor(whole_g.clone(), mesh, placements)
            for param in (plain, cut):
                getattr(signopt.torch, name)([param], **options).step()
            pairs.append((whole(cut), whole(plain)))
    return count(pairs)


def dtensor_cases():
    """The cases by name."""
    for name in ("Lion", "Signum", "Tiger"):
        for axis in (0, 1):
            yield f"dtensor-{name}-{axis}", lambda name=name, axis=axis: dtensor(name, Shard(axis))
    for role in ("matrix", "embedding", "bias", "scale"):
        yield f"facts-{role}", lambda role=role: facts(role)
    for name, role in (("Lion", "matrix"), ("Tiger", "matrix"), ("Tiger", "embedding"), ("Muon", "matrix")):
        yield f"axes-{name}-{role}", lambda a=(name, role): two_axes(*a)
    yield "axes-Tiger-nan", lambda: two_axes("Tiger", "embedding", broken=True)
    yield "dtensor-Muon", muon_of_dtensors
    for name in ("Lion", "Tiger", "Muon"):
        for rounding in ("split", "stochastic"):
            for axis in (0, 1):
                yield f"{rounding}-{name}-{axis}", lambda a=(name, rounding, axis): rounded(*a)
