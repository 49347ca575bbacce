"""Gradient flow and the sign flow beside their discrete steps: the claims and the figure of ``gradient-flow.md``.

python docs/mathematics/gradient_flow.py
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from style import BLUE, GREEN, GREY, ORANGE, figure, save

__all__ = ["HESSIAN", "START", "descend", "exact_flow", "flow", "sign_descend", "sign_flow"]

HESSIAN = np.array([[2.0, 1.0], [1.0, 3.0]])
START = np.array([2.0, -0.25])
"""f(x) = ½ xᵀHx, minimal at 0."""


def gradient(x):
    """H·x."""
    return HESSIAN @ x


def exact_flow(times):
    """x(t) = exp(−tH)·x₀, the solution of ẋ = −∇f."""
    return np.array([expm(-t * HESSIAN) @ START for t in times])


def flow(times):
    """The same by scipy's integrator, which knows nothing of the exponential."""
    solved = solve_ivp(lambda _, x: -gradient(x), (0, times[-1]), START, t_eval=times, rtol=1e-10, atol=1e-12)
    return solved.y.T


def descend(lr, time):
    """Gradient descent with rate ``lr`` up to a time that is a multiple of it: points at 0, lr, 2·lr, ..."""
    points = [START]
    for _ in range(round(time / lr)):
        points.append(points[-1] - lr * gradient(points[-1]))
    return np.array(points)


def sign_descend(lr, time):
    """The same with the sign of the gradient."""
    points = [START]
    for _ in range(round(time / lr)):
        points.append(points[-1] - lr * np.sign(gradient(points[-1])))
    return np.array(points)


def sign_flow(time):
    """The solution of ẋ = −sign(∇f) in the sense of Filippov, for START: straight, then sliding, then at rest.

    Every coordinate moves at speed 1 until a component of the gradient vanishes, here the second. From there on x
    slides along (∇f)₂ = 0: x₁ goes on at speed 1 and x₂ = −x₁·H₂₁/H₂₂ follows, more slowly, which is why it can.
    """
    g = gradient(START)
    signs = np.sign(g)
    meeting = g[1] / (HESSIAN[1] @ signs)
    if time <= meeting:
        return START - time * signs
    met = START - meeting * signs
    x1 = np.sign(met[0]) * max(abs(met[0]) - (time - meeting), 0.0)
    return np.array([x1, -x1 * HESSIAN[1, 0] / HESSIAN[1, 1]])


def draw():
    """Left: descent and its flow. Right: sign descent, which chatters, and the flow, which slides."""
    fig, panels = figure(2)
    side = np.linspace(-0.7, 2.3, 100), np.linspace(-1.3, 0.7, 100)
    x, y = np.meshgrid(*side)
    levels = (HESSIAN[0, 0] * x * x + 2 * HESSIAN[0, 1] * x * y + HESSIAN[1, 1] * y * y) / 2
    for panel in panels:
        panel.contour(x, y, levels, 8, colors=GREY, linewidths=0.5)
        panel.set(xlabel="θ₁")
    panels[0].set(title="gradient", ylabel="θ₂")
    panels[1].set(title="sign of the gradient")
    panels[0].plot(*flow(np.linspace(0, 3, 200)).T, color=BLUE, lw=2, label="flow")
    panels[0].plot(*descend(0.25, 3).T, "o-", color=ORANGE, ms=3, lw=1, label="steps, η = 0.25")
    panels[1].plot(*np.array([sign_flow(t) for t in np.linspace(0, 2.5, 200)]).T, color=GREEN, lw=2, label="flow")
    panels[1].plot(*sign_descend(0.15, 2.4).T, "o-", color=ORANGE, ms=3, lw=1, label="steps, η = 0.15")
    for panel in panels:
        panel.legend(fontsize=8)
    save(fig, "gradient-flow")


if __name__ == "__main__":
    draw()
