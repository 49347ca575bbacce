"""Muon on CuPy arrays: raw kernels with the rule's bits around matrix products of cuBLAS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from signopt._namespace import Array, cast, compute_dtype_name, dtype_name, namespace_of
from signopt.backends._cuda_compile import THREADS, load_function
from signopt.backends._cuda_stacks import on_stacks
from signopt.backends._cuda_tables import words_key
from signopt.backends._storage import Storage
from signopt.rounding import join
from signopt.rules.muon import MuonCoefficients
from signopt.rules.newton_schulz import direction, newton_schulz
from signopt.rules.spectral_decay import ROUNDS, spectral_part

__all__ = ["prepare_muon"]

MOST_BLOCKS = 4096
"""Blocks of a launch; each walks over as many elements as are left."""

NULL = np.uint64(0)


def prepare_muon(
    params: Sequence[Array],
    momenta: Sequence[Array],
    grads: Sequence[Array],
    k: MuonCoefficients,
    storage: Storage,
) -> Callable[[], None]:
    """All of a step but the writing: every X, in memory of its own. What is returned launches one kernel a matrix.

    Nothing waits for the device. The products are those of :func:`signopt.muon`, by ``cupy.matmul``, which asks cuBLAS
    for float32 without TF32 unless CuPy's environment says otherwise. Matrices of one shape are multiplied together.

    Raises
    ------
    ModuleNotFoundError
        If cuBLAS is not installed.
    """
    arrays = enumerate(zip(params, momenta, grads, strict=True))
    tensors = [_Tensor.of(index, *row, storage) for index, row in arrays if row[0].size]
    try:
        us = [tensor.looked_ahead(k) for tensor in tensors]
        xs = on_stacks(partial(_iterated, k), us, k.batch_axis)
        ds = [None] * len(tensors)
        if k.decay == "spectral":
            ds = on_stacks(_spectral, [tensor.numbers() for tensor in tensors], k.batch_axis)
    except (ImportError, RuntimeError) as error:
        if "cublas" not in str(error).lower():
            raise
        raise ModuleNotFoundError(
            "Muon's matrix products on CuPy arrays need cuBLAS: pip install 'signopt[cupy-muon]'"
        ) from error
    return partial(_take, [tensor.step(x, d, k) for tensor, x, d in zip(tensors, xs, ds, strict=True)])


def _take(steps: Sequence[_Step]) -> None:
    for step in steps:
        step.take()


@dataclass(frozen=True)
class _Step:
    """The update of one matrix, ready to be launched: of ``arrays``, which it reads and writes as ``dense``."""

    arrays: Sequence[Array]
    dense: Sequence[Array]
    launch: Callable[[], None]
    keep: tuple[Any, ...]

    def take(self) -> None:
        """Launch it, and bring what it wrote to arrays that are not contiguous."""
        self.launch()
        for array, dense in zip(self.arrays, self.dense, strict=True):
            if dense is not array:
                array[...] = dense


@dataclass(frozen=True)
class _Tensor:
    """One parameter and all that its step reads and writes, densely: ``rest`` are its low halves, or None."""

    number: int
    written: Sequence[Array]
    dense: Sequence[Array]
    grad: Array
    rounding: str

    @classmethod
    def of(cls, index: int, param: Array, momentum: Array, grad: Array, storage: Storage) -> _Tensor:
        import cupy

        rest = storage.rest(index)
        written = [param, momentum] if rest is None else [param, momentum, rest]
        dense = [*map(cupy.ascontiguousarray, written)]
        return cls(storage.number(index), written, dense, cupy.ascontiguousarray(grad), storage.of(param))

    @property
    def param(self) -> Array:
        return self.dense[0]

    @property
    def compute(self) -> str:
        return compute_dtype_name(dtype_name(self.param))

    def kernel(self, name: str) -> Any:
        dtypes = dtype_name(self.param), dtype_name(self.dense[1])
        return load_function("muon", name, *dtypes, self.rounding, self.param.device.id)

    @property
    def blocks(self) -> tuple[int]:
        return (min(-(-self.param.size // THREADS), MOST_BLOCKS),)

    def looked_ahead(self, coefficients: MuonCoefficients) -> Array:
        """What is to be orthogonalised: the new momentum, or what Nesterov's looks ahead to."""
        import cupy

        k: Any = coefficients.rounded(self.compute)
        number = np.dtype(self.compute).type
        u = cupy.empty(self.param.shape, self.compute)
        arguments = self.grad, self.dense[1], u, np.int64(u.size), number(k.B), number(k.A), np.int32(k.nesterov)
        self.kernel("signopt_muon_look")(self.blocks, (THREADS,), arguments)
        return u

    def numbers(self) -> Array:
        """The parameter in the dtype of the computation."""
        joined = join(*self.dense[::2]) if self.rounding == "split" else self.param
        xp = namespace_of(joined)
        return cast(xp, joined, getattr(xp, self.compute))

    def step(self, x: Array, d: Array | None, coefficients: MuonCoefficients) -> _Step:
        """The launch that writes, given X and, for a decay of its own, D."""
        import cupy

        k: Any = coefficients.rounded(self.compute)
        number = np.dtype(self.compute).type
        x, d = cupy.ascontiguousarray(x), None if d is None else cupy.ascontiguousarray(d)
        scale = k.scale(tuple(self.param.shape), self.compute)
        numbers = np.int64(x.size), *map(number, (k.B, k.A, k.lr, scale, k.weight_decay))
        drawn = self.dense[2] if self.dense[2:] else NULL, np.int64(self.number), *words_key(k.draw)
        arguments = (*self.dense[:2], self.grad, x, NULL if d is None else d, *numbers, *drawn)
        launch = partial(self.kernel("signopt_muon"), self.blocks, (THREADS,), arguments)
        return _Step(self.written, self.dense, launch, (self.grad, x, d))


def _iterated(k: MuonCoefficients, stack: Array) -> Array:
    xp = namespace_of(stack)
    eps: Any = k.rounded(dtype_name(stack))
    return newton_schulz(xp, direction(xp, stack, eps.eps, dtype_name(stack)), k.triples)


def _spectral(stack: Array) -> Array:
    return spectral_part(namespace_of(stack), stack, ROUNDS, dtype_name(stack))
