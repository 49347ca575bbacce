"""Lion as a NumPy port in pieces."""

from __future__ import annotations

from signopt.conformance.numpy_ports.base import Array, NumpyPort

__all__ = ["LionPort"]


class LionPort(NumpyPort):
    """Lion: the sign of a blend of the old momentum and the gradient."""

    rule = "lion"

    def betas(self) -> tuple[float, float]:
        """β1 of the sign, β2 of the momentum."""
        beta1, beta2 = self.hyper["betas"]
        return float(beta1), float(beta2)

    def look(self, m: Array, g: Array) -> Array:
        """What the sign is taken of."""
        return self.blend(m, g, self.betas()[0])

    def remember(self, m: Array, g: Array, c: Array) -> Array:
        """The new momentum."""
        return self.blend(m, g, self.betas()[1])

    def update(self, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        """One Lion step of one tensor."""
        c = self.look(m, g)
        s = self.sign(c)
        return self.move(p, s, self.lr(), self.decay(name, p, s)), self.remember(m, g, c)
