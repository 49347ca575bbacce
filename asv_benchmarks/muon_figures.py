"""All figures of Muon's speed and memory in one go: ``python asv_benchmarks/muon_figures.py``.

First side_by_side.py on Muon's layouts, which names the BLAS libraries and their kernels. Then what that does not have:
this library's other dtypes, methods and presets, gradients that are hard, and torch's default, which iterates in
bfloat16, on a matrix that is small enough for it. Those take turns in one process too; each is held against the first
of its table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from side_by_side import CLOCKS, MATRICES, PINS, SPIN, extra_memory  # noqa: E402

FOLDER = Path(__file__).parent
Step = Callable[[], object]


def main() -> None:
    """Every number of threads in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=3, help="rounds, after two steps that warm up (default 3)")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: this process' own time, one thread")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure(options.threads[0], options.runs, options.clock)
        return
    for threads in options.threads:
        shared = ["--threads", str(threads), "--runs", str(options.runs), "--clock", options.clock]
        environment = dict(os.environ) | dict.fromkeys(PINS, str(threads))
        for script in (["side_by_side.py", "--layouts", *MATRICES], ["muon_figures.py", "--child"]):
            command = [sys.executable, str(FOLDER / script[0]), *script[1:], *shared]
            subprocess.run(command, env=environment, check=True)
            print(flush=True)


def measure(threads: int, rounds: int, clock: str) -> None:
    """Print every table for one number of threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for title, steps in tables(threads):
        print(f"{title}, {threads} threads, {rounds} rounds{', processor time' if clock == 'cpu' else ''}")
        print(f"{'':38}{'ms/step':>9}{'of first':>9}{'extra MiB':>10}")
        for name, times, ratio, extra in timed(steps, rounds, CLOCKS[clock]):
            text = "?" if extra is None else f"{extra / 2**20:.2f}"
            print(f"{name:38}{statistics.median(times) * 1e3:9.2f}{ratio:9.2f}{text:>10}", flush=True)


def timed(
    steps: dict[str, Step], rounds: int, clock: Callable[[], float]
) -> Iterator[tuple[str, list[float], float, int | None]]:
    """Name, seconds of every round, the median of the ratios to the first, and bytes of peak extra memory."""
    extra = {}
    for name, step in steps.items():
        step()
        extra[name] = extra_memory(step)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            time.sleep(SPIN)
            start = clock()
            step()
            seconds[name].append(clock() - start)
    first = next(iter(seconds.values()))
    for name, times in seconds.items():
        yield name, times, statistics.median(a / b for a, b in zip(times, first, strict=True)), extra[name]


def tables(threads: int) -> Iterator[tuple[str, dict[str, Step]]]:
    """Each table's title, and its steps by name."""
    shape = (768, 2304)
    ways = {"float32": {}, "spectral decay": {"decay": "spectral"}}
    ways["polar-express"] = {"ns_coefficients": "polar-express"}
    steps = {f"signopt.Muon, {name}": muon(shape, threads, **options) for name, options in ways.items()}
    steps |= {f"signopt.Muon, {dtype}": muon(shape, threads, dtype) for dtype in ("float64", "float16", "bfloat16")}
    steps |= {f"signopt.Muon, {name}": muon(shape, threads, values=values) for name, values in SPECTRA.items()}
    steps["signopt.Muon, gradient of 1e-30"] = muon(shape, threads, size=1e-30, eps=0.0)
    yield "768 x 2304", steps
    yield "one matrix sign of 768 x 2304", {f"signopt.msign, {each}": sign(shape, each) for each in METHODS}
    small = (256, 1024)
    yield (
        "256 x 1024",
        {
            "signopt.Muon, float32": muon(small, threads),
            **{f"torch.optim.Muon, {dtype}": torch_muon(small, threads, dtype) for dtype in ("float32", "bfloat16")},
        },
    )


SPECTRA = {"condition 1e12": 12.0, "rank 1": float("inf")}
METHODS = ("newton-schulz", "svd")


def muon(
    shape: tuple[int, int],
    threads: int,
    dtype: str = "float32",
    *,
    values: float = 0.0,
    size: float = 1.0,
    **options: object,
) -> Step:
    """A step of signopt.Muon whose gradient has singular values from 1 to 10^-``values``, or normal elements for 0."""
    import ml_dtypes
    import numpy as np

    import signopt

    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    rng = np.random.default_rng(0)
    grad = rng.standard_normal(shape)
    if values:
        u, s, v = np.linalg.svd(grad, full_matrices=False)
        s = np.eye(len(s))[0] if np.isinf(values) else np.logspace(0, -values, len(s))
        grad = u * s @ v
    params = {"w": rng.standard_normal(shape).astype(kind)}
    opt = signopt.Muon(params, lr=0.1, backend="numpy", **options)  # type: ignore[arg-type]
    opt._binding.backend.threads = threads  # type: ignore[attr-defined]
    return partial(opt.step, {"w": (grad * size).astype(kind)})


def sign(shape: tuple[int, int], method: str) -> Step:
    """signopt.msign of a normal matrix in float32."""
    import numpy as np

    import signopt

    return partial(signopt.msign, np.random.default_rng(0).standard_normal(shape, np.float32), method=method)


def torch_muon(shape: tuple[int, int], threads: int, dtype: str) -> Step:
    """The contender of side_by_side.py on one matrix."""
    import muon_contenders
    from contenders import Tensors

    return muon_contenders.torch_muon(Tensors.random({"kernel": shape}, threads), dtype)


if __name__ == "__main__":
    main()
