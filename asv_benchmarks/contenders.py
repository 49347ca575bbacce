"""Optimizers to be timed beside each other, all on the same parameters, gradients and (where it can be set) memory.

Each contender is a function of :class:`Tensors` that returns the step to be timed. The arrays are shared by all of
them: values drift from step to step, which costs no time, and every contender meets the same placement in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

from signopt.backends._threads import on_threads
from signopt.backends.numba import NumbaBackend
from signopt.backends.numpy import NumpyBackend
from signopt.roles import role_of
from signopt.rules.lion import LionCoefficients
from signopt.rules.tiger import TigerCoefficients

__all__ = ["CONTENDERS", "Step", "Tensors", "missing"]

Step = Callable[[], object]
LR, BETAS, WEIGHT_DECAY = 1e-6, (0.9, 0.99), 0.1


@dataclass(frozen=True)
class Tensors:
    """float32 arrays by name, and how many threads a step may use."""

    params: dict[str, np.ndarray]
    grads: dict[str, np.ndarray]
    momenta: dict[str, np.ndarray]
    threads: int

    @classmethod
    def random(cls, shapes: dict[str, tuple[int, ...]], threads: int) -> Tensors:
        """Normal values, the same in every run."""
        rng = np.random.default_rng(0)
        made = [{name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()} for _ in range(3)]
        return cls(*made, threads)

    @property
    def elements(self) -> int:
        return sum(param.size for param in self.params.values())

    def torch_params(self) -> list[Any]:
        """torch parameters in the memory of the arrays, with gradients."""
        import torch

        torch.set_num_threads(self.threads)
        params = [torch.nn.Parameter(torch.from_numpy(param)) for param in self.params.values()]
        for param, grad in zip(params, self.grads.values(), strict=True):
            param.grad = torch.from_numpy(grad)
        return params


def signopt_numpy(tensors: Tensors) -> Step:
    return _signopt_lion(NumpyBackend, tensors)


def signopt_numba(tensors: Tensors) -> Step:
    return _signopt_lion(NumbaBackend, tensors)


def signopt_numpy_tiger(tensors: Tensors) -> Step:
    return _signopt_tiger(NumpyBackend, tensors)


def signopt_numba_tiger(tensors: Tensors) -> Step:
    return _signopt_tiger(NumbaBackend, tensors)


def _signopt_lion(backend: type[Any], tensors: Tensors) -> Step:
    bound = backend(list(tensors.params.values()), list(tensors.momenta.values()))
    bound.threads = tensors.threads
    grads = list(tensors.grads.values())
    coefficients = LionCoefficients.of(lr=LR, betas=BETAS, weight_decay=WEIGHT_DECAY)
    return lambda: bound.step(grads, coefficients)


def _signopt_tiger(backend: type[Any], tensors: Tensors) -> Step:
    roles = [role_of(name) for name in tensors.params]
    bound = backend(list(tensors.params.values()), list(tensors.momenta.values()), roles)
    bound.threads = tensors.threads
    grads = list(tensors.grads.values())
    coefficients = TigerCoefficients.of(
        step=0, lr=LR, beta=0.965, weight_decay=WEIGHT_DECAY, accumulation_steps=1, shrink=0.99, schedule=None
    )
    return lambda: bound.step(grads, coefficients)


def naive_numpy(tensors: Tensors) -> Step:
    """The formula as one would write it; NumPy has no threads of its own for this."""

    def step() -> None:
        for p, g, m in zip(tensors.params.values(), tensors.grads.values(), tensors.momenta.values(), strict=True):
            c = np.float32(BETAS[0]) * m + np.float32(1 - BETAS[0]) * g
            p -= np.float32(LR) * (np.sign(c) + np.float32(WEIGHT_DECAY) * p)
            m[...] = np.float32(BETAS[1]) * m + np.float32(1 - BETAS[1]) * g

    return step


def limit(tensors: Tensors) -> Step:
    """In-place adds over as much memory in one pass, p += m and m += g: 20 bytes per parameter and hardly any work."""
    from numba import njit

    @njit(nogil=True)
    def add(p, m, g):
        for i in range(len(p)):
            p[i] += m[i]
            m[i] += g[i]

    return _over_shares(add, 3, tensors)


def limit_of_a_look(tensors: Tensors) -> Step:
    """A sum in any order over two arrays in one pass: the 8 bytes per parameter that Tiger reads before it writes."""
    from numba import njit

    @njit(nogil=True, fastmath=True)
    def read(p, g):
        total = np.float32(0)
        for i in range(len(p)):
            total += p[i] + g[i]
        return total

    return _over_shares(read, 2, tensors)


def _over_shares(work: Callable[..., object], count: int, tensors: Tensors) -> Step:
    """Call ``work`` on as many new arrays of all elements, each thread with a share of them."""
    arrays = [np.full(tensors.elements, 1e-20, np.float32) for _ in range(count)]
    bounds = [tensors.elements * thread // tensors.threads for thread in range(tensors.threads + 1)]
    shares = [[array[first:last] for array in arrays] for first, last in pairwise(bounds)]
    work(*shares[0])
    return lambda: on_threads(lambda thread: work(*shares[thread]), tensors.threads)


def numba_loop(tensors: Tensors) -> Step:
    """What a user of Numba would write: a parallel loop, called for each tensor."""
    import numba

    @numba.njit(parallel=True)
    def lion(p, g, m, beta1, beta2, lr, weight_decay):
        for i in numba.prange(p.size):
            c = beta1 * m[i] + (np.float32(1) - beta1) * g[i]
            p[i] -= lr * (np.sign(c) + weight_decay * p[i])
            m[i] = beta2 * m[i] + (np.float32(1) - beta2) * g[i]

    numba.set_num_threads(tensors.threads)
    rows = [tuple(a.reshape(-1) for a in row) for row in zip(*_values(tensors), strict=True)]
    numbers = tuple(map(np.float32, (*BETAS, LR, WEIGHT_DECAY)))

    def step() -> None:
        for row in rows:
            lion(*row, *numbers)

    return step


def _values(tensors: Tensors) -> tuple[list[np.ndarray], ...]:
    return tuple(list(arrays.values()) for arrays in (tensors.params, tensors.grads, tensors.momenta))


def lion_pytorch(tensors: Tensors) -> Step:
    from lion_pytorch import Lion

    return Lion(tensors.torch_params(), lr=LR, betas=BETAS, weight_decay=WEIGHT_DECAY).step


def lion_pytorch_foreach(tensors: Tensors) -> Step:
    from lion_pytorch.foreach import Lion

    return Lion(tensors.torch_params(), lr=LR, betas=BETAS, weight_decay=WEIGHT_DECAY).step


def torch_optimi(tensors: Tensors) -> Step:
    from optimi import Lion

    return Lion(tensors.torch_params(), lr=LR, betas=BETAS, weight_decay=WEIGHT_DECAY, foreach=False).step


def pytorch_optimizer(tensors: Tensors) -> Step:
    from pytorch_optimizer import Lion

    return Lion(tensors.torch_params(), lr=LR, betas=BETAS, weight_decay=WEIGHT_DECAY).step


def torch_adamw_fused(tensors: Tensors) -> Step:
    import torch

    return torch.optim.AdamW(tensors.torch_params(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True).step


def torch_compiled_lion(tensors: Tensors) -> Step:
    """The three lines of Lion through torch.compile, called for each tensor, one compilation for all sizes."""
    import torch

    torch.set_num_threads(tensors.threads)

    @torch.compile(dynamic=True)
    def lion(p: Any, g: Any, m: Any) -> None:
        c = BETAS[0] * m + (1 - BETAS[0]) * g
        p.sub_(LR * (torch.sign(c) + WEIGHT_DECAY * p))
        m.copy_(BETAS[1] * m + (1 - BETAS[1]) * g)

    rows = [tuple(torch.from_numpy(a.reshape(-1)) for a in row) for row in zip(*_values(tensors), strict=True)]

    def step() -> None:
        with torch.no_grad():
            for row in rows:
                lion(*row)

    return step


def optax_jit(tensors: Tensors) -> Step:
    """optax.lion under jit, with parameters and state donated so that XLA may write in place."""
    import jax
    import optax

    optimizer = optax.lion(LR, *BETAS, weight_decay=WEIGHT_DECAY)
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


def keras_lion(tensors: Tensors) -> Step:
    """keras.optimizers.Lion on its torch backend, in the memory of the arrays."""
    import keras
    import torch

    torch.set_num_threads(tensors.threads)
    variables = [keras.Variable(param) for param in tensors.params.values()]
    grads = [torch.from_numpy(grad) for grad in tensors.grads.values()]
    optimizer = keras.optimizers.Lion(LR, *BETAS, weight_decay=WEIGHT_DECAY)
    optimizer.build(variables)
    return lambda: optimizer.apply(grads, variables)


CONTENDERS: dict[str, tuple[Callable[[Tensors], Step], str | None]] = {
    "limit: in-place add": (limit, "numba"),
    "limit: read of p and g": (limit_of_a_look, "numba"),
    "signopt numba": (signopt_numba, "numba"),
    "signopt numpy": (signopt_numpy, None),
    "signopt numba, Tiger": (signopt_numba_tiger, "numba"),
    "signopt numpy, Tiger": (signopt_numpy_tiger, None),
    "numba loop": (numba_loop, "numba"),
    "torch.compile'd Lion": (torch_compiled_lion, "torch"),
    "torch AdamW, fused": (torch_adamw_fused, "torch"),
    "optax.lion, jit": (optax_jit, "optax"),
    "torch-optimi Lion": (torch_optimi, "optimi"),
    "lion-pytorch": (lion_pytorch, "lion_pytorch"),
    "lion-pytorch foreach": (lion_pytorch_foreach, "lion_pytorch"),
    "pytorch-optimizer Lion": (pytorch_optimizer, "pytorch_optimizer"),
    "keras Lion, torch": (keras_lion, "keras"),
    "naive NumPy": (naive_numpy, None),
}
"""By name: the function that makes the step, and the module that it needs."""


def missing(name: str) -> str | None:
    """The module that contender ``name`` needs and that is not installed, or None."""
    module = CONTENDERS[name][1]
    return module if module is not None and find_spec(module) is None else None
