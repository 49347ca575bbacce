"""Optimizers to be timed beside each other on a CUDA device: functions of named shapes that return the step.

Gradients are other arrays at every step, as in training: two sets take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import cycle
from math import prod
from typing import Any

__all__ = ["LIMIT", "MUON_LIMIT", "NARROW", "STEPS", "WIDE", "Step"]

Step = Callable[[], object]
Shapes = Mapping[str, tuple[int, ...]]
Make = Callable[[Shapes], Step]
LR, BETAS, BETA, WEIGHT_DECAY = 1e-6, (0.9, 0.99), 0.95, 0.1
LIMIT, MUON_LIMIT = "limit: in-place add", "limit: plain products, float32"


def random_arrays(shapes: Shapes, dtype: str = "float32") -> tuple[list[Any], Iterator[list[Any]]]:
    """CuPy parameters of normal values, and gradients for step after step."""
    import cupy

    rng = cupy.random.default_rng(0)
    params, *grads = (
        [rng.standard_normal(shape, cupy.float32).astype(dtype) for shape in shapes.values()] for _ in range(3)
    )
    return params, cycle(grads)


def torch_params(shapes: Shapes, dtype: str = "float32") -> tuple[list[Any], Callable[[], None]]:
    """torch parameters on the device, and what gives them new gradients."""
    import torch

    def made() -> list[Any]:
        return [torch.randn(shape, device="cuda").to(getattr(torch, dtype)) for shape in shapes.values()]

    params, grads = [torch.nn.Parameter(values) for values in made()], cycle([made(), made()])

    def give() -> None:
        for param, grad in zip(params, next(grads), strict=True):
            param.grad = grad

    give()
    return params, give


def stepping(step: Step, give: Callable[[], None]) -> Step:
    """``step`` with new gradients."""

    def both() -> None:
        give()
        step()

    return both


def in_place_add(shapes: Shapes, dtype: str = "float32") -> Step:
    """p += m and m += g over as many elements in one pass, as much memory as Lion moves."""
    import cupy

    source = {"float32": "p += m; m += g", "bfloat16": "p = (float)p + (float)m; m = (float)m + (float)g"}[dtype]
    add = cupy.ElementwiseKernel("T g", "T p, T m", source, "add")
    size = sum(map(prod, shapes.values()))
    p, m, g = (cupy.zeros(size, dtype=dtype) for _ in "pmg")
    return lambda: add(g, p, m)


def signopt_cupy(shapes: Shapes, rule: str, dtype: str = "float32", **options: Any) -> Step:
    import signopt

    params, grads = random_arrays(shapes, dtype)
    opt = getattr(signopt, rule)(params, lr=LR, weight_decay=WEIGHT_DECAY, **options)
    return lambda: opt.step(next(grads))


def signopt_torch(shapes: Shapes, rule: str, dtype: str = "float32", **options: Any) -> Step:
    import signopt.torch

    params, give = torch_params(shapes, dtype)
    made = getattr(signopt.torch, rule)(params, lr=LR, weight_decay=WEIGHT_DECAY, **options)
    return stepping(made.step, give)


def naive_cupy(shapes: Shapes) -> Step:
    """The formula as one would write it."""
    import cupy

    params, grads = random_arrays(shapes)
    momenta = [cupy.zeros_like(param) for param in params]

    def step() -> None:
        for p, g, m in zip(params, next(grads), momenta, strict=True):
            p -= LR * (cupy.sign(BETAS[0] * m + (1 - BETAS[0]) * g) + WEIGHT_DECAY * p)
            m[...] = BETAS[1] * m + (1 - BETAS[1]) * g

    return step


def kernel_per_tensor(shapes: Shapes) -> Step:
    """One fused ElementwiseKernel, launched for each tensor."""
    import cupy

    lion = cupy.ElementwiseKernel(
        "T g, T b1, T b2, T lr, T decay",
        "T p, T m",
        "T c = b1*m + (1-b1)*g; p -= lr*((c > 0) - (c < 0) + decay*p); m = b2*m + (1-b2)*g",
        "lion_of_one",
    )
    params, grads = random_arrays(shapes)
    momenta = [cupy.zeros_like(param) for param in params]

    def step() -> None:
        for p, g, m in zip(params, next(grads), momenta, strict=True):
            lion(g, *BETAS, LR, WEIGHT_DECAY, p, m)

    return step


def torch_optimizer(shapes: Shapes, target: str, dtype: str = "float32", **options: Any) -> Step:
    """``module:Class`` on torch parameters."""
    from importlib import import_module

    module, _, name = target.partition(":")
    params, give = torch_params(shapes, dtype)
    made = getattr(import_module(module), name)(params, lr=LR, **options)
    return stepping(made.step, give)


def optax_jit(shapes: Shapes) -> Step:
    import jax
    import optax

    key = jax.random.key(0)
    params, *sets = ({name: jax.random.normal(key, shape) for name, shape in shapes.items()} for _ in range(3))
    grads = cycle(sets)
    lion = optax.lion(LR, *BETAS, weight_decay=WEIGHT_DECAY)

    @partial(jax.jit, donate_argnums=(0, 2))
    def update(params: Any, grads: Any, state: Any) -> Any:
        updates, state = lion.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    held = [params, lion.init(params)]

    def step() -> None:
        held[:] = update(held[0], next(grads), held[1])

    step.finish = lambda: jax.block_until_ready(held)  # type: ignore[attr-defined]
    return step


def plain_products(shapes: Shapes) -> Step:
    """The three products of five steps, which is what the device's GEMM rate in float32 makes of them."""
    import cupy

    work = []
    for shape in shapes.values():
        short, long = sorted(shape)
        x = cupy.random.standard_normal((short, long), dtype=cupy.float32) / long**0.5
        square = cupy.eye(short, dtype=cupy.float32)
        work.append((x, x.T.copy(), square, cupy.empty_like(square), cupy.empty_like(x)))

    def step() -> None:
        for x, y, square, new_square, new_x in work:
            for _ in range(5):
                cupy.matmul(x, y, out=new_square)
                cupy.matmul(square, square, out=new_square)
                cupy.matmul(square, x, out=new_x)

    return step


def torch_muon(shapes: Shapes, dtype: str) -> Step:
    """The contender of side_by_side.py, on the device."""
    import torch
    from muon_contenders import iterating_in

    params, give = torch_params(shapes)
    return stepping(iterating_in(dtype, torch.optim.Muon(params, lr=LR, weight_decay=WEIGHT_DECAY)), give)


LION = {"betas": BETAS, "weight_decay": WEIGHT_DECAY}
WIDE: dict[str, Make] = {
    LIMIT: in_place_add,
    "signopt Lion, CuPy": partial(signopt_cupy, rule="Lion", betas=BETAS),
    "signopt Lion, torch": partial(signopt_torch, rule="Lion", betas=BETAS),
    "signopt Signum, CuPy": partial(signopt_cupy, rule="Signum"),
    "signopt Tiger, CuPy": partial(signopt_cupy, rule="Tiger"),
    "CuPy, as one would write it": naive_cupy,
    "CuPy, ElementwiseKernel": kernel_per_tensor,
    "lion-pytorch": partial(torch_optimizer, target="lion_pytorch:Lion", **LION),
    "lion-pytorch, foreach": partial(torch_optimizer, target="lion_pytorch.foreach:Lion", **LION),
    "lion-pytorch, Triton": partial(torch_optimizer, target="lion_pytorch:Lion", use_triton=True, **LION),
    "torch-optimi, foreach": partial(torch_optimizer, target="optimi:Lion", foreach=True, **LION),
    "torch-optimi, Triton": partial(torch_optimizer, target="optimi:Lion", triton=True, **LION),
    "bitsandbytes": partial(torch_optimizer, target="bitsandbytes.optim:Lion", **LION),
    "optax, jit": optax_jit,
    "torch AdamW, fused": partial(torch_optimizer, target="torch.optim:AdamW", fused=True, weight_decay=WEIGHT_DECAY),
}
"""Steps on float32."""
NARROW: dict[str, Make] = {
    LIMIT: partial(in_place_add, dtype="bfloat16"),
    "signopt Lion, nearest": partial(signopt_cupy, rule="Lion", dtype="bfloat16", betas=BETAS),
    "signopt Lion, stochastic": partial(
        signopt_cupy, rule="Lion", dtype="bfloat16", betas=BETAS, rounding="stochastic", seed=1
    ),
    "signopt Lion, split": partial(signopt_cupy, rule="Lion", dtype="bfloat16", betas=BETAS, rounding="split"),
    "signopt Lion, float32 momentum": partial(
        signopt_cupy, rule="Lion", dtype="bfloat16", betas=BETAS, momentum_dtype="float32"
    ),
    "lion-pytorch, foreach": partial(torch_optimizer, target="lion_pytorch.foreach:Lion", dtype="bfloat16", **LION),
    "torch-optimi, Triton": partial(torch_optimizer, target="optimi:Lion", dtype="bfloat16", triton=True, **LION),
    "bitsandbytes": partial(torch_optimizer, target="bitsandbytes.optim:Lion", dtype="bfloat16", **LION),
    "torch AdamW, fused": partial(
        torch_optimizer, target="torch.optim:AdamW", dtype="bfloat16", fused=True, weight_decay=WEIGHT_DECAY
    ),
}
"""Steps on bfloat16."""
MATRICES: dict[str, Make] = {
    MUON_LIMIT: plain_products,
    "signopt Muon, CuPy": partial(signopt_cupy, rule="Muon", beta=BETA),
    "signopt Muon, torch": partial(signopt_torch, rule="Muon", momentum=BETA),
    "signopt Muon, CuPy, spectral decay": partial(signopt_cupy, rule="Muon", beta=BETA, decay="spectral"),
    "torch.optim.Muon, iterating in float32": partial(torch_muon, dtype="float32"),
    "torch.optim.Muon, iterating in bfloat16": partial(torch_muon, dtype="bfloat16"),
}
"""Muon's steps on float32."""
STEPS = {"float32": WIDE, "bfloat16": NARROW, "Muon": MATRICES}
