"""Steepest descent in three norms: the claims and the figure of ``steepest_descent.md``.

python docs/mathematics/steepest_descent.py
"""

from __future__ import annotations

import numpy as np
from style import BLUE, GREEN, GREY, ORANGE, figure, save

import signopt

__all__ = ["euclidean", "nuclear_norm", "sign_step", "spectral_step"]


def sign_step(grad, lr):
    """The minimiser of <grad, d> over ‖d‖∞ ≤ lr."""
    return -lr * np.sign(grad)


def euclidean(grad, lr):
    """The minimiser of <grad, d> over ‖d‖₂ ≤ lr."""
    return -lr * grad / np.linalg.norm(grad)


def spectral_step(grad, lr):
    """The minimiser of <grad, D> over ‖D‖ ≤ lr, the largest singular value."""
    return -lr * signopt.msign(grad, method="svd")


def nuclear_norm(matrix):
    """The sum of the singular values."""
    return float(np.linalg.svd(matrix, compute_uv=False).sum())


def newton_schulz(sigma, steps=5):
    """What Muon's default iteration makes of a singular value."""
    a, b, c = 3.4445, -4.7750, 2.0315
    for _ in range(steps):
        sigma = a * sigma + b * sigma**3 + c * sigma**5
    return sigma


def draw():
    """Left: the steps in two dimensions. Right: what Muon's five iterations make of the singular values."""
    fig, (above, below) = figure(2)
    grad = np.array([1.0, 0.45])
    turn = np.linspace(0, 2 * np.pi, 200)
    above.plot(np.cos(turn), np.sin(turn), color=BLUE)
    above.plot([-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1], color=ORANGE)
    for step, colour, name in (
        (-grad / 2, GREY, "−g/2"),
        (euclidean(grad, 1.0), BLUE, "SGD, ‖d‖₂ ≤ η"),
        (sign_step(grad, 1.0), ORANGE, "sign, ‖d‖∞ ≤ η"),
    ):
        above.annotate("", step, (0, 0), arrowprops={"arrowstyle": "->", "color": colour, "lw": 2})
        above.plot([], [], color=colour, label=name)
    above.set(aspect="equal", title="the steepest step", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
    above.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    sigma = np.linspace(0, 1, 1000)
    below.plot(sigma, np.ones_like(sigma), color=ORANGE, label="U·Vᵀ")
    below.plot(sigma, newton_schulz(sigma), color=GREEN, label="Newton–Schulz, 5 steps")
    below.set(title="singular values", xlabel="before, relative to ‖G‖", ylabel="after", ylim=(0, 1.4))
    below.legend(fontsize=8, loc="lower right")
    save(fig, "steepest-descent")


if __name__ == "__main__":
    draw()
