"""The pictures of docs/speed.md, from the reports of side_by_side.py and growth.py."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "signopt"

from matplotlib import pyplot as plt  # noqa: E402

__all__ = ["draw_gpu", "draw_growth", "draw_side_by_side"]

LIMIT = "limit: in-place add"
TITLES = {
    "one": "one tensor of 2$^{25}$ elements",
    "gpt2": "GPT-2 small, 148 tensors",
    "small": "1 000 tensors of 1 000",
    "gpt2-layer": "one layer of GPT-2 small",
    "matrix": "one matrix of 1 024 × 4 096",
    "small-matrices": "small matrices",
}
GPU_COLOURS = {"signopt": "#e07b39", "limit": "#8c8c8c"}
COLOURS = {1: "#9db8d2", 2: "#2f5d8a"}


def draw_side_by_side(report: dict[str, Any], path: Path) -> None:
    """Bars of ns per parameter for each layout and number of threads, and of the peak extra memory, in a column."""
    layouts = list(dict.fromkeys(run["layout"] for run in report["runs"]))
    figure, axes = plt.subplots(len(layouts) + 1, 1, figsize=(6, 4.8 * (len(layouts) + 1)), layout="constrained")
    for axis, layout in zip(axes, layouts, strict=False):
        _draw_times(axis, [run for run in report["runs"] if run["layout"] == layout])
        axis.set_title(TITLES[layout])
    _draw_memory(axes[-1], report["runs"][0])
    rounds = len(next(iter(report["runs"][0]["seconds"].values())))
    figure.suptitle(f"{report['processor']}; float32, medians of {rounds} alternating rounds", fontsize=9)
    figure.savefig(path, metadata={"Date": None})


def _draw_times(axis: Any, runs: list[dict[str, Any]]) -> None:
    medians = [{name: _median_ns(run, name) for name in run["seconds"]} for run in runs]
    names = sorted(medians[0], key=medians[0].__getitem__, reverse=True)
    height = 0.8 / len(runs)
    for place, (run, values) in enumerate(zip(runs, medians, strict=True)):
        rows = [row + (len(runs) - 1 - place) * height for row in range(len(names))]
        colour = COLOURS.get(run["threads"], "#444444")
        bars = axis.barh(rows, [values[name] for name in names], height, color=colour, label=_threads(run["threads"]))
        axis.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
    axis.set_yticks([row + 0.4 - height / 2 for row in range(len(names))], names, fontsize=10)
    axis.set_xscale("log")
    axis.set_xticks([0.1, 0.3, 1, 3, 10, 30], ["0.1", "0.3", "1", "3", "10", "30"])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("ns per parameter")
    axis.margins(x=0.15)
    axis.legend(fontsize=9)
    for label in axis.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("signopt") else "normal")


def _threads(number: int) -> str:
    return f"{number} thread{'s' if number > 1 else ''}"


def _draw_memory(axis: Any, run: dict[str, Any]) -> None:
    extra = {name: max(size, 1) for name, size in run["extra_bytes"].items() if size is not None and name != LIMIT}
    names = sorted(extra, key=extra.__getitem__, reverse=True)
    axis.barh(range(len(names)), [extra[name] / 2**20 for name in names], color=COLOURS[2])
    axis.set_yticks(range(len(names)), names, fontsize=10)
    axis.set_xscale("symlog", linthresh=0.01)
    axis.set_xlabel("MiB of peak extra memory in a step")
    axis.set_title(TITLES[run["layout"]])


def _median_ns(run: dict[str, Any], name: str) -> float:
    return statistics.median(run["seconds"][name]) / run["parameters"] * 1e9


def draw_growth(report: dict[str, Any], path: Path) -> None:
    """Lines of ns per parameter over the number of parameters."""
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name, points in report["lines"].items():
        sizes = [size for size, _ in points]
        axis.loglog(sizes, [seconds / size * 1e9 for size, seconds in points], marker="o", markersize=3, label=name)
    for label, size in report["caches"].items():
        axis.axvline(size / 12, color="#bbbbbb", linewidth=0.8)
        axis.text(size / 12, axis.get_ylim()[1], f" {label}", fontsize=7, rotation=90, va="top")
    axis.set_xlabel("float32 parameters in one tensor (grey: where p, g and m no longer fit in a cache)")
    axis.set_ylabel("ns per parameter")
    axis.legend(fontsize=8)
    axis.set_title(f"{report['processor']}; {report['threads']} threads, medians", fontsize=9)
    figure.savefig(path, metadata={"Date": None})


def draw_gpu(runs: Sequence[tuple[str, dict[str, Any]]], folder: Path) -> None:
    """Bars of microseconds per step for each titled run, one below the other: ``_static/gpu.svg`` in ``folder``."""
    heights = [0.24 * len(run["seconds"]) + 0.8 for _, run in runs]
    figure, axes = plt.subplots(
        len(runs), 1, figsize=(4.4, sum(heights)), layout="constrained", gridspec_kw={"height_ratios": heights}
    )
    for axis, (title, run) in zip(axes, runs, strict=True):
        medians = {name: statistics.median(times) * 1e6 for name, times in run["seconds"].items()}
        names = sorted(medians, key=medians.__getitem__, reverse=True)
        colours = [GPU_COLOURS.get(name.split()[0].rstrip(":"), "#6f9bc8") for name in names]
        bars = axis.barh(names, [medians[name] for name in names], color=colours)
        axis.bar_label(bars, fmt="%.0f", fontsize=7, padding=2)
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter("")
        axis.margins(x=0.2)
        axis.tick_params(labelsize=7)
        axis.set_title(title, fontsize=8)
        axis.set_xlabel("µs per step", fontsize=7)
    figure.savefig(folder / "_static" / "gpu.svg", metadata={"Date": None})
    plt.close(figure)
