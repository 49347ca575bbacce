"""Wrong polynomials, coefficients, numbers of applications and precisions of Muon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array
from signopt.conformance.numpy_ports.muon import MuonPort, Triple
from signopt.conformance.numpy_ports.variant import Row

__all__ = ["ITERATION", "ITERATION_DOUBLE", "gram_by"]

JORDAN = (3.4445, -4.7750, 2.0315)
QUINTIC = ((4.0848, -6.8946, 2.9270), (3.9505, -6.3029, 2.6377), (3.7418, -5.5913, 2.3037), (2.8769, -3.1427, 1.2046),
           (2.8366, -3.0525, 1.2012))  # fmt: skip
POLAR_EXPRESS = ((8.1566, -22.4833, 15.8788), (4.0429, -2.8089, 0.5000), (3.8917, -2.7725, 0.5061),
                 (3.2858, -2.3681, 0.4645), (2.3465, -1.7098, 0.4232))  # fmt: skip


def _with(change: Callable[[float, float, float], Triple]) -> dict[str, Any]:
    """Other coefficients at every application."""
    return {"triples": lambda self: [change(*each) for each in MuonPort.triples(self)]}


def _at(change: Callable[[int, Triple], Triple]) -> dict[str, Any]:
    """Other coefficients by the number of the application."""
    return {"triples": lambda self: [change(i, each) for i, each in enumerate(MuonPort.triples(self))]}


def _count(change: Callable[[int], int]) -> dict[str, Any]:
    return {"steps": lambda self: change(int(self.hyper["ns_steps"]))}


def _step(function: Callable[[Array, Any, Any, Any], Array]) -> dict[str, Any]:
    return {"polynomial": lambda self, x, a, b, c: function(x, a, b, c)}


def _given_list(change: Callable[[list[Any], int], list[Any]]) -> dict[str, Any]:
    """Another reading of a list of triples."""

    def triples(self: MuonPort) -> list[Triple]:
        given = self.hyper["ns_coefficients"]
        return MuonPort.triples(self) if np.ndim(given) == 1 else change(list(given), self.steps())

    return {"triples": triples}


def gram_by(product: Callable[[Array], Array]) -> dict[str, Any]:
    """Another X·Xᵀ, such as one in tiles with something wrong at their edges."""

    def polynomial(self: MuonPort, x: Array, a: Any, b: Any, c: Any) -> Array:
        gram = product(x)
        return a * x + (b * gram + c * (gram @ gram)) @ x

    return {"polynomial": polynomial}


def _mirrored_in_blocks(width: int) -> Callable[[Array], Array]:
    """Only the upper triangle computed and mirrored, but not beyond the first ``width`` rows."""

    def product(x: Array) -> Array:
        gram = np.triu(x @ x.T)
        lower = np.triu(gram, 1).T.copy()
        lower[width:] = 0
        return gram + lower

    return product


def _inner_cut(width: int) -> Callable[[Array], Array]:
    """Columns after the last whole block of ``width`` left out of the sums, in matrices wider than one block."""

    def product(x: Array) -> Array:
        whole = x.shape[1] - x.shape[1] % width if x.shape[1] > width else x.shape[1]
        return x[:, :whole] @ x[:, :whole].T

    return product


def _early_stop(self: MuonPort, x: Array) -> Array:
    for triple in self.triples():
        short = x if x.shape[0] <= x.shape[1] else x.T
        if np.linalg.norm(short @ short.T - np.eye(short.shape[0])) < 0.5:
            break
        x = self.polynomial(x, *(x.dtype.type(each) for each in triple))
    return x


def _exact(self: MuonPort, x: Array) -> Array:
    if not np.isfinite(x).all() or not x.any():
        return x
    left, _, right = np.linalg.svd(x, full_matrices=False)
    return np.asarray(left @ right)


def _transposed_product(self: MuonPort, x: Array) -> Array:
    if not np.isfinite(x).all() or not x.any():
        return x
    left, _, right = np.linalg.svd(x, full_matrices=False)
    return np.asarray(left @ right.T) if x.shape[0] == x.shape[1] else np.asarray(left @ right)


def _after(change: Callable[[Array], Array]) -> dict[str, Any]:
    """X changed after the iteration."""
    return {"iterate": lambda self, x: change(MuonPort.iterate(self, x))}


def _cast(cast: Callable[[Array], Array]) -> dict[str, Any]:
    """Every iterate rounded to fewer bits."""
    return {
        "normalise": lambda self, x: cast(MuonPort.normalise(self, x)),
        "polynomial": lambda self, x, a, b, c: cast(MuonPort.polynomial(self, x, a, b, c)),
    }


def _unit(x: Array) -> Array:
    norm = np.linalg.norm(x)
    return np.asarray(x / norm if norm else x).astype(x.dtype)


def _clipped_norm(x: Array) -> Array:
    return _unit(x) if np.linalg.norm(x) > 1 else x


def _rows_normalised(x: Array) -> Array:
    norms = np.sqrt(np.mean(x * x, axis=1, keepdims=True))
    return np.asarray(x / np.where(norms == 0, 1, norms)).astype(x.dtype)


ITERATION: list[Row] = [
    ("coefficients-default", "the default coefficients whatever is given", _with(lambda a, b, c: JORDAN)),
    ("coefficients-quintic", "the five triples of \"quintic\" (dion, heavyball) whatever is given", _at(
        lambda i, each: QUINTIC[min(i, 4)])),
    ("coefficients-polar-express", "Polar Express whatever is given", _at(lambda i, each: POLAR_EXPRESS[min(i, 4)])),
    ("coefficients-cubic", "(1.5, −0.5, 0) whatever is given", _with(lambda a, b, c: (1.5, -0.5, 0.0))),
    ("coefficient-a-digits", "a = 3.445 for 3.4445", _with(lambda a, b, c: (round(a, 3), b, c))),
    ("coefficient-b-digits", "b = −4.78 for −4.775", _with(lambda a, b, c: (a, round(b * 1.0001, 2), c))),
    ("coefficient-c-digits", "c = 2.03 for 2.0315", _with(lambda a, b, c: (a, b, round(c * 0.9998, 2)))),
    ("coefficients-decimals", "the coefficients rounded to four decimals", _with(
        lambda a, b, c: (round(a, 4), round(b, 4), round(c, 4)))),
    ("coefficients-float16", "the coefficients held in float16", _with(
        lambda a, b, c: (float(np.float16(a)), float(np.float16(b)), float(np.float16(c))))),
    ("coefficient-a-missing", "a dropped", _with(lambda a, b, c: (0.0, b, c))),
    ("coefficient-b-missing", "b dropped", _with(lambda a, b, c: (a, 0.0, c))),
    ("coefficient-c-missing", "c dropped", _with(lambda a, b, c: (a, b, 0.0))),
    ("coefficient-b-sign", "the sign of b turned", _with(lambda a, b, c: (a, -b, c))),
    ("coefficient-c-sign", "the sign of c turned", _with(lambda a, b, c: (a, b, -c))),
    ("coefficients-swapped", "b and c exchanged", _with(lambda a, b, c: (a, c, b))),
    ("coefficients-drift", "the coefficients shrink from the eighth application on", _at(
        lambda i, each: each if i < 7 else (each[0] * 0.99, each[1], each[2]))),
    ("coefficients-last-other", "another polynomial at the last application", {
        "triples": lambda self: [*MuonPort.triples(self)[:-1], *[(1.5, -0.5, 0.0)] * bool(MuonPort.triples(self))]}),
    ("list-first", "the first triple of a list at every application", _given_list(lambda given, n: [given[0]] * n)),
    ("list-last", "the last triple of a list at every application", _given_list(lambda given, n: [given[-1]] * n)),
    ("list-whole", "all triples of a list, whatever the number of steps", _given_list(lambda given, n: given)),
    ("list-reversed", "a list of triples from its end", _given_list(lambda given, n: given[::-1][:n])),
    ("list-tail", "the last triples of a list", _given_list(lambda given, n: given[-n:] if n else [])),
    ("list-shifted", "a list of triples from the second on", _given_list(lambda given, n: [*given[1:], given[0]][:n])),
    ("list-mean", "the mean of a list of triples at every application", _given_list(
        lambda given, n: [tuple(np.mean(np.asarray(given), axis=0))] * n)),
    ("steps-default", "five applications whatever is asked", _count(lambda n: 5)),
    ("steps-one-more", "one application too many", _count(lambda n: n + 1)),
    ("steps-one-fewer", "one application too few", _count(lambda n: n - 1)),
    ("steps-capped", "at most ten applications", _count(lambda n: min(n, 10))),
    ("steps-capped-early", "at most six applications", _count(lambda n: min(n, 6))),
    ("steps-at-least-five", "at least five applications", _count(lambda n: max(n, 5))),
    ("steps-even", "an odd number of applications made even", _count(lambda n: n + n % 2 if n > 1 else n)),
    ("steps-falsy", "0 applications replaced by 5", _count(lambda n: n or 5)),
    ("steps-first-only", "one application after the first step of the optimizer", {
        "steps": lambda self: int(self.hyper["ns_steps"]) if self.t < 9 else 1}),
    ("steps-early-stop", "the iteration ends once X is nearly orthogonal", {"iterate": _early_stop}),
    ("gram-other-side", "XᵀX on the left of square matrices", _step(
        lambda x, a, b, c: (
            a * x + (b * (x.T @ x) + c * (x.T @ x @ x.T @ x)) @ x if x.shape[0] == x.shape[1]
            else a * x + (b * (x @ x.T) + c * (x @ x.T @ x @ x.T)) @ x))),
    ("gram-on-the-right", "X·(X·Xᵀ) for square matrices", _step(
        lambda x, a, b, c: (
            a * x + x @ (b * (x @ x.T) + c * (x @ x.T @ x @ x.T)) if x.shape[0] == x.shape[1]
            else a * x + (b * (x @ x.T) + c * (x @ x.T @ x @ x.T)) @ x))),
    ("gram-untransposed", "X·X for X·Xᵀ where X is square", _step(
        lambda x, a, b, c: a * x + (lambda gram: (b * gram + c * (gram @ gram)) @ x)(
            x @ x if x.shape[0] == x.shape[1] else x @ x.T))),
    ("gram-elementwise", "A·A element by element", _step(
        lambda x, a, b, c: a * x + (b * (x @ x.T) + c * (x @ x.T) ** 2) @ x)),
    ("gram-once", "A for A²", _step(lambda x, a, b, c: a * x + (b * (x @ x.T) + c * (x @ x.T)) @ x)),
    ("gram-cubed", "A³ for A²", _step(
        lambda x, a, b, c: a * x + (b * (x @ x.T) + c * (x @ x.T @ x @ x.T @ x @ x.T)) @ x)),
    ("gram-shifted", "1e-4 added to the diagonal of A", _step(
        lambda x, a, b, c: a * x + (lambda gram: (b * gram + c * (gram @ gram)) @ x)(
            x @ x.T + x.dtype.type(1e-4) * np.eye(x.shape[0], dtype=x.dtype)))),
    ("gram-diagonal", "only the diagonal of A", _step(
        lambda x, a, b, c: a * x + (lambda gram: (b * gram + c * (gram @ gram)) @ x)(np.diag(np.diag(x @ x.T))))),
    ("gram-triangle", "only the upper triangle of A", gram_by(lambda x: np.triu(x @ x.T))),
    ("gram-mirror-32", "the triangle of A not mirrored from row 32 on", gram_by(_mirrored_in_blocks(32))),
    ("gram-mirror-64", "the triangle of A not mirrored from row 64 on", gram_by(_mirrored_in_blocks(64))),
    ("inner-tail-8", "columns after the last block of 8 left out of A", gram_by(_inner_cut(8))),
    ("inner-tail-16", "columns after the last block of 16 left out of A", gram_by(_inner_cut(16))),
    ("inner-tail-64", "columns after the last block of 64 left out of A", gram_by(_inner_cut(64))),
    ("inner-first-1024", "columns after the 1 024th left out of A", gram_by(lambda x: x[:, :1024] @ x[:, :1024].T)),
    ("inner-first-4096", "columns after the 4 096th left out of A", gram_by(lambda x: x[:, :4096] @ x[:, :4096].T)),
    ("first-term-missing", "aX left out", _step(
        lambda x, a, b, c: (b * (x @ x.T) + c * (x @ x.T @ x @ x.T)) @ x)),
    ("polynomial-of-the-start", "the first X in aX at every application", {
        "iterate": lambda self, x: _from_the_start(self, x)}),
    ("x-exact", "U·Vᵀ exactly, undeclared", {"iterate": _exact}),
    ("x-untransposed-v", "U·V for U·Vᵀ (heavyball's legacy_svd)", {"iterate": _transposed_product}),
    ("x-normalised", "X normalised again at the end", _after(_unit)),
    ("x-clipped", "the norm of X clipped to 1 (DeepSpeed ZeRO)", _after(_clipped_norm)),
    ("x-sign", "the signs of X", _after(np.sign)),
    ("x-rows-normalised", "the rows of X normalised (NorMuon)", _after(_rows_normalised)),
    ("x-scaled-by-rank", "X times √rank", _after(lambda x: x * x.dtype.type(min(x.shape) ** 0.5))),
    ("x-with-zero-column", "X a thousandth too large where a column is zero", {
        "iterate": lambda self, x: MuonPort.iterate(self, x) * x.dtype.type(1 if x.any(axis=0).all() else 1.001)}),
    ("x-bounded", "elements of X clipped to ±0.5", _after(lambda x: np.clip(x, -0.5, 0.5))),
    ("iteration-bfloat16", "the iteration in bfloat16, undeclared", _cast(w.bfloat16)),
    ("iteration-float16", "the iteration in float16, undeclared", _cast(
        lambda x: x.astype(np.float16).astype(x.dtype))),
]  # fmt: skip


def _from_the_start(self: MuonPort, x: Array) -> Array:
    first = x
    for a, b, c in (tuple(x.dtype.type(each) for each in triple) for triple in self.triples()):
        gram = x @ x.T
        x = a * first + (b * gram + c * (gram @ gram)) @ x
    return x


ITERATION_DOUBLE: list[Row] = [
    ("iteration-float32", "the iteration of float64 in float32, undeclared", {
        "iteration": lambda self, dtype: np.dtype(np.float32)}),
    ("coefficients-float32", "the coefficients of a float64 port held in float32", _with(
        lambda a, b, c: (float(np.float32(a)), float(np.float32(b)), float(np.float32(c))))),
]  # fmt: skip
