"""The tables of low-precision.md: python docs/low_precision/measure.py."""

from __future__ import annotations

import time
import warnings

import ml_dtypes
import numpy as np

import signopt

MODES = ("nearest", "stochastic", "split")
FORMATS = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}


def frozen_above() -> None:
    """The largest power of two at which a step down still moves, and above which none does."""
    print("| lr | bfloat16 | float16 |\n|---|---|---|")
    for lr in (1e-3, 3e-4, 1e-4, 3e-5, 1e-5):
        edges = []
        for dtype in FORMATS.values():
            powers = 2.0 ** np.arange(-20, 6)
            opt = signopt.Lion({f"{p}": np.full(1, 1.5 * p, dtype) for p in powers}, lr=lr)
            edges.append(min(p for p in powers if opt.frozen(f"{p}") == 1.0))
        print(f"| {lr:g} | {edges[0]:g} | {edges[1]:g} |")


def thousand_steps(count: int = 20_000, steps: int = 1000, lr: float = 1e-4) -> None:
    """Lion on ones whose gradient is 1: float32 goes to 0.9."""
    grad = np.ones(count, ml_dtypes.bfloat16)
    print("| rounding | mean after 1000 steps | standard error |\n|---|---|---|")
    for mode in MODES:
        param = np.ones(count, ml_dtypes.bfloat16)
        opt = signopt.Lion({"w": param}, lr=lr, rounding=mode, momentum_dtype="float32")
        for _ in range(steps):
            opt.step({"w": grad})
        value = signopt.rounding.join(param, opt.rests["w"]) if mode == "split" else param
        value = value.astype(np.float64)
        print(f"| {mode} | {value.mean():.6f} | {value.std() / count**0.5:.1e} |")


def speed(count: int = 4_000_000, rounds: int = 15) -> None:
    """Seconds of a step of Lion beside those of nearest in the same round, medians, on one thread."""
    print("| dtype | backend | stochastic / nearest | split / nearest |\n|---|---|---|---|")
    for name, dtype in FORMATS.items():
        modes = MODES if name == "bfloat16" else MODES[:2]
        for backend in ("numba", "numpy"):
            opts = {m: signopt.Lion({"w": np.ones(count, dtype)}, rounding=m, backend=backend) for m in modes}
            grads = {"w": np.ones(count, dtype)}
            times: dict[str, list[float]] = {mode: [] for mode in modes}
            for _ in range(rounds if backend == "numba" else 3):
                for mode, opt in opts.items():
                    start = time.perf_counter()
                    opt.step(grads)
                    times[mode].append(time.perf_counter() - start)
            ratios = [np.median(np.array(times[m][1:]) / np.array(times["nearest"][1:])) for m in modes[1:]]
            shown = [f"{ratio:.2f}" for ratio in ratios] + ["–"] * (3 - len(modes))
            print(f"| {name} | {backend} | {' | '.join(shown)} |")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for table in (frozen_above, thousand_steps, speed):
        table()
        print()
