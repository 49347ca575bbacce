"""Run by torch.distributed.run: each of torch's ways to train on many ranks, against the NumPy rule on whole tensors.

On two ranks, whose average of gradients is rounded in one way only; the cases that are given gradients (axes, dtensor,
facts, split, stochastic) hold on any number. Rank 0 writes {name: [elements compared, elements that differ]} as JSON to
the path given. More arguments are the beginnings of the names of those that are to be run.
"""

import itertools
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.nn.parallel import DistributedDataParallel

import signopt
import signopt.torch

STEPS = 4
RULES = {
    "Lion": lambda p, g, m, t, role, lr: signopt.lion(p, g, m, lr=lr, weight_decay=0.1),
    "Signum": lambda p, g, m, t, role, lr: signopt.signum(p, g, m, lr=lr, weight_decay=0.1),
    "Tiger": lambda p, g, m, t, role, lr: signopt.tiger(
        p, g, m, step=t, lr=lr, weight_decay=0.1, role=role, accumulation_steps=2
    ),
}
EXTRA = {"Tiger": {"accumulation_steps": 2}}


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(24, 32), nn.Linear(32, 48), nn.LayerNorm(48), nn.Linear(48, 13))


def batches():
    """This rank's part of each step's batch."""
    generator = torch.Generator().manual_seed(1)
    size = 8 * dist.get_world_size()
    for _ in range(STEPS):
        tokens = torch.randint(0, 24, (size,), generator=generator)
        targets = torch.randn(size, 13, generator=generator)
        yield tokens[dist.get_rank() :: dist.get_world_size()], targets[dist.get_rank() :: dist.get_world_size()]


def loss_of(module, batch):
    return ((module(batch[0]) - batch[1]) ** 2).mean()


def train(module, optimizer):
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / 10)
    for batch in batches():
        optimizer.zero_grad()
        loss_of(module, batch).backward()
        optimizer.step()
        scheduler.step()


def reference(name):
    """Whole parameters and momenta after as many steps of the NumPy rule, on gradients averaged over the ranks."""
    module = model()
    roles = {p: group["role"] for group in signopt.torch.groups(module) for p in group["params"]}
    momenta = {key: np.zeros(p.shape, np.float32) for key, p in module.named_parameters()}
    for t, batch in enumerate(batches()):
        module.zero_grad()
        loss_of(module, batch).backward()
        for key, param in module.named_parameters():
            grad = param.grad.clone()
            dist.all_reduce(grad)
            grad /= dist.get_world_size()
            new, momenta[key] = RULES[name](
                param.detach().numpy(), grad.numpy(), momenta[key], t, roles[param], 1e-3 * (1 - t / 10)
            )
            param.data.copy_(torch.from_numpy(new))
    return {key: p.detach().numpy() for key, p in module.named_parameters()}, momenta


def whole(tensor):
    tensor = tensor.detach()
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).numpy()


def count(pairs):
    pairs = list(pairs)
    differ = sum(int((a.view(np.uint32) != b.view(np.uint32)).sum()) for a, b in pairs)
    return [sum(a.size for a, _ in pairs), differ]


def build(name, module, params=None):
    kind = getattr(signopt.torch, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = params or (signopt.torch.groups(module) if name == "Tiger" else module.parameters())
        return kind(given, lr=1e-3, weight_decay=0.1, **EXTRA.get(name, {}))


def against_reference(name, module, state):
    params, momenta = reference(name)
    keys = {key.removeprefix("module."): p for key, p in module.named_parameters()}
    pairs = [(whole(p), params[key]) for key, p in keys.items()]
    return count(pairs + [(whole(state[p]["momentum"]), momenta[key]) for key, p in keys.items() if p in state])


def ddp(name):
    module = DistributedDataParallel(model())
    optimizer = build(name, module)
    train(module, optimizer)
    return against_reference(name, module, optimizer.state)


def sharded_model():
    module = model()
    for layer in module:
        fully_shard(layer)
    return fully_shard(module)


def fsdp2(name):
    module = sharded_model()
    optimizer = build(name, module)
    train(module, optimizer)
    return against_reference(name, module, optimizer.state)


def zero(name):
    module = DistributedDataParallel(model())
    train(module, with_zero(name, signopt.torch.groups(module)))
    return against_reference(name, module, {})


def with_zero(name, params):
    kind = getattr(signopt.torch, name)
    if name != "Tiger":
        params = [param for group in params for param in group["params"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ZeroRedundancyOptimizer(params, optimizer_class=kind, lr=1e-3, weight_decay=0.1, **EXTRA.get(name, {}))


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


def muon(way):
    """Sharded matrices, or sharded momenta, against one process with all of them."""
    module, plain = sharded_model() if way == "fsdp2" else DistributedDataParallel(model()), model()
    picks = [[p for p in m.parameters() if p.ndim == 2] for m in (module, plain)]
    second = signopt.torch.Muon(picks[1], lr=1e-3, weight_decay=0.1)
    first = (
        signopt.torch.Muon(picks[0], lr=1e-3, weight_decay=0.1)
        if way == "fsdp2"
        else with_zero("Muon", [{"params": picks[0]}])
    )
    for batch in batches():
        for m, optimizer in ((module, first), (plain, second)):
            m.zero_grad()
            loss_of(m, batch).backward()
            if m is plain:
                for p in picks[1]:
                    dist.all_reduce(p.grad)
                    p.grad /= dist.get_world_size()
            optimizer.step()
    return count((whole(a), whole(b)) for a, b in zip(*picks, strict=True))


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


def collectives(name):
    """How many collectives one step under FSDP2 calls, beside those that the rule needs."""
    module = sharded_model()
    optimizer = build(name, module)
    loss_of(module, next(batches())).backward()
    with CommDebugMode() as mode:
        optimizer.step()
    return [1, abs(mode.get_total_counts() - (name == "Tiger"))]


def cases():
    for name in RULES:
        yield f"collectives-{name}", lambda name=name: collectives(name)
        yield f"ddp-{name}", lambda name=name: ddp(name)
        yield f"fsdp2-{name}", lambda name=name: fsdp2(name)
        yield f"zero-{name}", lambda name=name: zero(name)
        for axis in (0, 1):
            yield f"dtensor-{name}-{axis}", lambda name=name, axis=axis: dtensor(name, Shard(axis))
    for role in ("matrix", "embedding", "bias", "scale"):
        yield f"facts-{role}", lambda role=role: facts(role)
    for name, role in (("Lion", "matrix"), ("Tiger", "matrix"), ("Tiger", "embedding"), ("Muon", "matrix")):
        yield f"axes-{name}-{role}", lambda a=(name, role): two_axes(*a)
    yield "axes-Tiger-nan", lambda: two_axes("Tiger", "embedding", broken=True)
    yield "dtensor-Muon", muon_of_dtensors
    for way in ("fsdp2", "zero"):
        yield f"{way}-Muon", lambda way=way: muon(way)
    for name in ("Lion", "Tiger", "Muon"):
        for rounding in ("split", "stochastic"):
            for axis in (0, 1):
                yield f"{rounding}-{name}-{axis}", lambda a=(name, rounding, axis): rounded(*a)


if __name__ == "__main__":
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    results = {}
    for case, compare in cases():
        if not case.startswith(tuple(sys.argv[2:]) or ""):
            continue
        total = torch.tensor(compare())
        dist.all_reduce(total)
        results[case] = total.tolist()
    if dist.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(results))
    dist.destroy_process_group()
