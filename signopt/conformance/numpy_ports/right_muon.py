"""Muon ports that are right: other orders of the products, other sides, norms, forms, precisions and habits."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.numpy_ports.muon_forms import stored, sum_form
from signopt.conformance.numpy_ports.muon_spectral import RIGHT_SPECTRAL
from signopt.conformance.numpy_ports.right_muon_reserved import RESERVED
from signopt.conformance.numpy_ports.variant import Variant, variant
from signopt.conformance.port import Arrays

__all__ = ["RIGHT_MUON"]

HALVES = ("float16", "bfloat16")


def _right_side(self: MuonPort, x: Array, a: Any, b: Any, c: Any) -> Array:
    gram = x.T @ x
    return a * x + x @ (b * gram + c * (gram @ gram))


def _horner(self: MuonPort, x: Array, a: Any, b: Any, c: Any) -> Array:
    gram, one = x @ x.T, np.eye(x.shape[0], dtype=x.dtype)
    return (a * one + (b * one + c * gram) @ gram) @ x


def _monomials(self: MuonPort, x: Array, a: Any, b: Any, c: Any) -> Array:
    gram = x @ x.T
    cube = gram @ x
    return a * x + b * cube + c * (gram @ cube)


def _scaled_first(self: MuonPort, x: Array, a: Any, b: Any, c: Any) -> Array:
    gram = x @ x.T
    return a * x + (b * gram + (c * gram) @ gram) @ x


def _einsum(self: MuonPort, x: Array, a: Any, b: Any, c: Any) -> Array:
    gram = np.einsum("ik,jk->ij", x, x)
    return a * x + np.einsum("ij,jk->ik", b * gram + c * np.einsum("ij,jk->ik", gram, gram), x)


def _singular(self: MuonPort, x: Array) -> Array:
    """The scalar polynomial on the singular values: no product of matrices in between."""
    left, values, right = np.linalg.svd(x, full_matrices=False)
    for a, b, c in self.triples():
        values = (a * values + b * values**3 + c * values**5).astype(x.dtype)
    return np.asarray((left * values) @ right)


def _singular_refusing(self: MuonPort, x: Array) -> Array:
    if not np.isfinite(x).all():
        raise FloatingPointError("not finite")
    return _singular(self, x)


def _gram_form(self: MuonPort, x: Array) -> Array:
    """The polynomial on X·Xᵀ alone, two steps at a time."""
    triples = self.triples()
    for start in range(0, len(triples), 2):
        one = np.eye(x.shape[0], dtype=x.dtype)
        gram, whole = x @ x.T, one
        for a, b, c in triples[start : start + 2]:
            factor = x.dtype.type(a) * one + x.dtype.type(b) * gram + x.dtype.type(c) * (gram @ gram)
            gram, whole = factor @ gram @ factor, factor @ whole
        x = whole @ x
    return x


def _batched(self: MuonPort, grads: Arrays) -> None:
    """Tensors of one shape and dtype orthogonalised as one stack."""
    with np.errstate(all="ignore"):
        groups: dict[Any, list[str]] = {}
        for name, p in self.p.items():
            if name in grads:
                groups.setdefault((p.shape, p.dtype), []).append(name)
        for names in groups.values():
            _stack(self, names, grads)
    self.t += 1


def _stack(self: MuonPort, names: list[str], grads: Arrays) -> None:
    work = self.compute(self.p[names[0]].dtype)
    p, g, m = (np.stack([np.asarray(a[n]).astype(work) for n in names]) for a in (self.p, grads, self.m))
    fresh = self.remember(m, g)
    u = self.look(m, g, fresh)
    if not p[0].size:
        return
    x = u.reshape(*u.shape[:2], -1)
    norm = np.sqrt(np.sum(x * x, axis=(1, 2), keepdims=True))
    divisor = norm + work.type(self.eps())
    x = x / np.where(divisor == 0, 1, divisor)
    for triple in self.triples():
        a, b, c = (work.type(each) for each in triple)
        gram = x @ x.transpose(0, 2, 1)
        x = a * x + (b * gram + c * gram @ gram) @ x
    s = work.type(self.scale(p.shape[1:])) * x.reshape(p.shape)
    moved = self.move(p, s, self.lr(), self.wd())
    for i, name in enumerate(names):
        self.keep(name, moved[i], fresh[i])


def _clamped(self: MuonPort, x: Array) -> Any:
    return np.maximum(self.norm(x), x.dtype.type(self.eps()))


def _unguarded(self: MuonPort, x: Array) -> Array:
    return x / self.divisor(x)


def _keras_form(self: NumpyPort, m: Array, g: Array, beta: float) -> Array:
    return m + (g + m * m.dtype.type(beta - 1))


def _expanded(self: MuonPort, m: Array, g: Array, fresh: Array) -> Array:
    if not self.nesterov():
        return fresh
    beta = self.beta()
    return m.dtype.type(1 - beta * beta) * g + m.dtype.type(beta * beta) * m


def _scaled_norm(self: MuonPort, x: Array) -> Any:
    top = np.max(np.abs(x), initial=0.0)
    if not top or not np.isfinite(top):
        return top
    power = np.ldexp(x.dtype.type(1), int(np.frexp(top)[1]))
    return power * np.sqrt(np.sum((x / power) ** 2))


def _reciprocal(self: MuonPort, x: Array) -> Array:
    divisor = self.divisor(x)
    return x * (x.dtype.type(1) / divisor) if divisor else x


def _wide(self: MuonPort, x: Array) -> Any:
    return np.linalg.norm(x.astype(np.float64)).astype(x.dtype)


def _fast_decay(self: MuonPort, p: Array, s: Array, lr: Any, wd: Any) -> Array:
    return p * np.asarray(1 - np.asarray(lr, np.float64) * wd, p.dtype) - np.asarray(lr, p.dtype) * s


def _folded_rate(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    """The scale folded into the rate, the decay with the rate as given."""
    fresh = self.remember(m, g)
    if not p.size:
        return p, fresh
    x = self.orthogonalise(self.look(m, g, fresh))
    p = p * p.dtype.type(1 - self.lr() * self.wd())
    return p + p.dtype.type(-self.lr() * self.scale(p.shape)) * x, fresh


def _read_back(self: MuonPort, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    """The momentum rounded to its storage before it is used."""
    fresh = self.remember(m, g).astype(self.m[name].dtype).astype(p.dtype)
    if not p.size:
        return p, fresh
    x = self.orthogonalise(self.look(m, g, fresh))
    return self.move(p, p.dtype.type(self.scale(p.shape)) * x, self.lr(), self.wd()), fresh


def _inputs_first(self: MuonPort, shape: tuple[int, ...]) -> tuple[int, int]:
    return int(np.prod(shape[1:])), shape[0]


def _svd(self: MuonPort, u: Array) -> Array:
    """U·Vᵀ: another orthogonaliser."""
    x = self.matrix(u)
    if not x.any():
        return u
    left, _, right = np.linalg.svd(x, full_matrices=False)
    return (left @ right).reshape(u.shape)


_ROWS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("plain", "as the rule is written", {}),
    ("never-transposed", "X·Xᵀ on the left whatever the shape", {"flips": lambda self, x: False}),
    ("always-transposed", "the iteration on the transpose whatever the shape", {"flips": lambda self, x: True}),
    ("right-side", "XᵀX on the right", {"polynomial": _right_side, "flips": lambda self, x: False}),
    ("horner", "Horner's scheme in X·Xᵀ", {"polynomial": _horner}),
    ("monomials", "aX + b(AX) + c(A(AX))", {"polynomial": _monomials}),
    ("scaled-first", "(cA)A for c(AA)", {"polynomial": _scaled_first}),
    ("einsum", "sums of products by einsum", {"polynomial": _einsum}),
    ("singular", "the scalar polynomial on an SVD", {"iterate": _singular_refusing}),
    ("gram-two", "the polynomial on X·Xᵀ, with a restart after two steps", {"iterate": _gram_form}),
    ("batched", "tensors of one shape in one stack", {"step": _batched}),
    ("axes-fortran", "the other axes flattened in another order, and folded back in it", {
        "matrix": lambda self, x: x.reshape(x.shape[0], -1, order="F"),
        "unfolded": lambda self, x, u: x.reshape(u.shape, order="F").astype(u.dtype)}),
    ("epsilon-max", "max(norm, ε)", {"divisor": _clamped}),
    ("zero-unguarded", "0/0 where u and ε are zero, as the formula says", {"normalise": _unguarded}),
    ("zero-unguarded-max", "the same with max(norm, ε)", {"normalise": _unguarded, "divisor": _clamped}),
    ("sum", "the momentum as a sum", {"blend": sum_form}),
    ("sum-keras", "the momentum as m + (g + m(β−1))", {"blend": _keras_form}),
    ("sum-max", "the momentum as a sum, max(norm, ε)", {"blend": sum_form, "divisor": _clamped}),
    ("expanded", "(1−β²)g + β²m for the look-ahead", {"look": _expanded}),
    ("norm-scaled", "a norm that does not overflow", {"norm": _scaled_norm, "declared": {"range": "scaled"}}),
    ("norm-scaled-undeclared", "the same, not declared", {"norm": _scaled_norm}),
    ("norm-double", "the norm in double", {"norm": _wide}),
    ("norm-lapack", "numpy.linalg.norm", {"norm": lambda self, x: np.linalg.norm(x)}),
    ("reciprocal", "a reciprocal for the division", {"normalise": _reciprocal}),
    ("iteration-double", "the iteration in double", {"iteration": lambda self, dtype: np.dtype(np.float64)}),
    ("rate-folded", "decay first, the scale folded into the rate", {"update": _folded_rate}),
    ("inputs-first", "matrices as inputs × outputs", {"sides": _inputs_first, "declared": {"layout": "in_out"}}),
    ("bfloat16", "the iteration in bfloat16, declared", stored("bfloat16")),
    ("float16", "the iteration in float16, declared", stored("float16")),
    ("bfloat16-max-sum", "a bfloat16 iteration, a sum", {**stored("bfloat16"), "blend": sum_form}),
    ("svd", "U·Vᵀ by SVD", {"orthogonalise": _svd, "declared": {"orthogonalizer": [1.0, 1.0]}}),
    ("another-preset", "another polynomial, declared by its range", {
        "triples": lambda self: [(2.0, -1.5, 0.5)] * 12, "declared": {"orthogonalizer": [0.9, 1.1]}}),
)  # fmt: skip

RIGHT_MUON: tuple[Variant, ...] = (
    *(variant("muon", key, summary, **pieces) for key, summary, pieces in (*_ROWS, *RESERVED, *RIGHT_SPECTRAL)),
    variant(
        "muon", "halves", "float16 and bfloat16 with float32 arithmetic",
        dtypes=("float32", "float64", *HALVES), declared={"dtypes": ["float32", "float64", *HALVES]},
    ),
    variant(
        "muon", "halves-read-back", "16 bits, the momentum read back before it is used", dtypes=HALVES,
        update=_read_back, declared={"dtypes": [*HALVES]},
    ),
    variant(
        "muon", "halves-sum-max", "16 bits, a sum, max(norm, ε)", dtypes=HALVES,
        blend=sum_form, divisor=_clamped, declared={"dtypes": [*HALVES]},
    ),
)  # fmt: skip
"""Muon ports that no check may accuse, beside those of `right.RIGHT_PORTS` that every rule has."""
