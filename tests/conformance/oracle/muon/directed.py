"""Legal evaluations of a Newton–Schulz iteration in which every operation is wrong by as much as it may be.

Each operation is multiplied by (1 + δ) with |δ| ≤ u, in float64, and automatic differentiation says which sign of each
δ moves the result furthest in a given direction; the direction is then that of the error found, a few times over.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Tensor = torch.Tensor


class Directed:
    """Arithmetic whose roundings are chosen: zeros at first, then plus or minus ``unit`` as a gradient says.

    ``inner`` is the unit within a product of matrices; ``unit`` that of everything that is stored.
    """

    def __init__(self, unit: float, inner: float) -> None:
        self.unit, self.inner = unit, inner
        self.chosen: list[Tensor] = []
        self.given: list[Tensor] | None = None
        self.at = 0

    def rounded(self, x: Tensor, *, inner: bool = False) -> Tensor:
        """``x`` with one rounding."""
        if self.given is None:
            delta = torch.zeros_like(x, requires_grad=True)
            self.chosen.append(delta)
        else:
            delta = self.given[self.at]
            self.at += 1
        return x * (1 + delta * (self.inner if inner else self.unit))

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        return self.rounded(x * y)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return self.rounded(x + y)

    def number(self, value: float) -> Tensor:
        """A coefficient, rounded."""
        return self.rounded(torch.tensor(value, dtype=torch.float64))

    def dot(self, x: Tensor, y: Tensor, onto: Tensor | None = None) -> Tensor:
        """onto + x·y, each product and each partial sum rounded, then stored."""
        total = onto
        for k in range(x.shape[1]):
            product = self.rounded(x[:, k : k + 1] * y[k : k + 1, :], inner=True)
            total = product if total is None else self.rounded(total + product, inner=True)
        assert total is not None
        return total if self.unit == self.inner else self.rounded(total)

    def squares(self, x: Tensor) -> Tensor:
        """The sum of all squares, one after the other."""
        total = None
        for each in x.reshape(-1):
            square = self.rounded(each * each, inner=True)
            total = square if total is None else self.rounded(total + square, inner=True)
        assert total is not None
        return total


def plain_norm(d: Directed, x: Tensor) -> Tensor:
    return d.rounded(torch.sqrt(d.squares(x)))


def scaled_norm(d: Directed, x: Tensor) -> Tensor:
    top = x.abs().max().detach()
    return d.mul(d.rounded(torch.sqrt(d.squares(d.mul(x, d.rounded(1 / top))))), top)


def root_mean_norm(d: Directed, x: Tensor) -> Tensor:
    mean = d.mul(d.squares(x), d.number(1 / x.numel()))
    return d.mul(d.rounded(torch.sqrt(mean)), d.number(float(x.numel()) ** 0.5))


def polynomial(d: Directed, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a·X + (b·A + (c·A)·A)·X."""
    gram = d.dot(x, x.T)
    return d.add(d.mul(a, x), d.dot(d.add(d.mul(b, gram), d.dot(d.mul(c, gram), gram)), x))


def polynomial_right(d: Directed, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a·X + X·(b·A + c·(A·A)), A = XᵀX."""
    gram = d.dot(x.T, x)
    return d.add(d.mul(a, x), d.dot(x, d.add(d.mul(b, gram), d.mul(c, d.dot(gram, gram)))))


def horner(d: Directed, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """(a·I + (b·I + c·A)·A)·X."""
    gram, one = d.dot(x, x.T), torch.eye(x.shape[0], dtype=torch.float64)
    return d.dot(d.add(a * one, d.dot(d.add(b * one, d.mul(c, gram)), gram)), x)


def chained(d: Directed, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Each product accumulated onto the term before, as addmm does."""
    gram = d.dot(x, x.T)
    inner = d.dot(d.mul(c, gram), gram, onto=d.mul(b, gram))
    return d.dot(inner, x, onto=d.mul(a, x))


def chained_monomials(d: Directed, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a·X, onto which b·A·X and then c·A·(A·X) are accumulated."""
    gram = d.dot(x, x.T)
    cube = d.dot(gram, x)
    return d.dot(d.mul(c, gram), cube, onto=d.dot(d.mul(b, gram), x, onto=d.mul(a, x)))


def monomials(d: Directed, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a·X + b·(A·X) + c·(A·(A·X))."""
    gram = d.dot(x, x.T)
    cube = d.dot(gram, x)
    return d.add(d.add(d.mul(a, x), d.mul(b, cube)), d.mul(c, d.dot(gram, cube)))


NORMS = (plain_norm, scaled_norm, root_mean_norm)
ORDERS = (polynomial, polynomial_right, horner, chained, chained_monomials, monomials)
Order = Callable[..., Tensor]


def evaluate(d: Directed, u: Tensor, steps: list[tuple[float, float, float]], eps: float, norm: Order, order: Order):
    """One evaluation, with the roundings that ``d`` has been given."""
    d.at = 0
    if d.unit != d.inner:
        u = d.rounded(u)
    divisor = d.add(norm(d, u), d.number(eps))
    x = d.mul(u, d.rounded(1 / divisor))
    for a, b, c in steps:
        x = order(d, x, d.number(a), d.number(b), d.number(c))
    return x


def worst(
    u: Tensor, exact: Tensor, steps: list[tuple[float, float, float]], eps: float, norm: Order, order: Order,
    unit: float, inner: float, rounds: int = 4, seed: int = 0,
) -> float:  # fmt: skip
    """The largest distance from ``exact``, in Frobenius norm, that the attack finds."""
    direction = torch.randn(exact.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    furthest, given = 0.0, None
    for _ in range(rounds):
        d = Directed(unit, inner)
        if given is not None:
            d.chosen = [delta.clone().requires_grad_() for delta in given]
            d.given = d.chosen
        x = evaluate(d, u, steps, eps, norm, order)
        gradients = torch.autograd.grad((direction * x).sum(), d.chosen, allow_unused=True)
        given = [torch.zeros(()) if g is None else torch.where(g >= 0, 1.0, -1.0).double() for g in gradients]
        d.given = given
        with torch.no_grad():
            away = evaluate(d, u, steps, eps, norm, order) - exact
        furthest = max(furthest, float(away.norm()))
        direction = away / away.norm()
    return furthest
