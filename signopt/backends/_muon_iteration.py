"""Newton and Schulz' iteration in a workspace, with as few operations as the shape of the matrices allows.

A step is X ← P·X with P = a·I + b·A + c·A² and A = X·Xᵀ. For a wide X some steps are cheaper on the Gram matrix alone:
the second one's A is P·A·P, and X is multiplied once, by P₃·P₂·P₁. Then A is computed afresh, since errors of A are
errors of σ² and not of σ, and grow with a² a step: five steps on one Gram matrix are fifty times as wrong as steps on X
for matrices with one large singular value and many small ones; two and then three are as right.
A large X is never divided by its norm: A is, and so is the first factor.

Nothing here allocates an array once the objects are made, not even one of a single number: momenta are written by then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from signopt.backends._muon_products import Products, pitch
from signopt.backends._numpy_blocks import Floats
from signopt.rules.newton_schulz import Triple

__all__ = ["Iteration", "Numbers", "Room", "Single", "Stack", "to_spectral_part"]

WORTH_COMBINING = 1.5
"""The ratio of the sides from which steps on the Gram matrix cost less than steps on X."""

MOST_COMBINED = 3
"""Steps on one Gram matrix, whose errors would become visible after more of them."""

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


class Numbers:
    """Arrays of one number each, in place of those that NumPy would make of Python's numbers and for its results."""

    def __init__(self, compute: str) -> None:
        self._factor = np.zeros((), compute)
        self._found = np.zeros((), compute)
        self._exponent = np.zeros((), np.intc)

    def number(self, value: float) -> Floats:
        """``value``, until the next call."""
        self._factor[()] = value
        return self._factor

    def largest(self, x: Floats) -> float:
        """The largest absolute value of an array of at least one element; NaN if there is one."""
        above = float(np.maximum.reduce(x, axis=None, out=self._found))
        return max(above, -float(np.minimum.reduce(x, axis=None, out=self._found)))

    def product(self, x: Floats, y: Floats) -> float:
        """The sum of the products of the elements of two 1-D arrays."""
        return float(np.vecdot(x, y, out=self._found))

    def times_power_of_two(self, x: Floats, exponent: int) -> None:
        """Multiply ``x`` by 2^``exponent``, in place."""
        self._exponent[()] = exponent
        np.ldexp(x, self._exponent, x)


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
        side = min(shape)
        self._is_tall = shape[0] > shape[1]
        self._most = MOST_COMBINED if max(shape) >= WORTH_COMBINING * min(shape) else 1
        self._compute = compute
        self._products = products
        self._numbers = Numbers(compute)
        x, self._spare, *squares = room.cut(compute, shape, shape, *[(side, pitch(side, compute))] * 4)
        self.u = x[None]
        self._gram, *self._squares = (square[:, :side] for square in squares)
        self._diagonal, self._trace = np.empty(side), np.zeros(())

    @staticmethod
    def nbytes(shape: tuple[int, int], compute: str) -> int:
        """The room that it needs."""
        side = min(shape)
        return (2 * shape[0] * shape[1] + 4 * side * pitch(side, compute)) * np.dtype(compute).itemsize

    def run(self, triples: Sequence[Triple], eps: float) -> tuple[Floats, Floats]:
        x, spare = self.u[0], self._spare
        divisor = self._normalize(x, eps)
        for index, combined in enumerate(_parts(triples, self._most)):
            if index:
                self._products.gram(x, self._gram)
            factor = self._factor(*combined)
            if not index:
                np.multiply(factor, self._numbers.number(1.0 / divisor), factor)
            _multiply(x, factor, self._is_tall, spare)
            x, spare = spare, x
        return x[None], spare[None]

    def _normalize(self, x: Floats, eps: float) -> float:
        """‖U‖ + ε, with the Gram matrix left divided by its square."""
        squares = self._squared_norm(x)
        if not _is_safe(squares, self._compute):
            eps = rescale(x, eps, self._numbers)
            squares = self._squared_norm(x)
        divisor = math.sqrt(squares) + eps if squares >= 0.0 else math.nan
        divisor = divisor or 1.0
        np.multiply(self._gram, self._numbers.number(1.0 / divisor**2), self._gram)
        return divisor

    def _squared_norm(self, x: Floats) -> float:
        self._products.gram(x, self._gram)
        np.copyto(self._diagonal, _diagonal(self._gram))
        return float(np.add.reduce(self._diagonal, out=self._trace))

    def _factor(self, triple: Triple, *more: Triple) -> Floats:
        """The product of the P of all these steps. The Gram matrix is lost."""
        gram, latest, *free = self._gram, *self._squares
        self._polynomial(gram, triple, latest)
        whole = latest
        for triple in more:
            square = free.pop()
            self._products.gram(latest, square)
            following = free.pop() if latest is whole else latest
            self._products.product(gram, square, following)
            latest, previous = gram, whole
            self._polynomial(following, triple, latest)
            whole = square
            self._products.product(latest, previous, whole)
            gram = following
            free.append(previous)
        return whole

    def _polynomial(self, x: Floats, triple: Triple, out: Floats) -> None:
        a, b, c = triple
        self._products.quadratic(x, b, c, out)
        np.add(_diagonal(out), self._numbers.number(a), _diagonal(out))


class Stack:
    """The iteration for small matrices, all of them in every call of NumPy, which costs more than their arithmetic."""

    def __init__(self, count: int, shape: tuple[int, int], compute: str, room: Room) -> None:
        square = (count, *(min(shape),) * 2)
        self._is_tall = shape[0] > shape[1]
        self._compute = compute
        self.u, self._spare, self._gram, self._square = room.cut(compute, *[(count, *shape)] * 2, square, square)
        self._numbers = Numbers(compute)
        self._squares, self._divisors = np.empty(count, compute), np.empty(count, compute)

    @staticmethod
    def nbytes(count: int, shape: tuple[int, int], compute: str) -> int:
        """The room that it needs."""
        return 2 * count * (shape[0] * shape[1] + min(shape) ** 2) * np.dtype(compute).itemsize

    def run(self, triples: Sequence[Triple], eps: float) -> tuple[Floats, Floats]:
        x, spare, gram, square = self.u, self._spare, self._gram, self._square
        self._find_divisors(x, eps)
        np.divide(x, self._divisors[:, None, None], x)
        for a, b, c in triples:
            flipped = x.transpose(0, 2, 1)
            _multiply(flipped, x, self._is_tall, gram)
            np.matmul(gram, gram, out=square)
            np.multiply(gram, self._numbers.number(b), gram)
            np.multiply(square, self._numbers.number(c), square)
            np.add(gram, square, gram)
            _multiply(x, gram, self._is_tall, spare)
            np.multiply(x, self._numbers.number(a), x)
            np.add(x, spare, x)
        return x, spare

    def _find_divisors(self, x: Floats, eps: float) -> None:
        flat = x.reshape(len(x), -1)
        squares = np.vecdot(flat, flat, out=self._squares).tolist()
        for index, square in enumerate(squares):
            epsilon = eps
            if not _is_safe(square, self._compute):
                epsilon = rescale(x[index], eps, self._numbers)
                square = self._numbers.product(flat[index], flat[index])
            self._divisors[index] = math.sqrt(square) + epsilon or 1.0


def _parts(triples: Sequence[Triple], most: int) -> list[Sequence[Triple]]:
    """As few parts as there can be of at most ``most`` steps, the shorter ones first."""
    count = -(-len(triples) // most)
    bounds = [len(triples) * index // count for index in range(count + 1)] if count else []
    return [triples[start:stop] for start, stop in pairwise(bounds)]


def _multiply(x: Floats, y: Floats, from_the_right: bool, out: Floats) -> None:
    """X·Y or Y·X."""
    left, right = (x, y) if from_the_right else (y, x)
    np.matmul(left, right, out=out)


def _is_safe(squares: float, compute: str) -> bool:
    least, most = SAFE[compute]
    return least <= squares <= most


def _diagonal(square: Floats) -> Floats:
    """A view of it, into which can be written."""
    diagonal: Floats = np.einsum("ii->i", square)
    return diagonal


def rescale(x: Floats, eps: float, numbers: Numbers) -> float:
    """Multiply ``x`` by the power of two that brings it, or ``eps`` if that is larger, to about 1.

    Returns ``eps`` times that power. A matrix with an element that is not finite becomes NaN.
    """
    largest = numbers.largest(x)
    if not math.isfinite(largest):
        x.fill(np.nan)
        return eps
    exponent = -math.frexp(max(largest, eps))[1]
    numbers.times_power_of_two(x, exponent)
    return math.ldexp(eps, exponent)


def to_spectral_part(w: Floats, rounds: int, numbers: Numbers, room: Floats) -> None:
    """Put :func:`signopt.spectral_decay` of a matrix in its place; ``room`` is for as many elements as it has sides."""
    largest = numbers.largest(w)
    exponent = math.frexp(largest)[1] if math.isfinite(largest) else 0
    numbers.times_power_of_two(w, -exponent)
    x, y = room[: w.shape[1]], room[w.shape[1] : sum(w.shape)]
    x.fill(1.0)
    for _ in range(rounds):
        np.matmul(w, x, out=y)
        np.matmul(w.T, y, out=x)
        np.divide(x, numbers.number(numbers.largest(x) or 1.0), x)
    square = numbers.product(x, x)
    if not math.isfinite(largest):
        w.fill(np.nan)
    elif square == 0.0:
        w.fill(0.0)
    elif 1 not in w.shape:
        np.matmul(w, x, out=y)
        np.divide(y, numbers.number(square), y)
        np.multiply(y[:, None], x, w)
    numbers.times_power_of_two(w, exponent)
