"""What Lion's two averages remember: the claims and the figure of ``averages.md``.

python docs/mathematics/averages.py
"""

from __future__ import annotations

import numpy as np
from style import BLUE, GREEN, ORANGE, figure, save

__all__ = ["average_weights", "direction_weights", "unrolled"]


def average_weights(beta, lags):
    """The weight of the gradient of each lag in an exponential moving average, the newest first."""
    return [(1 - beta) * beta**lag for lag in range(lags)]


def direction_weights(beta1, beta2, lags):
    """The same in Lion's direction c."""
    return [1 - beta1] + [beta1 * weight for weight in average_weights(beta2, lags - 1)]


def unrolled(beta1, beta2, grads):
    """c and m after the last of ``grads`` by the rule itself, from m = 0."""
    momentum = direction = 0 * grads[0]
    for grad in grads:
        direction = beta1 * momentum + (1 - beta1) * grad
        momentum = beta2 * momentum + (1 - beta2) * grad
    return direction, momentum


def draw():
    """The weights over the last hundred gradients, and their sums."""
    fig, (above, below) = figure(2)
    lags = 120
    rows = (
        ("Lion's c (0.9, 0.99)", direction_weights(0.9, 0.99, lags), GREEN),
        ("average, β = 0.9", average_weights(0.9, lags), BLUE),
        ("average, β = 0.99", average_weights(0.99, lags), ORANGE),
    )
    for name, weights, colour in rows:
        above.plot(range(lags), weights, color=colour, label=name)
        below.plot(range(1, lags + 1), np.cumsum(weights), color=colour)
    above.set(title="weight of a gradient", xlabel="its age, in steps", yscale="log", ylim=(1e-4, 0.2))
    below.set(title="share held by the newest", xlabel="how many", ylim=(0, 1))
    above.legend(fontsize=8)
    save(fig, "averages")


if __name__ == "__main__":
    draw()
