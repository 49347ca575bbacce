"""Tiger as a NumPy port in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.base import Array, NumpyPort

__all__ = ["TigerPort"]


class TigerPort(NumpyPort):
    """Tiger: Signum with accumulation without a buffer, rate and decay by role, a NaN rule and a schedule."""

    rule = "tiger"

    def beta(self) -> float:
        """β of the momentum."""
        return float(self.hyper["beta"])

    def window(self) -> int:
        """k, the micro-steps of one window."""
        return int(self.hyper["accumulation_steps"])

    def opens(self) -> bool:
        """Whether this micro-step is a window's first."""
        return self.t % self.window() == 0

    def closes(self) -> bool:
        """Whether this micro-step is a window's last, the one that moves the parameter."""
        return (self.t + 1) % self.window() == 0

    def role(self, name: str) -> str:
        """The role given, else the one that the name says."""
        return (self.hyper.get("roles") or {}).get(name) or self.role_of(name)

    def role_of(self, name: str) -> str:
        """The role that a name says, by the source's order of substrings."""
        if "gamma" in name:
            return "scale"
        if "bias" in name or "beta" in name:
            return "bias"
        return "embedding" if "embeddings" in name else "matrix"

    def centre(self, role: str) -> float:
        """Where a NaN pulls the parameter to."""
        return 1.0 if role == "scale" else 0.0

    def points(self) -> list[tuple[int, float]]:
        """The schedule's corners."""
        schedule = self.hyper.get("schedule") or {0: 1.0}
        corners = sorted((int(at), float(factor)) for at, factor in schedule.items())
        return corners if corners[0][0] == 0 else [(0, 0.0), *corners]

    def clock(self) -> int:
        """The step that the schedule counts."""
        return self.t

    def factor(self) -> float:
        """The schedule's factor now: linear between its corners, constant after the last."""
        at, factors = zip(*self.points(), strict=True)
        return float(np.interp(self.clock(), at, factors))

    def lr(self) -> float:
        """The learning rate of this micro-step."""
        return self.base_lr() * self.factor()

    def rms(self, p: Array, role: str) -> Any:
        """Root mean square of the tensor, or of each of its rows."""
        squares = np.square(p.astype(np.float64))
        axis = -1 if role == "embedding" and p.ndim else None
        return np.sqrt(np.mean(squares, axis=axis, keepdims=axis is not None)) if p.size else np.float64(0)

    def reach(self, p: Array, role: str) -> Any:
        """How far the parameter moves."""
        if role in ("bias", "scale"):
            return 0.5 * self.lr()
        return p.dtype.type(self.lr()) * self.rms(p, role).astype(p.dtype)

    def decays(self, name: str) -> float:
        """Biases and scales do not decay."""
        return 0.0 if self.role(name) in ("bias", "scale") else 1.0

    def has_nan(self, g: Array) -> Any:
        """Whether the NaN rule fires: any NaN in the tensor's gradient."""
        return bool(np.isnan(g).any())

    def shrunk(self, p: Array, role: str) -> Array:
        """(p − centre)·s + centre, in place of a step."""
        centre = p.dtype.type(self.centre(role))
        return (p - centre) * p.dtype.type(self.hyper["shrink"]) + centre

    def coefficients(self) -> tuple[float, float]:
        """b1 on the old momentum, b2 on the gradient."""
        return (self.beta() if self.opens() else 1.0), (1.0 - self.beta()) / self.window()

    def remember(self, m: Array, g: Array) -> Array:
        """The new momentum."""
        b1, b2 = self.coefficients()
        return m.dtype.type(b1) * m + m.dtype.type(b2) * g

    def look(self, m: Array, g: Array, fresh: Array) -> Array:
        """What the sign is taken of: the new momentum."""
        return fresh

    def update(self, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        """One Tiger micro-step of one tensor."""
        if self.has_nan(g):
            return self.shrunk(p, self.role(name)), m
        fresh = self.remember(m, g)
        if not self.closes():
            return p, fresh
        s = self.sign(self.look(m, g, fresh))
        return self.move(p, s, self.reach(p, self.role(name)), self.decay(name, p, s)), fresh
