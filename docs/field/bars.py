"""The picture of the matrix: one bar per port, as long as its checks, coloured by what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.field.page import VERDICTS, verdict

__all__ = ["draw"]

_COLOURS = {"passed": "#3b8b5a", "not applicable": "#c9cfd4", "another rule, by choice": "#d9a441", "failed": "#c0392b"}


def _lengths(result: Mapping[str, Any]) -> dict[str, int]:
    counts = result["report"]["counts"]
    wrong = "another rule, by choice" if verdict(result) == "choice" else "failed"
    return {"passed": counts["passed"], "not applicable": counts["not_applicable"], wrong: counts["failed"]}


def draw(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the ports of today that ran, the failing ones at the foot, and write ``path`` as SVG."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "signopt"
    from matplotlib import pyplot

    ran = [each for each in results if "report" in each and not each["past"]]
    ran.sort(key=lambda each: (verdict(each) == "bug", verdict(each) == "choice", each["rule"], each["name"]))
    labels = [f"{each['rule']}  {each['name']}  {each['version']}" for each in ran]
    figure, axes = pyplot.subplots(figsize=(6.2, 1.2 + 0.24 * len(ran)), layout="constrained")
    left = [0] * len(ran)
    for status, colour in _COLOURS.items():
        widths = [_lengths(each).get(status, 0) for each in ran]
        axes.barh(labels, widths, left=left, color=colour, label=status, height=0.72)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, each in enumerate(ran):
        if verdict(each) != "pass":
            axes.annotate(
                VERDICTS[verdict(each)], (left[place], place), (4, 0), textcoords="offset points", va="center"
            )
    axes.invert_yaxis()
    axes.set_xlabel("checks, each counted once per dtype")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.3, y=0.01)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
