"""Time signopt and its peers beside each other: ``python asv_benchmarks/side_by_side.py``.

One process for each number of threads and layout, pinned to as many processors as threads. In it the contenders take
turns, for ``--runs`` rounds, so that a machine that slows down slows down for all. A turn is a rest, one step that
wakes the processors, and one that is timed. Printed are medians: of times, and of the ratios of two in one round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

PINS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "SIGNOPT_NUM_THREADS")
LIMIT = "limit: in-place add"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""What a turn is timed with. The second does not count what other processes take, and adds threads up."""

LAYOUT_NAMES = ["one", "gpt2", "small", "gpt2-layer", "matrix", "small-matrices"]
MATRICES = ("gpt2-layer", "matrix", "small-matrices")
"""Layouts on which Muon runs against others, and against plain matrix products as the limit."""

SPIN = 0.05
"""Seconds of rest before a turn: OpenMP's threads spin for a while after theirs, on the next one's processor."""


def main() -> None:
    """Run every combination in processes of their own and write what came."""
    options = _options()
    runs = []
    for threads in options.threads:
        for layout in options.layouts:
            print(f"{layout}, {threads} threads ...", file=sys.stderr, flush=True)
            runs.append(_in_a_process(layout, threads, options))
    report = {"processor": processor(), "python": platform.python_version(), "runs": runs}
    print(table(report))
    if options.out:
        from picture import draw_side_by_side

        options.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
        options.out.with_suffix(".txt").write_text(table(report) + "\n")
        draw_side_by_side(report, options.out.with_suffix(".svg"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--layouts", nargs="+", default=["one", "gpt2", "small"], choices=LAYOUT_NAMES)
    parser.add_argument("--runs", type=int, default=9, help="rounds, after two steps that warm up (default 9)")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: this process' own time, one thread")
    parser.add_argument("--only", nargs="+", help="contenders by name; the limit always runs")
    parser.add_argument("--out", type=Path, help="write OUT.json, OUT.txt and OUT.svg: all times, the table, a picture")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run = measure(options.layouts[0], options.threads[0], options.runs, options.only, options.clock)
        json.dump(run, sys.stdout)
        raise SystemExit
    return options


def _in_a_process(layout: str, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    environment = dict(os.environ, KERAS_BACKEND="torch", JAX_PLATFORMS="cpu") | dict.fromkeys(PINS, str(threads))
    only = ["--only", *options.only] if options.only else []
    arguments = ["--child", "--layouts", layout, "--threads", str(threads), "--runs", str(options.runs), *only]
    arguments += ["--clock", options.clock]
    answer = subprocess.run([sys.executable, __file__, *arguments], env=environment, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(answer.stdout)
    return result


def measure(layout: str, threads: int, rounds: int, only: list[str] | None, clock: str = "wall") -> dict[str, Any]:
    """Seconds of every round and bytes of peak extra memory, of every contender that is installed."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    from benchmarks.layouts import LAYOUTS
    from contenders import Tensors

    contenders, limit = _contenders(layout)
    tensors = Tensors.random(LAYOUTS[layout], threads)
    chosen = [name for name in contenders if (only is None or name in only or name == limit)]
    chosen = [name for name in chosen if only is not None or not name.endswith("bfloat16")]
    missing = {name: module for name in chosen if (module := contenders[name][1]) and find_spec(module) is None}
    steps = {name: contenders[name][0](tensors) for name in chosen if name not in missing}
    extra = {}
    for name, step in steps.items():
        step()
        extra[name] = extra_memory(step)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            time.sleep(SPIN)
            step()
            start = CLOCKS[clock]()
            step()
            seconds[name].append(CLOCKS[clock]() - start)
    return {
        "layout": layout,
        "threads": threads,
        "parameters": tensors.elements,
        "seconds": seconds,
        "extra_bytes": extra,
        "missing": missing,
        "blas": _blas(),
        "clock": clock,
    }


def _contenders(layout: str) -> tuple[dict[str, Any], str]:
    """Those of a layout by name, and the name of their limit."""
    if layout in MATRICES:
        import muon_contenders

        return muon_contenders.MUON_CONTENDERS, muon_contenders.LIMIT
    import contenders

    return contenders.CONTENDERS, LIMIT


def _blas() -> list[str]:
    """Which libraries multiplied matrices, and with which kernels; nothing where threadpoolctl is not installed."""
    if find_spec("threadpoolctl") is None:
        return []
    from threadpoolctl import threadpool_info

    found = [info for info in threadpool_info() if info["user_api"] == "blas"]
    return [f"{Path(info['filepath']).name} {info['version']} {info.get('architecture')}" for info in found]


def extra_memory(step: Any) -> int | None:
    """The highest resident memory during a step, over that before it, in bytes; None if Linux does not say."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    before = _resident("VmRSS")
    step()
    return max(0, _resident("VmHWM") - before)


def _resident(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def processor() -> str:
    """The processor's name, and how many of its cores this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def table(report: dict[str, Any]) -> str:
    """All medians, with the ratio to the limit and to signopt's backends."""
    lines = [f"{report['processor']}, Python {report['python']}"]
    for run in report["runs"]:
        is_muon = run["layout"] in MATRICES
        ours = ("signopt Muon", "torch Muon, float32") if is_muon else ("signopt numba", "signopt numpy")
        limit = "limit: plain products, NumPy" if is_muon else LIMIT
        heads = ("muon/it", "torch/it") if is_muon else ("numba/it", "numpy/it")
        rounds = len(next(iter(run["seconds"].values())))
        size = f"{run['parameters']} float32 parameters"
        lines += ["", f"{run['layout']}: {size}, {run['threads']} threads, {rounds} rounds"]
        lines[-1] += ", processor time" if run.get("clock") == "cpu" else ""
        lines.append(f"{'':26}{'ns/param':>9}{'of limit':>9}{heads[0]:>9}{heads[1]:>9}{'extra MiB':>10}")
        for name, times in sorted(run["seconds"].items(), key=lambda item: statistics.median(item[1])):
            ratios = [ratio(run, other, name) for other in (limit, *ours)]
            columns = "".join(f"{'':>9}" if value is None else f"{value:9.2f}" for value in ratios)
            extra = run["extra_bytes"][name]
            extra_text = "?" if extra is None else f"{extra / 2**20:.2f}"
            nanoseconds = statistics.median(times) / run["parameters"] * 1e9
            lines.append(f"{name:26}{nanoseconds:9.2f}{columns}{extra_text:>10}")
        lines += [f"{name:26} not run: {module} is not installed" for name, module in run["missing"].items()]
        lines += [f"BLAS: {blas}" for blas in run.get("blas", ()) if is_muon]
    return "\n".join(lines)


def ratio(run: dict[str, Any], one: str, other: str) -> float | None:
    """The median over the rounds of the time of one contender over that of another; None if either did not run."""
    if one not in run["seconds"] or other not in run["seconds"]:
        return None
    return statistics.median(a / b for a, b in zip(run["seconds"][one], run["seconds"][other], strict=True))


if __name__ == "__main__":
    main()
