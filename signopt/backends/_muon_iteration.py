"""Newton and Schulz' iteration in a workspace, with as few operations as the shape of the matrices allows.

A step is X ← P·X with P = a·I + b·A + c·A² and A = X·Xᵀ. For a wide X two steps are cheaper on the Gram matrix alone:
the second one's A is P·A·P, and X is multiplied once, by P₂·P₁. After two steps A is computed afresh, since errors of A
are errors of σ² and not of σ: without that, small singular values lose more than rounding X would cost them.
A large X is never divided by its norm: A is, and so is the first factor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from signopt.backends._muon_products import Products
from signopt.backends._numpy_blocks import Floats
from signopt.rules.newton_schulz import Triple

__all__ = ["Iteration", "Room", "Single", "Stack", "to_spectral_part"]

WORTH_PAIRING = 1.5
"""The ratio of the sides from which two steps on the Gram matrix cost less than two steps on X."""

SAFE = {"float32": (2.0**-60, 2.0**80), "float64": (2.0**-800, 2.0**800)}
"""By dtype: between these the squared norm, and what is made of it, neither overflows nor loses digits."""


class Room:
    """Memory that all matrices share, one after another."""

    def __init__(self, nbytes: int) -> None:
        self._bytes = np.empty(nbytes, np.uint8)

    def cut(self, compute: str, *shapes: tuple[int, ...]) -> list[Floats]:
        """C-contiguous arrays of these shapes, of which none overlaps another."""
        flat, views, start = self._bytes.view(compute), [], 0
        for shape in shapes:
            size = math.prod(shape)
            views.append(flat[start : start + size].reshape(shape))
            start += size
        return views


class Iteration(Protocol):
    """The iteration for some matrices of one shape."""

    u: Floats
    """Where the matrices are to be put: (count, rows, cols), C-contiguous."""

    def run(self, triples: Sequence[Triple], eps: float) -> tuple[Floats, Floats]:
        """X of each, and memory of the shape of ``u`` that is free then."""
        ...


class Single:
    """The iteration for one large matrix."""

    def __init__(self, shape: tuple[int, int], compute: str, products: Products, room: Room) -> None:
        square = (min(shape),) * 2
        self._is_tall = shape[0] > shape[1]
        self._stride = 2 if max(shape) >= WORTH_PAIRING * min(shape) else 1
        self._compute = compute
        self._products = products
        x, self._spare, *squares = room.cut(compute, shape, shape, *[square] * 4)
        self.u = x[None]
        self._gram, self._p, self._square, self._next = squares

    @staticmethod
    def nbytes(shape: tuple[int, int], compute: str) -> int:
        """The room that it needs."""
        return (2 * shape[0] * shape[1] + 4 * min(shape) ** 2) * np.dtype(compute).itemsize

    def run(self, triples: Sequence[Triple], eps: float) -> tuple[Floats, Floats]:
        x, spare = self.u[0], self._spare
        divisor = self._normalize(x, eps)
        for start in range(0, len(triples), self._stride):
            if start:
                self._products.gram(x, self._gram)
            factor = self._factor(*triples[start : start + self._stride])
            if not start:
                np.multiply(factor, 1.0 / divisor, factor)
            _multiply(x, factor, self._is_tall, spare)
            x, spare = spare, x
        return x[None], spare[None]

    def _normalize(self, x: Floats, eps: float) -> float:
        """‖U‖ + ε, with the Gram matrix left divided by its square."""
        squares = self._squared_norm(x)
        if not _is_safe(squares, self._compute):
            eps = rescale(x, eps)
            squares = self._squared_norm(x)
        divisor = math.sqrt(squares) + eps if squares >= 0.0 else math.nan
        divisor = divisor or 1.0
        np.multiply(self._gram, 1.0 / divisor**2, self._gram)
        return divisor

    def _squared_norm(self, x: Floats) -> float:
        self._products.gram(x, self._gram)
        return float(np.trace(self._gram, dtype=np.float64))

    def _factor(self, first: Triple, second: Triple | None = None) -> Floats:
        """P of one step, or P₂·P₁ of two. The Gram matrix is lost."""
        gram, p, square, following = self._gram, self._p, self._square, self._next
        self._polynomial(gram, first, p)
        if second is None:
            return p
        self._products.gram(p, square)
        self._products.product(gram, square, following)
        self._polynomial(following, second, gram)
        self._products.product(gram, p, square)
        return square

    def _polynomial(self, x: Floats, triple: Triple, out: Floats) -> None:
        a, b, c = triple
        self._products.quadratic(x, b, c, out)
        diagonal = out.reshape(-1)[:: len(out) + 1]
        np.add(diagonal, a, diagonal)


class Stack:
    """The iteration for small matrices, all of them in every call of NumPy, which costs more than their arithmetic."""

    def __init__(self, count: int, shape: tuple[int, int], compute: str, room: Room) -> None:
        square = (count, *(min(shape),) * 2)
        self._is_tall = shape[0] > shape[1]
        self._compute = compute
        self.u, self._spare, self._gram, self._square = room.cut(compute, *[(count, *shape)] * 2, square, square)

    @staticmethod
    def nbytes(count: int, shape: tuple[int, int], compute: str) -> int:
        """The room that it needs."""
        return 2 * count * (shape[0] * shape[1] + min(shape) ** 2) * np.dtype(compute).itemsize

    def run(self, triples: Sequence[Triple], eps: float) -> tuple[Floats, Floats]:
        x, spare, gram, square = self.u, self._spare, self._gram, self._square
        np.divide(x, self._divisors(x, eps)[:, None, None], x)
        for a, b, c in triples:
            flipped = x.transpose(0, 2, 1)
            _multiply(flipped, x, self._is_tall, gram)
            np.matmul(gram, gram, out=square)
            np.multiply(gram, b, gram)
            np.multiply(square, c, square)
            np.add(gram, square, gram)
            _multiply(x, gram, self._is_tall, spare)
            np.multiply(x, a, x)
            np.add(x, spare, x)
        return x, spare

    def _divisors(self, x: Floats, eps: float) -> Floats:
        flat = x.reshape(len(x), -1)
        squares = np.vecdot(flat, flat).astype(np.float64)
        epsilons = np.full(len(x), eps)
        for index, square in enumerate(squares.tolist()):
            if not _is_safe(square, self._compute):
                epsilons[index] = rescale(x[index], eps)
                squares[index] = np.vecdot(flat[index], flat[index])
        divisors = np.sqrt(squares) + epsilons
        divisors[divisors == 0.0] = 1.0
        return np.asarray(divisors, self._compute)


def _multiply(x: Floats, y: Floats, from_the_right: bool, out: Floats) -> None:
    """X·Y or Y·X."""
    left, right = (x, y) if from_the_right else (y, x)
    np.matmul(left, right, out=out)


def _is_safe(squares: float, compute: str) -> bool:
    least, most = SAFE[compute]
    return least <= squares <= most


def rescale(x: Floats, eps: float) -> float:
    """Multiply ``x`` by the power of two that brings it, or ``eps`` if that is larger, to about 1.

    Returns ``eps`` times that power. A matrix with an element that is not finite becomes NaN.
    """
    largest = max(float(x.max()), -float(x.min()))
    if not math.isfinite(largest):
        x.fill(np.nan)
        return eps
    exponent = -math.frexp(max(largest, eps))[1]
    np.ldexp(x, exponent, x)
    return math.ldexp(eps, exponent)


def to_spectral_part(w: Floats, rounds: int) -> None:
    """Put :func:`signopt.spectral_decay` of a matrix in its place."""
    largest = max(float(w.max()), -float(w.min()))
    exponent = math.frexp(largest)[1] if math.isfinite(largest) else 0
    np.ldexp(w, -exponent, w)
    x = np.ones(w.shape[1], w.dtype)
    for _ in range(rounds):
        x = w.T @ (w @ x)
        x /= np.abs(x).max() or 1.0
    square = x @ x
    if not math.isfinite(largest):
        w.fill(np.nan)
    elif square == 0.0:
        w.fill(0.0)
    elif 1 not in w.shape:
        np.multiply((w @ x)[:, None] / square, x, w)
    np.ldexp(w, exponent, w)
