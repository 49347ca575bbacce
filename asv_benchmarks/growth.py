"""How a step grows with the number of parameters: ``python asv_benchmarks/growth.py --out docs/_static/growth``."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from contenders import CONTENDERS, Tensors  # noqa: E402
from picture import draw_growth  # noqa: E402
from side_by_side import processor  # noqa: E402

NAMES = ("limit: in-place add", "signopt numba", "signopt numba, Tiger", "signopt numpy", "naive NumPy")
WORTH_REPEATING = 0.2
"""Seconds that one size and contender is repeated for, at least seven times."""


def main() -> None:
    """Time every size up to ``--most``, the contenders in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--most", type=float, default=1e8, help="most parameters; 24 bytes each are needed (default 1e8)"
    )
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, required=True, help="write OUT.json and OUT.svg")
    options = parser.parse_args()
    lines: dict[str, list[tuple[int, float]]] = {name: [] for name in NAMES}
    for size in sizes(options.most):
        tensors = Tensors.random({"kernel": (size,)}, options.threads)
        for name, seconds in medians(tensors).items():
            lines[name].append((size, seconds))
        print(size, *(f"{name} {lines[name][-1][1] / size * 1e9:.2f}" for name in NAMES), sep="; ", flush=True)
    report = {"processor": processor(), "threads": options.threads, "caches": caches(), "lines": lines}
    options.out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    draw_growth(report, options.out.with_suffix(".svg"))


def sizes(most: float) -> list[int]:
    """1, 2 and 5 times the powers of ten from 1 000 on."""
    return [step * 10**power for power in range(3, 10) for step in (1, 2, 5) if step * 10**power <= most]


def medians(tensors: Tensors) -> dict[str, float]:
    """The median seconds of a step of every contender."""
    steps = {name: CONTENDERS[name][0](tensors) for name in NAMES}
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for step in steps.values():
        step()
    while len(seconds[NAMES[0]]) < 7 or min(map(sum, seconds.values())) < WORTH_REPEATING:
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def caches() -> dict[str, int]:
    """Bytes of the first processor's data caches, as Linux gives them."""
    found: dict[str, Any] = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if (index / "type").read_text().strip() != "Instruction":
            size = (index / "size").read_text().strip()
            found[f"L{(index / 'level').read_text().strip()}"] = int(size.rstrip("K")) << 10
    return found


if __name__ == "__main__":
    main()
