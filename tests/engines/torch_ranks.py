"""Run by torch.distributed.run: each of torch's ways to train on many ranks, against the NumPy rule on whole tensors.

On two ranks, whose average of gradients is rounded in one way only; the cases that are given gradients (axes, dtensor,
facts, split, stochastic) hold on any number. Rank 0 writes {name: [elements compared, elements that differ]} as JSON to
the path given. More arguments are the beginnings of the names of those that are to be run.
"""

import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.distributed.tensor.debug import CommDebugMode
from torch.nn.parallel import DistributedDataParallel

import signopt
import signopt.torch
from tests.engines.torch_dtensors import count, dtensor_cases, whole

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
    for way in ("fsdp2", "zero"):
        yield f"{way}-Muon", lambda way=way: muon(way)
    yield from dtensor_cases()


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
    os._exit(0)  # threads of gloo may abort as Python ends: pytorch/pytorch#179291
