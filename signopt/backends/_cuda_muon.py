"""Muon on CuPy arrays: raw kernels with the rule's bits around matrix products of cuBLAS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from signopt._namespace import Array, cast, compute_dtype_name, dtype_name, namespace_of
from signopt.backends._cuda_compile import THREADS, load_function
from signopt.backends._cuda_tables import words_key
from signopt.backends._storage import Storage
from signopt.rounding import join
from signopt.rules._matrices import as_matrices, from_matrices
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
    for float32 without TF32 unless CuPy's environment says otherwise.

    Raises
    ------
    ModuleNotFoundError
        If cuBLAS is not installed.
    """
    arrays = enumerate(zip(params, momenta, grads, strict=True))
    try:
        steps = [_prepared(index, *row, k, storage) for index, row in arrays if row[0].size]
    except (ImportError, RuntimeError) as error:
        if "cublas" not in str(error).lower():
            raise
        raise ModuleNotFoundError(
            "Muon's matrix products on CuPy arrays need cuBLAS: pip install 'signopt[cupy-muon]'"
        ) from error
    return partial(_take, steps)


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


def _prepared(
    index: int, param: Array, momentum: Array, grad: Array, coefficients: MuonCoefficients, storage: Storage
) -> _Step:
    import cupy

    rounding, rest = storage.of(param), storage.rest(index)
    compute = compute_dtype_name(dtype_name(param))
    k: Any = coefficients.rounded(compute)
    number = np.dtype(compute).type
    written = [param, momentum] if rest is None else [param, momentum, rest]
    dense = [*map(cupy.ascontiguousarray, written)]
    (p, m), low, g = dense[:2], dense[2] if dense[2:] else NULL, cupy.ascontiguousarray(grad)
    load = partial(
        load_function,
        "muon",
        param_dtype=dtype_name(param),
        momentum_dtype=dtype_name(momentum),
        rounding=rounding,
        device=param.device.id,
    )
    look, move = load(kernel="signopt_muon_look"), load(kernel="signopt_muon")
    u = cupy.empty(param.shape, compute)
    blocks = min(-(-param.size // THREADS), MOST_BLOCKS)
    size, B, A = np.int64(param.size), number(k.B), number(k.A)
    look((blocks,), (THREADS,), (g, m, u, size, B, A, np.int32(k.nesterov)))
    x = _iterated(u, k, compute)
    d = _decaying(join(p, low) if rounding == "split" else p, k, compute)
    numbers = (size, B, A, number(k.lr), number(k.scale(tuple(param.shape), compute)), number(k.weight_decay))
    drawn = low, np.int64(storage.number(index)), *words_key(k.draw)
    launch = partial(move, (blocks,), (THREADS,), (p, m, g, x, NULL if d is None else d, *numbers, *drawn))
    return _Step(written, dense, launch, (g, x, d))


def _iterated(u: Array, k: MuonCoefficients, compute: str) -> Array:
    import cupy

    xp = namespace_of(u)
    matrices = as_matrices(xp, u, k.batch_axis, "param")
    x = newton_schulz(xp, direction(xp, matrices, k.eps, compute), k.triples)
    return cupy.ascontiguousarray(from_matrices(xp, x, tuple(u.shape), k.batch_axis))


def _decaying(p: Array, k: MuonCoefficients, compute: str) -> Array | None:
    """The spectral part of the parameter; None if the parameter itself decays."""
    import cupy

    if k.decay == "plain":
        return None
    xp = namespace_of(p)
    matrices = as_matrices(xp, cast(xp, p, getattr(xp, compute)), k.batch_axis, "param")
    part = spectral_part(xp, matrices, ROUNDS, compute)
    return cupy.ascontiguousarray(from_matrices(xp, part, tuple(p.shape), k.batch_axis))
