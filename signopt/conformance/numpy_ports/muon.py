"""Muon as a NumPy port made of small pieces."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.base import Array, NumpyPort

__all__ = ["MuonPort", "Triple"]

Triple = tuple[float, float, float]


class MuonPort(NumpyPort):
    """Muon: momentum, orthogonalised by Newton–Schulz, in place of its sign."""

    rule = "muon"

    def start(self, name: str, param: Array) -> Array:
        """Zero; what is not a matrix or more is refused."""
        self.accept(name, param)
        return np.zeros_like(param)

    def accept(self, name: str, param: Array) -> None:
        """ValueError for a tensor with fewer than two axes."""
        if param.ndim < 2:
            raise ValueError(f"{name!r} is not a matrix: it has {param.ndim} axes")

    def beta(self) -> float:
        """β of the momentum."""
        return float(self.hyper["beta"])

    def nesterov(self) -> bool:
        """Whether the step looks ahead."""
        return bool(self.hyper["nesterov"])

    def steps(self) -> int:
        """How often the polynomial is applied."""
        return int(self.hyper["ns_steps"])

    def eps(self) -> float:
        """ε of the norm."""
        return float(self.hyper["eps"])

    def triples(self) -> list[Triple]:
        """The coefficients of each application."""
        given = self.hyper["ns_coefficients"]
        if np.ndim(given) == 1:
            return [tuple(given)] * self.steps()
        return [tuple(each) for each in given][: self.steps()]

    def remember(self, m: Array, g: Array) -> Array:
        """The new momentum."""
        return self.blend(m, g, self.beta())

    def look(self, m: Array, g: Array, fresh: Array) -> Array:
        """What is orthogonalised."""
        return self.blend(fresh, g, self.beta()) if self.nesterov() else fresh

    def matrix(self, x: Array) -> Array:
        """A tensor as a matrix: its first axis by all others."""
        return x.reshape(x.shape[0], -1)

    def iteration(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """The dtype of the iteration."""
        return dtype

    def norm(self, x: Array) -> Any:
        """The Frobenius norm."""
        return np.sqrt(np.sum(x * x))

    def divisor(self, x: Array) -> Any:
        """What the matrix is divided by."""
        return self.norm(x) + x.dtype.type(self.eps())

    def normalise(self, x: Array) -> Array:
        """The matrix with a norm of at most one; zero stays zero also without ε."""
        divisor = self.divisor(x)
        return x / divisor if divisor else x

    def flips(self, x: Array) -> bool:
        """Whether the iteration works on the transpose."""
        return bool(x.shape[0] > x.shape[1])

    def polynomial(self, x: Array, a: Any, b: Any, c: Any) -> Array:
        """a·X + (b·A + c·A²)·X."""
        gram = x @ x.T
        return a * x + (b * gram + c * (gram @ gram)) @ x

    def iterate(self, x: Array) -> Array:
        """Every application of the polynomial."""
        for triple in self.triples():
            x = self.polynomial(x, *(x.dtype.type(each) for each in triple))
        return x

    def orthogonalise(self, u: Array) -> Array:
        """X of a tensor, in its shape and dtype."""
        x = self.matrix(u).astype(self.iteration(u.dtype))
        flips = self.flips(x)
        x = self.iterate(self.normalise(x.T if flips else x))
        return self.unfolded(x.T if flips else x, u)

    def unfolded(self, x: Array, u: Array) -> Array:
        """The matrix as the tensor it was."""
        return x.reshape(u.shape).astype(u.dtype)

    def sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Rows and columns on which the scale depends."""
        return shape[0], int(np.prod(shape[1:]))

    def scale(self, shape: tuple[int, ...]) -> float:
        """The factor on X."""
        rows, columns = self.sides(shape)
        if self.hyper["adjust_lr_fn"] == "match_rms_adamw":
            return float(0.2 * max(rows, columns) ** 0.5)
        return float(max(1.0, rows / columns) ** 0.5)

    def update(self, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
        """One Muon step of one tensor."""
        fresh = self.remember(m, g)
        if not p.size:
            return p, fresh
        x = self.orthogonalise(self.look(m, g, fresh))
        s = p.dtype.type(self.scale(p.shape)) * x
        return self.move(p, s, self.lr(), self.decay(name, p, s)), fresh
