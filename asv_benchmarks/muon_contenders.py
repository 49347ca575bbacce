"""Muon beside others, all on the same matrices, and the plain matrix products against which they are held."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from contenders import Step, Tensors

import signopt

__all__ = ["LIMIT", "MUON_CONTENDERS", "OURS"]

LR, BETA, WEIGHT_DECAY = 1e-6, 0.95, 0.1
A, B, C = 3.4445, -4.7750, 2.0315
LIMIT, OURS = "limit: plain products, NumPy", "signopt Muon"


def plain_products(tensors: Tensors, multiply: Callable[[Any, Any, Any], object], array: Any = np.asarray) -> Step:
    """The three products of five steps without any use of symmetry: what the machine's GEMM rate makes of them."""
    work = []
    for param in tensors.params.values():
        short, long = sorted(param.shape)
        x = np.random.default_rng(0).standard_normal((short, long), np.float32) / np.float32(long) ** 0.5
        y, square = x.T.copy(), np.eye(short, dtype=np.float32)
        work.append([array(one) for one in (x, y, square, np.empty_like(square), np.empty_like(x))])

    def step() -> None:
        for x, y, square, new_square, new_x in work:
            for _ in range(5):
                multiply(x, y, new_square)
                multiply(square, square, new_square)
                multiply(square, x, new_x)

    return step


def numpy_products(tensors: Tensors) -> Step:
    # A copy of the second factor: of one array and itself NumPy would compute a triangle only.
    copies: dict[int, Any] = {}

    def multiply(x: Any, y: Any, out: Any) -> None:
        other = copies.setdefault(id(y), y.copy()) if x is y else y
        np.matmul(x, other, out=out)

    return plain_products(tensors, multiply)


def scipy_products(tensors: Tensors) -> Step:
    from scipy.linalg.blas import sgemm

    return plain_products(tensors, lambda x, y, out: sgemm(1.0, y.T, x.T, beta=0.0, c=out.T, overwrite_c=1))


def torch_products(tensors: Tensors) -> Step:
    import torch

    torch.set_num_threads(tensors.threads)
    return plain_products(tensors, lambda x, y, out: torch.mm(x, y, out=out), torch.from_numpy)


def signopt_muon(tensors: Tensors, backend: str = "numpy") -> Step:
    params = {name: param.copy() for name, param in tensors.params.items()}
    opt = signopt.Muon(params, lr=LR, weight_decay=WEIGHT_DECAY, backend=backend)
    opt._binding.backend.threads = tensors.threads  # type: ignore[attr-defined]
    return lambda: opt.step(tensors.grads)


def naive_numpy(tensors: Tensors) -> Step:
    """The formulas as one would write them."""

    def step() -> None:
        for p, g, m in zip(tensors.params.values(), tensors.grads.values(), tensors.momenta.values(), strict=True):
            m[...] = np.float32(BETA) * m + np.float32(1 - BETA) * g
            x = np.float32(BETA) * m + np.float32(1 - BETA) * g
            x = x.T if len(p) > p.shape[1] else x
            x = x / (np.linalg.norm(x) + np.float32(1e-7))
            for _ in range(5):
                gram = x @ x.T
                x = np.float32(A) * x + (np.float32(B) * gram + np.float32(C) * (gram @ gram)) @ x
            x = x.T if len(p) > p.shape[1] else x
            scale = np.float32(max(1.0, p.shape[0] / p.shape[1]) ** 0.5)
            p -= np.float32(LR) * (scale * x + np.float32(WEIGHT_DECAY) * p)

    return step


def torch_muon(tensors: Tensors, dtype: str = "float32") -> Step:
    """torch.optim.Muon, whose iteration is in bfloat16, or in float32."""
    import torch

    return iterating_in(dtype, torch.optim.Muon(tensors.torch_params(), lr=LR, weight_decay=WEIGHT_DECAY))


def iterating_in(dtype: str, optimizer: Any) -> Step:
    """The step of a torch.optim.Muon; in float32 with the one conversion to bfloat16 taken out of torch's source."""
    from torch.optim import _muon

    source = iteration_of_torch()
    if dtype == "float32":
        assert source.count("grad.bfloat16()") == 1
        source = source.replace("grad.bfloat16()", "grad.clone()")
    names: dict[str, Any] = dict(vars(_muon))
    exec(source, names)

    def step() -> None:
        _muon._zeropower_via_newtonschulz = names["_zeropower_via_newtonschulz"]
        optimizer.step()

    return step


@cache
def iteration_of_torch() -> str:
    """The source of torch's iteration, read before a contender has replaced it."""
    from torch.optim import _muon

    return inspect.getsource(_muon._zeropower_via_newtonschulz)


def pytorch_optimizer_muon(tensors: Tensors) -> Step:
    """Its Muon, with the iteration in float32."""
    import pytorch_optimizer
    import torch
    from pytorch_optimizer.optimizer.muon import base

    base.zero_power_via_newton_schulz_5 = partial(base.zero_power_via_newton_schulz_5, dtype=torch.float32)
    group = {"params": tensors.torch_params(), "use_muon": True}
    return pytorch_optimizer.Muon([group], lr=LR, weight_decay=WEIGHT_DECAY).step


def optax_muon(tensors: Tensors) -> Step:
    """optax.contrib.muon under jit, with parameters and state donated so that XLA may write in place."""
    import jax
    import optax

    optimizer = optax.contrib.muon(LR, weight_decay=WEIGHT_DECAY)
    params = {name: jax.numpy.array(param) for name, param in tensors.params.items()}
    grads = {name: jax.numpy.array(grad) for name, grad in tensors.grads.items()}
    live = [params, optimizer.init(params)]

    def update(params: Any, state: Any, grads: Any) -> Any:
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    jitted = jax.jit(update, donate_argnums=(0, 1))

    def step() -> None:
        live[:] = jitted(*live, grads)
        jax.block_until_ready(live)

    return step


MUON_CONTENDERS: dict[str, tuple[Callable[[Tensors], Step], str | None]] = {
    LIMIT: (numpy_products, None),
    "limit: the same, scipy": (scipy_products, "scipy"),
    "limit: the same, torch": (torch_products, "torch"),
    OURS: (signopt_muon, None),
    "torch Muon, float32": (torch_muon, "torch"),
    "torch Muon, bfloat16": (partial(torch_muon, dtype="bfloat16"), "torch"),
    "pytorch-optimizer, float32": (pytorch_optimizer_muon, "pytorch_optimizer"),
    "optax.contrib.muon, jit": (optax_muon, "optax"),
    "naive NumPy Muon": (naive_numpy, None),
}
"""By name: the function that makes the step, and the module that it needs."""
