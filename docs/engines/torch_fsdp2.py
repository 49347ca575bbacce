"""Train a model with FSDP2 and signopt.torch, save whole checkpoints, and go on from the last on any number of ranks.

python -m torch.distributed.run --standalone --nproc_per_node=2 docs/engines/torch_fsdp2.py --folder checkpoints

On more machines, in place of --standalone: --nnodes=4 --rdzv_endpoint=HOST:29500. Every rank takes the same batch, so
that the average over 1, 2, 4 ... ranks is the same number, and runs can be compared in bits; in earnest each rank takes
a part. --crash kills the last rank, to try what is left.
"""

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard

import signopt.torch

HYPER = {"lr": 1e-3, "weight_decay": 0.1}
SAVE_EVERY = 3


def make_model():
    """A small model with a part of every role."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(24, 32), nn.Linear(32, 48), nn.LayerNorm(48), nn.Linear(48, 13))


def loss_at(model, step):
    """The loss on the batch of a step, which depends on nothing else."""
    generator = torch.Generator().manual_seed(step)
    tokens, targets = torch.randint(0, 24, (32,), generator=generator), torch.randn(32, 13, generator=generator)
    return ((model(tokens) - targets) ** 2).mean()


def states_of(model, optimizer):
    """Model and optimizer as distributed tensors under names, whatever the number of ranks."""
    model_state, optimizer_state = get_state_dict(model, optimizer)
    return {"model": model_state, "optimizer": optimizer_state}


def save(model, optimizer, path, crash):
    """Write under another name and rename: a folder with the final name is whole."""
    partial = path.with_suffix(".partial")
    if dist.get_rank() == 0:
        shutil.rmtree(partial, ignore_errors=True)
    dist.barrier()
    writer = DyingWriter(partial) if crash and is_last() else dcp.FileSystemWriter(partial)
    dcp.save(states_of(model, optimizer), storage_writer=writer)
    if dist.get_rank() == 0:
        partial.rename(path)
    dist.barrier()


def load_last(model, optimizer, folder):
    """The step of the last whole checkpoint, which is loaded; 0 if there is none."""
    whole = [path for path in folder.glob("step-*") if not path.suffix]
    if not whole:
        return 0
    path = max(whole, key=lambda path: int(path.name.removeprefix("step-")))
    states = states_of(model, optimizer)
    dcp.load(states, checkpoint_id=path)
    set_state_dict(model, optimizer, model_state_dict=states["model"], optim_state_dict=states["optimizer"])
    return int(path.name.removeprefix("step-"))


def is_last():
    """Whether this is the last rank, which is the one that --crash kills."""
    return dist.get_rank() == dist.get_world_size() - 1


def die():
    """End as a machine does that loses its power."""
    os.kill(os.getpid(), signal.SIGKILL)


class DyingWriter(dcp.FileSystemWriter):
    """Writes the data of its rank and dies before the checkpoint is whole."""

    def write_data(self, plan, planner):
        super().write_data(plan, planner)
        die()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--rule", choices=("Lion", "Tiger"), default="Tiger")
    parser.add_argument("--crash", choices=("step", "save"))
    parser.add_argument("--at", type=int, default=0, help="the step of the crash")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    model = make_model()
    for layer in model:
        fully_shard(layer)
    fully_shard(model)
    optimizer = getattr(signopt.torch, arguments.rule)(
        signopt.torch.groups(model) if arguments.rule == "Tiger" else model.parameters(), **HYPER
    )
    first = load_last(model, optimizer, arguments.folder)
    for step in range(first, arguments.steps):
        optimizer.zero_grad()
        loss_at(model, step).backward()
        crashes = arguments.at == step + 1
        if arguments.crash == "step" and crashes and is_last():
            die()
        optimizer.step()
        if (step + 1) % SAVE_EVERY == 0:
            save(model, optimizer, arguments.folder / f"step-{step + 1}", arguments.crash == "save" and crashes)
    params = {name: param.full_tensor().detach().numpy() for name, param in model.named_parameters()}
    if dist.get_rank() == 0:
        np.savez(arguments.folder / "final.npz", **params)
        print(f"steps {first + 1} to {arguments.steps} on {dist.get_world_size()} ranks")
    dist.destroy_process_group()


def leave():
    """End without Python's own end: threads of gloo may still hold tensors then, and abort (pytorch/pytorch#179291)."""
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
    leave()
