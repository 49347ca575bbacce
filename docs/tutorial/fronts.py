"""The tutorial's transformer trained by every front of the library: the same losses, and the same bits.

    python docs/tutorial/fronts.py [--steps 30] [--batch 24]

Each batch is taken in two halves whose gradients are averaged, as two ranks do it, so that the arithmetic before the
optimizer is one and the same; but for the last front, whose model is JAX's, of which only the losses are compared.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import train as tutorial
from torch.nn.parallel import DistributedDataParallel

import signopt
import signopt.torch

HYPER = {"lr": 1e-3, "weight_decay": 0.1}


def batches(steps):
    """What each half of each step is trained on."""
    tokens, _ = tutorial.data()
    for inputs, targets in tutorial.batches(tokens, np.random.default_rng(0), steps):
        yield list(zip(inputs.chunk(2), targets.chunk(2), strict=True))


def trained(make_step, steps):
    """Losses and parameters; ``make_step(named)`` returns what is called after each backward pass."""
    model = tutorial.Transformer()
    named = dict(model.named_parameters())
    step, losses = make_step(named), []
    for halves in batches(steps):
        model.zero_grad()
        both = [tutorial.loss_of(model, *half) / 2 for half in halves]
        for loss in both:
            loss.backward()
        step()
        losses.append(sum(float(loss.detach()) for loss in both))
    return losses, {name: param.detach().numpy() for name, param in named.items()}


def by_rule(named, rule=signopt.lion):
    """The pure rule on NumPy arrays, which is what all are compared with."""
    momenta = {name: np.zeros(param.shape, np.float32) for name, param in named.items()}

    def step():
        for name, param in named.items():
            new, momenta[name] = rule(param.detach().numpy(), param.grad.numpy(), momenta[name], **HYPER)
            param.data.copy_(torch.from_numpy(np.array(new)))

    return step


def by_jitted_rule(named):
    """The pure rule under ``jax.jit``, with a learning rate that is traced."""
    import jax

    jitted = jax.jit(lambda p, g, m, lr: signopt.lion(p, g, m, lr=lr, weight_decay=HYPER["weight_decay"]))
    return by_rule(named, lambda p, g, m, lr, weight_decay: jitted(p, g, m, np.float64(lr)))


def by_arrays(named):
    """The optimizer in place, which shares the memory of torch's tensors."""
    optimizer = signopt.Lion(named, **HYPER)
    return lambda: optimizer.step({name: param.grad for name, param in named.items()})


def by_torch(named):
    """The optimizer with torch's interface."""
    return signopt.torch.Lion(named.values(), **HYPER).step


def by_compiled_torch(named):
    """The same, called by what torch.compile makes of its step."""
    return torch.compile(signopt.torch.Lion(named.values(), **HYPER).step)


def by_two_ranks(steps, batch):
    """DistributedDataParallel on two processes of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trained.npz"
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        options = ["--steps", str(steps), "--batch", str(batch), "--rank-writes", str(path)]
        subprocess.run([*launch, __file__, *options], check=True)
        with np.load(path) as saved:
            return saved["losses"].tolist(), {name: saved[name] for name in saved.files if name != "losses"}


def as_rank(steps, path):
    """One of the two processes."""
    dist.init_process_group("gloo")
    model = tutorial.Transformer()
    parallel, losses = DistributedDataParallel(model), []
    optimizer = signopt.torch.Lion(parallel.parameters(), **HYPER)
    for halves in batches(steps):
        optimizer.zero_grad()
        loss = tutorial.loss_of(parallel, *halves[dist.get_rank()])
        loss.backward()
        optimizer.step()
        both = (loss.detach() / 2).double()
        dist.all_reduce(both)
        losses.append(float(both))
    if dist.get_rank() == 0:
        np.savez(path, losses=losses, **{name: p.detach().numpy() for name, p in model.named_parameters()})
    dist.destroy_process_group()
    os._exit(0)  # threads of gloo may abort as Python ends: pytorch/pytorch#179291


def jax_loss(params, inputs, targets):
    """The model in JAX, on the same parameters."""
    import jax
    from jax import numpy as jnp

    def linear(name, x):
        return x @ params[f"{name}.weight"].T + params[f"{name}.bias"]

    def norm(name, x):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * params[f"{name}.weight"] + params[f"{name}.bias"]

    batch, length = inputs.shape
    x = params["embeddings.weight"][inputs] + params["places.weight"][:length]
    for block in (f"blocks.{number}" for number in range(tutorial.LAYERS)):
        mixed = linear(f"{block}.mix", norm(f"{block}.attention_norm", x)).reshape(batch, length, 3, tutorial.HEADS, -1)
        attended = jax.nn.dot_product_attention(*jnp.moveaxis(mixed, 2, 0), is_causal=True)
        x = x + linear(f"{block}.out", attended.reshape(x.shape))
        hidden = jax.nn.gelu(linear(f"{block}.up", norm(f"{block}.feed_norm", x)), approximate=False)
        x = x + linear(f"{block}.down", hidden)
    scores = jax.nn.log_softmax(linear("head", norm("norm", x)))
    return -jnp.take_along_axis(scores, targets[..., None], -1).mean()


def by_jax(steps):
    """Model, gradients and rule in one compiled step."""
    import jax
    from jax import numpy as jnp

    params = {name: jnp.asarray(p.detach().numpy()) for name, p in tutorial.Transformer().named_parameters()}
    momenta = {name: jnp.zeros_like(p) for name, p in params.items()}

    @jax.jit
    def step(params, momenta, inputs, targets):
        loss, grads = jax.value_and_grad(jax_loss)(params, inputs, targets)
        new = {name: signopt.lion(params[name], grads[name], momenta[name], **HYPER) for name in params}
        return loss, {name: p for name, (p, _) in new.items()}, {name: m for name, (_, m) in new.items()}

    losses = []
    for halves in batches(steps):
        inputs, targets = (jnp.asarray(torch.cat(parts).numpy()) for parts in zip(*halves, strict=True))
        loss, params, momenta = step(params, momenta, inputs, targets)
        losses.append(float(loss))
    return losses


FRONTS = {
    "signopt.Lion on torch's tensors": by_arrays,
    "signopt.torch.Lion": by_torch,
    "signopt.torch.Lion, torch.compile": by_compiled_torch,
    "signopt.lion under jax.jit": by_jitted_rule,
}


def compare(name, result, reference):
    """A line of the table."""
    losses, params = result
    wanted_losses, wanted = reference
    differ = sum(int((params[key].view(np.uint32) != wanted[key].view(np.uint32)).sum()) for key in wanted)
    unlike = sum(a != b for a, b in zip(losses, wanted_losses, strict=True))
    elements = sum(array.size for array in wanted.values())
    print(
        f"{name:34s} loss {losses[0]:.6f} to {losses[-1]:.6f}; {len(losses)} losses, {unlike} differ; "
        f"{elements} elements, {differ} differ",
        flush=True,
    )


def furthest(losses, others):
    """How far two runs' losses are apart where they are furthest."""
    return max(abs(a - b) for a, b in zip(losses, others, strict=True))


def main() -> None:
    """Train by each front, and compare each with the rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rank-writes", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    tutorial.BATCH = options.batch
    torch.set_num_threads(1)
    if options.rank_writes:
        as_rank(options.steps, options.rank_writes)
        return
    reference = trained(by_rule, options.steps)
    compare("signopt.lion on NumPy arrays", reference, reference)
    for name, make_step in FRONTS.items():
        compare(name, trained(make_step, options.steps), reference)
    compare("signopt.torch.Lion, DDP, 2 ranks", by_two_ranks(options.steps, options.batch), reference)
    losses = by_jax(options.steps)
    apart = furthest(losses, reference[0])
    print(
        f"{'model and signopt.lion in jax.jit':34s} loss {losses[0]:.6f} to {losses[-1]:.6f}; losses within {apart:.1e}"
    )


if __name__ == "__main__":
    main()
