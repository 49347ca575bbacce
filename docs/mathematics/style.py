"""How the figures of these pages look: readable at the width of a phone, in colours for the colour-blind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

__all__ = ["BLUE", "GREEN", "GREY", "ORANGE", "RED", "figure", "save"]

BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#777777"
WIDTH = 4.4
"""Inches."""
STATIC = Path(__file__).parents[1] / "_static"


def figure(panels: int = 1, height: float = 2.9, **options: Any) -> tuple[Any, Any]:
    """A figure with panels one above the other, as wide as the text on a phone."""
    plt.rcParams.update({"font.size": 10, "svg.hashsalt": "signopt", "svg.fonttype": "path", "axes.grid": True})
    plt.rcParams.update({"grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False})
    return plt.subplots(panels, 1, figsize=(WIDTH, height * panels), layout="constrained", **options)


def save(fig: Any, name: str) -> None:
    """Write ``docs/_static/mathematics-NAME.svg``, the same bytes for the same figure."""
    fig.savefig(STATIC / f"mathematics-{name}.svg", metadata={"Date": None})
    plt.close(fig)
