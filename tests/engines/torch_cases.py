"""Parameters, gradients and one step of each rule, for the tests of signopt.torch."""

import torch

import signopt
import signopt.torch
from signopt.conformance.adapters.torch import from_tensor

HYPER = {"lr": 1e-2, "weight_decay": 0.1}
KINDS = {
    "Lion": (signopt.lion, {"betas": (0.9, 0.98)}),
    "Signum": (signopt.signum, {"beta": 0.8}),
    "Tiger": (signopt.tiger, {"beta": 0.9, "accumulation_steps": 2, "schedule": {3: 1.0}}),
    "Muon": (signopt.muon, {"momentum": 0.9}),
}


def build(kind, params, **options):
    return getattr(signopt.torch, kind)(params, **HYPER, **KINDS[kind][1], **options)


def rule_step(kind, param, grad, momentum, step):
    """One step of the pure rule on NumPy arrays; for Muon, whose products are BLAS's, of the optimizer on them."""
    rule, options = KINDS[kind]
    arrays = [from_tensor(tensor.detach().clone()) for tensor in (param, grad, momentum)]
    if kind == "Muon":
        optimizer = signopt.Muon({"w": arrays[0]}, **HYPER, beta=options["momentum"])
        optimizer.momentum["w"][...] = arrays[2]
        optimizer.step({"w": arrays[1]})
        return arrays[0], optimizer.momentum["w"]
    return rule(*arrays, **HYPER, **options, **({"step": step} if kind == "Tiger" else {}))


def matrices(dtype=torch.float32, count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(5, 4 + i, generator=generator).to(dtype)) for i in range(count)]


def give_grads(params, seed):
    generator = torch.Generator().manual_seed(seed)
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator).to(param.dtype)
