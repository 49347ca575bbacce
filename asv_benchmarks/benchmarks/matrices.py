"""Time and peak memory of a step of Muon, and of the matrix sign by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

import signopt

from .layouts import LAYOUTS

DTYPES = ("float32", "float64", "float16")


class TimeMuon:
    """Seconds of a step: one layer of GPT-2 small, a larger matrix, 200 small ones."""

    params = (("gpt2-layer", "matrix", "small-matrices"), DTYPES)
    param_names = ("layout", "dtype")
    number = 1
    repeat = (3, 9, 20.0)

    def setup(self, layout: str, dtype: str) -> None:
        rng = np.random.default_rng(0)
        made = [
            {name: rng.standard_normal(shape).astype(dtype) for name, shape in LAYOUTS[layout].items()} for _ in "pg"
        ]
        params, self.grads = made
        self.optimizer = signopt.Muon(params, lr=1e-6)
        self.optimizer.step(self.grads)

    def time_step(self, layout: str, dtype: str) -> None:
        self.optimizer.step(self.grads)

    def peakmem_step(self, layout: str, dtype: str) -> None:
        self.optimizer.step(self.grads)

    time_step.benchmark_name = "muon.time_step"
    peakmem_step.benchmark_name = "muon.peakmem_step"
    time_step.version = peakmem_step.version = "1"


class TimeMatrixSign:
    """Seconds of the matrix sign of 512 × 1 024 and of an ill-conditioned matrix, by either method."""

    params = (("newton-schulz", "svd"), ("random", "condition 1e12"))
    param_names = ("method", "matrix")
    number = 1
    repeat = (3, 9, 10.0)

    def setup(self, method: str, matrix: str) -> None:
        x: Any = np.random.default_rng(0).standard_normal((512, 1024), np.float32)
        if matrix != "random":
            u, _, v = np.linalg.svd(x, full_matrices=False)
            x = ((u * np.logspace(0, -12, 512)) @ v).astype(np.float32)
        self.x = x

    def time_msign(self, method: str, matrix: str) -> None:
        signopt.msign(self.x, method=method)

    time_msign.benchmark_name = "muon.time_msign"
    time_msign.version = "1"
