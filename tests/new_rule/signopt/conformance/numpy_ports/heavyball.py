"""The sign of a heavy-ball momentum as a NumPy port in pieces."""

from __future__ import annotations

from signopt.conformance.numpy_ports.base import Array, NumpyPort

__all__ = ["HeavyballPort"]


class HeavyballPort(NumpyPort):
    """The sign of β·m + g."""

    rule = "heavyball"

    def beta(self) -> float:
        """β of the momentum."""
        return float(self.hyper["beta"])

    def remember(self, m: Array, g: Array) -> Array:
        """The new momentum."""
        return m.dtype.type(self.beta()) * m + g

    def look(self, m: Array, g: Array, fresh: Array) -> Array:
        """What the sign is taken of: the new momentum."""
        return fresh

    def update(self, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        """One step of one tensor."""
        fresh = self.remember(m, g)
        s = self.sign(self.look(m, g, fresh))
        return self.move(p, s, self.lr(), self.decay(name, p, s)), fresh
