"""The average loss of SGD and of the sign rules: the claims and the figure of ``sgd-bounds.md``.

    python docs/mathematics/sgd_bounds.py

Everything here is in exact fractions: losses |θ − a|, or g·θ on an interval, have gradients that are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from style import BLUE, GREEN, GREY, ORANGE, figure, save

__all__ = ["Absolute", "Linear", "constant_bound", "decreasing_bound", "regret", "run", "sign", "signed_average"]


@dataclass(frozen=True)
class Absolute:
    """L(θ) = |θ − a|."""

    a: Fraction

    def loss(self, theta):
        return abs(theta - self.a)

    def gradient(self, theta):
        return sign(theta - self.a)


@dataclass(frozen=True)
class Linear:
    """L(θ) = g·θ."""

    g: Fraction

    def loss(self, theta):
        return self.g * theta

    def gradient(self, theta):
        return self.g


def sign(x):
    """−1, 0 or 1, as a fraction."""
    return Fraction((x > 0) - (x < 0))


def run(losses, rates, direction: Callable[[Fraction], Fraction], start=Fraction(0), within=None):
    """θ_t before each loss; ``direction`` maps a gradient to a step, ``within`` is an interval to project to."""
    theta, points = Fraction(start), []
    for loss, rate in zip(losses, rates, strict=False):
        points.append(theta)
        theta -= rate * direction(loss.gradient(theta))
        if within is not None:
            theta = min(max(theta, within[0]), within[1])
    return points


def signed_average(beta: Fraction) -> Callable[[Fraction], Fraction]:
    """Signum's direction: the sign of an average of the gradients so far."""
    momentum = Fraction(0)

    def direction(gradient: Fraction) -> Fraction:
        nonlocal momentum
        momentum = beta * momentum + (1 - beta) * gradient
        return sign(momentum)

    return direction


def regret(losses, points, against) -> list[Fraction]:
    """The mean over the first T losses of L(θ_t) − L(against), for T = 1, 2, ..."""
    total, means = Fraction(0), []
    for t, (loss, theta) in enumerate(zip(losses, points, strict=True), 1):
        total += loss.loss(theta) - loss.loss(Fraction(against))
        means.append(total / t)
    return means


def constant_bound(distance, rate, gradient, steps) -> Fraction:
    """distance²/(2ηT) + ηG²/2."""
    return Fraction(distance) ** 2 / (2 * rate * steps) + rate * Fraction(gradient) ** 2 / 2


def decreasing_bound(diameter, rates: Iterable[Fraction], gradient) -> Fraction:
    """D²/(2Tη_T) + G²/(2T)·Σ η_t, for rates that never rise."""
    rates = list(rates)
    steps = len(rates)
    return Fraction(diameter) ** 2 / (2 * steps * rates[-1]) + Fraction(gradient) ** 2 * sum(rates) / (2 * steps)


def draw():
    """Left: SGD under its bounds. Right: gradients −1, −1, 3 in turn, which sign descent gets wrong."""
    fig, (above, below) = figure(2)
    steps, rate = 300, Fraction(1, 20)
    rng = np.random.default_rng(0)
    losses = [Absolute(Fraction(int(a), 16)) for a in rng.integers(-16, 17, steps)]
    horizon = range(1, steps + 1)
    points = run(losses, [rate] * steps, lambda g: g, start=Fraction(3))
    above.plot(horizon, [float(x) for x in regret(losses, points, 0)], color=BLUE, label="SGD on |θ − a|")
    above.plot(horizon, [float(constant_bound(3, rate, 1, t)) for t in horizon], "--", color=GREY, label="bound")
    above.set(title="constant rate", xlabel="steps", ylabel="mean excess loss", yscale="log", ylim=(1e-2, 20))
    turns = [Linear(Fraction((-1, -1, 3)[t % 3])) for t in range(steps)]
    rows = (
        ("SGD", lambda g: g, BLUE),
        ("sign", sign, ORANGE),
        ("Signum, β = 0.9", signed_average(Fraction(9, 10)), GREEN),
    )
    for name, direction, colour in rows:
        points = run(turns, [rate] * steps, direction, within=(-1, 1))
        below.plot(horizon, [float(x) for x in regret(turns, points, -1)], color=colour, label=name)
    below.set(title="gradients −1, −1, 3", xlabel="steps")
    for panel in (above, below):
        panel.legend(fontsize=8)
    save(fig, "sgd-bounds")


if __name__ == "__main__":
    draw()
