"""Tiger's accumulation without a buffer, and what scaling by RMS does: the claims and the figure of ``tiger.md``.

python docs/mathematics/tiger.py
"""

from __future__ import annotations

import numpy as np
from style import BLUE, GREEN, GREY, figure, save

import signopt

__all__ = ["lion_equilibrium", "random_walk", "tiger_equilibrium", "windowed"]


def windowed(beta, momentum, grads):
    """The momentum after a window of micro-steps, by Tiger's formula."""
    k = len(grads)
    for t, grad in enumerate(grads):
        momentum = (beta if t % k == 0 else 1) * momentum + (1 - beta) / k * grad
    return momentum


def lion_equilibrium(lr, weight_decay):
    """RMS(p) where decay balances steps of random sign: R² = (1 − ηλ)²R² + η²."""
    kept = 1 - lr * weight_decay
    return lr / np.sqrt(1 - kept**2)


def tiger_equilibrium(lr, weight_decay):
    """The same where the rate is η·R: 1 = (1 − ηRλ)² + η²."""
    return (1 - np.sqrt(1 - lr**2)) / (lr * weight_decay)


def random_walk(rule, start, steps, lr, weight_decay, size=20_000, seed=0):
    """RMS(p) along a walk whose gradients have random signs."""
    rng = np.random.default_rng(seed)
    p = np.full(size, float(start)) * rng.choice([-1.0, 1.0], size)
    m, sizes = np.zeros(size), []
    options = {"betas": (0.0, 0.0)} if rule is signopt.lion else {"beta": 0.0}
    for _ in range(steps):
        sizes.append(float(np.sqrt(np.mean(p * p))))
        p, m = rule(p, rng.choice([-1.0, 1.0], size), m, lr=lr, weight_decay=weight_decay, **options)
    return np.array(sizes)


def draw():
    """Where a matrix of any initial size ends, under both rules."""
    fig, panels = figure(2)
    lr, decay = 0.05, 0.1
    for panel, rule, equilibrium, colour in zip(
        panels, (signopt.lion, signopt.tiger), (lion_equilibrium, tiger_equilibrium), (BLUE, GREEN), strict=True
    ):
        for start in (0.05, 0.2, 0.8):
            panel.plot(random_walk(rule, start, 2500, lr, decay, size=2000), color=colour, alpha=0.4 + start / 2)
        panel.axhline(equilibrium(lr, decay), color=GREY, linestyle="--")
        panel.set(title=rule.__name__.title(), xlabel="steps of random sign", yscale="log", ylim=(0.04, 1.0))
    panels[0].set_ylabel("RMS(θ)")
    save(fig, "tiger")


if __name__ == "__main__":
    draw()
