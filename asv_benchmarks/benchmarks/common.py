"""Optimizers on random arrays, for every rule, backend, dtype and layout."""

from __future__ import annotations

from typing import Any

import numpy as np

import signopt

from .layouts import LAYOUTS

__all__ = ["BACKENDS", "DTYPES", "RULES", "make", "synchronize"]

RULES = {"lion": signopt.Lion, "signum": signopt.Signum, "tiger": signopt.Tiger}
BACKENDS = ("numpy", "numba", "cupy")
DTYPES = ("float32", "float64", "bfloat16", "float16")


def make(rule: str, backend: str, dtype: str, layout: str, size: int | None = None) -> tuple[Any, dict[str, Any]]:
    """An optimizer and gradients for it.

    ``size`` replaces the layout by one tensor of so many elements.

    Raises
    ------
    NotImplementedError
        Where the backend cannot run here, by which asv knows that a benchmark is to be skipped.
    """
    shapes = LAYOUTS[layout] if size is None else {"kernel": (size,)}
    xp = _namespace(backend)
    rng = np.random.default_rng(0)
    params, grads = (
        {name: xp.asarray(_cast(rng.standard_normal(shape, np.float32), dtype)) for name, shape in shapes.items()}
        for _ in range(2)
    )
    return RULES[rule](params, lr=1e-6, weight_decay=0.1, backend=backend), grads


def _cast(array: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":
        import ml_dtypes

        return array.astype(ml_dtypes.bfloat16)
    return array.astype(dtype)


def _namespace(backend: str) -> Any:
    if backend != "cupy":
        return np
    try:
        import cupy
    except ImportError:
        raise NotImplementedError("CuPy is not installed") from None
    if not cupy.cuda.is_available():
        raise NotImplementedError("no CUDA device")
    return cupy


def synchronize(backend: str) -> None:
    """Wait for the device, where there is one: kernels are launched, not run, when a step returns."""
    if backend == "cupy":
        import cupy

        cupy.cuda.get_current_stream().synchronize()
