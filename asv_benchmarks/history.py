"""What a noisy machine cannot spoil, over the commits of a branch: ``python asv_benchmarks/history.py --commits 24``.

Checks out commits that changed the package, evenly over its history, lets asv run today's benchmarks on each, and draws
docs/_static/history.svg from asv's results. ``asv publish`` in this folder then makes asv's own pages of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "signopt"

from matplotlib import pyplot as plt  # noqa: E402

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
OUT = ROOT / "docs" / "_static" / "history"
BENCHMARKS = {
    "exact.track_scratch_bytes": "scratch of a step, KiB",
    "exact.track_momentum_ulps": "momentum after 20 steps, ulps off",
    "exact.track_state_bytes_per_parameter": "state, bytes a parameter",
}
CHEAP = r"^exact\.track_(scratch_bytes|momentum_ulps|state_bytes_per_parameter)\(.*'(numpy|float32)'"
COLOURS = {"lion": "#c8781e", "signum": "#3f7fbf", "tiger": "#2e9e6b"}


def main() -> None:
    """Measure what is asked for, and draw all that has been measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=24, help="how many (default 24); 0 only draws")
    options = parser.parse_args()
    commits = evenly(git("log", "--reverse", "--format=%H", "--", "signopt").split(), options.commits)
    measure(commits)
    if commits:
        OUT.with_suffix(".json").write_text(json.dumps(collected(commits), indent=1) + "\n")
    draw(json.loads(OUT.with_suffix(".json").read_text()))


def evenly(commits: list[str], number: int) -> list[str]:
    """So many of them, the newest among them."""
    return [commits[-1 - place * len(commits) // number] for place in reversed(range(number))]


def git(*arguments: str, folder: Path = ROOT) -> str:
    """What git prints."""
    return subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True).stdout


def measure(commits: list[str]) -> None:
    """Let asv run today's benchmarks on the package as each commit has it."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "signopt"
        git("clone", "--quiet", "--shared", str(ROOT), str(clone))
        for commit in commits:
            git("checkout", "--quiet", commit, folder=clone)
            print(commit[:8], asv_run(commit, clone), flush=True)


def asv_run(commit: str, clone: Path) -> str:
    """Run the cheap benchmarks once on the package in ``clone``, and say how that went."""
    command = [sys.executable, "-m", "asv", "run", "--quick", "--python=same", "--set-commit-hash", commit]
    environment = os.environ | {"ASV_PYTHONPATH": str(clone), "PYTHONPATH": str(clone)}
    done = subprocess.run([*command, "--bench", CHEAP], cwd=FOLDER, env=environment, capture_output=True, text=True)
    return "measured" if done.returncode == 0 else f"not measured: {(done.stdout + done.stderr)[-300:]}"


def collected(commits: list[str]) -> list[dict[str, Any]]:
    """The values that asv has stored, by commit, benchmark and rule."""
    rows = []
    for commit in commits:
        (path,) = [*FOLDER.glob(f"results/*/{commit[:8]}-*.json")][:1] or [None]
        results = json.loads(path.read_text())["results"] if path else {}
        values = {name: by_rule(results[name]) for name in BENCHMARKS if name in results}
        rows.append({"commit": commit[:8], "date": git("log", "-1", "--format=%cs", commit).strip(), "values": values})
    return rows


def by_rule(result: list[Any]) -> dict[str, float | None]:
    """Of asv's flat list of values, those of NumPy and float32."""
    values, parameters = result[0] or [], result[1]
    combinations = itertools.product(*parameters)
    return {rule[1:-1]: value for (rule, second), value in zip(combinations, values, strict=False) if second in WANTED}


WANTED = ("'numpy'", "'float32'")


def draw(rows: list[dict[str, Any]]) -> None:
    """One panel under the other for each benchmark, a line for each rule."""
    figure, axes = plt.subplots(len(BENCHMARKS), 1, figsize=(6, 6.5), sharex=True, layout="constrained")
    for axis, (name, title) in zip(axes, BENCHMARKS.items(), strict=True):
        for rule, colour in COLOURS.items():
            values = [row["values"].get(name, {}).get(rule) for row in rows]
            scale = 1024 if "bytes" in name and "parameter" not in name else 1
            shown = [float("nan") if value is None else value / scale for value in values]
            axis.plot(range(len(rows)), shown, marker="o", markersize=4, color=colour, label=rule)
        axis.set_title(title, loc="left", fontsize=11)
        axis.set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    axes[-1].set_xticks(range(len(rows)), [row["commit"][:7] for row in rows], rotation=90, fontsize=8)
    figure.savefig(OUT.with_suffix(".svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
