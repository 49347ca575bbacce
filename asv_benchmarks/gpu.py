"""Time signopt and its peers beside each other on a CUDA device: ``python asv_benchmarks/gpu.py --out gpu``.

On each layout the contenders take turns for ``--rounds``; a turn is a few steps that are queued one after the other, as
in training, and the wait for the last. Of slow contenders fewer are queued. Printed are medians, of the time per step
and of its ratio to the limit in the same round. ``--out`` writes OUT.json and OUT.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the device is shared with CuPy and torch
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from benchmarks.layouts import LAYOUTS as CPU_LAYOUTS  # noqa: E402
from benchmarks.layouts import gpt2_small  # noqa: E402
from gpu_contenders import LIMIT, MUON_LIMIT, STEPS, Step  # noqa: E402

BLOCKS = {name: shape for name, shape in gpt2_small().items() if name.startswith("h") and len(shape) == 2}
LAYOUTS: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "one": ("one tensor of 2²⁷", {"kernel": (1 << 27,)}),
    "gpt2": ("GPT-2 small, 148 tensors", gpt2_small()),
    "small": ("1 000 tensors of 1 000", CPU_LAYOUTS["small"]),
    "gpt2-matrices": ("the 48 matrices of GPT-2 small", BLOCKS),
    "matrix": ("one matrix of 4 096 × 16 384", {"kernel": (4096, 16384)}),
    "small-matrices": ("200 matrices of 32 × 64", CPU_LAYOUTS["small-matrices"]),
}
LONGEST_TURN = 0.1
"""Seconds: of slow contenders fewer steps are queued."""
RUNS = (
    *((kind, layout) for kind in ("float32", "bfloat16") for layout in ("one", "gpt2", "small")),
    *(("Muon", layout) for layout in ("gpt2-matrices", "matrix", "small-matrices")),
)


def main() -> None:
    """Run all, print the tables and write what came."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10, help="queued in a turn (default 10)")
    parser.add_argument("--only", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path, help="print the tables of a JSON file instead of measuring")
    parser.add_argument("--page", type=Path, help="with --read: write them into this page, and the picture beside it")
    options = parser.parse_args()
    if options.read:
        _show(json.loads(options.read.read_text()), options.page)
        return
    report: dict[str, Any] = {"device": device(), "steps": options.steps, "runs": []}
    for kind, layout in RUNS:
        if kind in options.only:
            print(f"{kind}, {layout} ...", file=sys.stderr, flush=True)
            report["runs"].append(measure(kind, layout, options.rounds, options.steps))
            if options.out:
                options.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    print(tables(report))
    if options.out:
        options.out.with_suffix(".md").write_text(tables(report) + "\n")


def _show(report: dict[str, Any], page: Path | None) -> None:
    if page is None:
        print(tables(report))
        return
    from picture import draw_gpu

    before, mark, rest = page.read_text("utf-8").partition("<!-- measured -->\n")
    page.write_text(before + mark + tables(report) + rest[rest.index("\n<!-- end -->") :], "utf-8")
    titled = [(f"{LAYOUTS[run['layout']][0]}, {run['kind']}", run) for run in report["runs"]]
    draw_gpu([each for each in titled if each[1]["layout"] in ("one", "gpt2", "gpt2-matrices")], page.parent)


def device() -> str:
    """What measured: card, driver and libraries."""
    from importlib.metadata import version

    import cupy

    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    driver = cupy.cuda.runtime.driverGetVersion()
    libraries = ", ".join(f"{package} {_version(version, package)}" for package in ("torch", "triton", "jax"))
    return f"{name}, CUDA driver {driver}, CuPy {cupy.__version__}, {libraries}"


def _version(version: Callable[[str], str], package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        return "missing"


def measure(kind: str, layout: str, rounds: int, steps: int) -> dict[str, Any]:
    """Seconds per step of each contender in each round, until the host is free again and until the device is."""
    shapes = LAYOUTS[layout][1]
    made: dict[str, Step] = {}
    queue: dict[str, int] = {}
    failed: dict[str, str] = {}
    for name, make in STEPS[kind].items():
        try:
            made[name] = make(shapes)
            _turn(made[name], 2)
            queue[name] = max(1, min(steps, int(LONGEST_TURN / _turn(made[name], 2)[1])))
        # A contender that is not installed or does not run here is a line of the table.
        except Exception as error:
            made.pop(name, None)
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    seconds: dict[str, list[float]] = {name: [] for name in made}
    host: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(rounds):
        for name, step in made.items():
            queued, done = _turn(step, queue[name])
            host[name].append(queued)
            seconds[name].append(done)
    size = sum(map(prod, shapes.values()))
    made.clear()
    _free()
    return {
        "kind": kind,
        "layout": layout,
        "parameters": size,
        "seconds": seconds,
        "host": host,
        "failed": failed,
    }


def _turn(step: Step, steps: int) -> tuple[float, float]:
    finish = getattr(step, "finish", _synchronise)
    _synchronise()
    begin = time.perf_counter()
    for _ in range(steps):
        step()
    queued = time.perf_counter() - begin
    finish()
    return queued / steps, (time.perf_counter() - begin) / steps


def _synchronise() -> None:
    import cupy

    cupy.cuda.Device().synchronize()


def _free() -> None:
    import cupy

    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()
    if "torch" in sys.modules:
        sys.modules["torch"].cuda.empty_cache()


BYTES = {"float32": 20, "bfloat16": 10}
"""Of one pass of Lion, per parameter: read p, m, g; write p, m."""


def tables(report: dict[str, Any]) -> str:
    """The medians as Markdown, a table for each kind and layout."""
    parts = [f"{report['device']}; turns of up to {report['steps']} steps."]
    return "\n\n".join(parts + [_table(run) for run in report["runs"]])


def _table(run: dict[str, Any]) -> str:
    title, _ = LAYOUTS[run["layout"]]
    limit = MUON_LIMIT if run["kind"] == "Muon" else LIMIT
    rounds = len(next(iter(run["seconds"].values())))
    lines = [f"**{title}**, {run['kind']}, medians of {rounds} rounds", ""]
    bandwidth = run["kind"] in BYTES
    lines.append("| | µs per step | over the limit | host, µs |" + (" TB/s of one pass |" if bandwidth else ""))
    lines.append("| --- | --- | --- | --- |" + (" --- |" if bandwidth else ""))
    for name, times in sorted(run["seconds"].items(), key=lambda item: statistics.median(item[1])):
        over = statistics.median(a / b for a, b in zip(times, run["seconds"][limit], strict=True))
        step, host = statistics.median(times) * 1e6, statistics.median(run["host"][name]) * 1e6
        line = f"| {name} | {step:.0f} | {over:.2f} | {host:.0f} |"
        if bandwidth:
            rate = BYTES[run["kind"]] * run["parameters"] / statistics.median(times) / 1e12
            line += f" {rate:.2f} |" if name == limit or name.startswith("signopt Lion") else " |"
        lines.append(line)
    lines += [
        f"| {name} | did not run: {why} | | |" + (" |" if bandwidth else "") for name, why in run["failed"].items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
