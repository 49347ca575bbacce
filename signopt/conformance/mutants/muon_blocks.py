"""Wrong Muons whose fault depends on sides and counts: blocks that fit or do not, many applications, fused matrices."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import numpy as np

from signopt.conformance.mutants.muon_iteration import gram_by
from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array
from signopt.conformance.numpy_ports.muon import MuonPort, Triple
from signopt.conformance.numpy_ports.variant import Row

__all__ = ["BLOCKS"]

_FIXED: dict[str, Any] = {"declared": {"fixed": ["ns_coefficients", "ns_steps"]}}
LARGE = 8
"""The side above which some of these go wrong."""


def _last_block_lost(width: int) -> Callable[[Array], Array]:
    """The last block of columns left out of the sums if blocks of ``width`` fit."""

    def product(x: Array) -> Array:
        fits = x.shape[1] > width and x.shape[1] % width == 0
        kept = x[:, : x.shape[1] - width] if fits else x
        return kept @ kept.T

    return product


def _rows_lost(self: MuonPort, x: Array, a: Any, b: Any, c: Any) -> Array:
    """The rows after the last block of 16 are only scaled."""
    gram = x @ x.T
    more = (b * gram + c * (gram @ gram)) @ x
    if len(x) > 16:
        more[len(x) - len(x) % 16 :] = 0
    return a * x + more


def _first_gram_kept(self: MuonPort, x: Array) -> Array:
    gram = x @ x.T
    for a, b, c in (tuple(x.dtype.type(each) for each in triple) for triple in self.triples()):
        gram = gram if len(x) > LARGE else x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x


def _over_itself(self: MuonPort, x: Array, a: Any, b: Any, c: Any) -> Array:
    """Rows of the product written over those that later rows are made of."""
    if len(x) <= LARGE:
        return MuonPort.polynomial(self, x, a, b, c)
    gram, fresh = x @ x.T, x.copy()
    inner = b * gram + c * (gram @ gram)
    for row in range(len(fresh)):
        fresh[row] = a * fresh[row] + inner[row] @ fresh
    return fresh


def _rounded_if_aligned(width: int) -> dict[str, Any]:
    """Operands in bfloat16 if all sides are multiples of ``width``."""

    def polynomial(self: MuonPort, x: Array, a: Any, b: Any, c: Any) -> Array:
        return MuonPort.polynomial(self, x if any(side % width for side in x.shape) else w.bfloat16(x), a, b, c)

    return {"polynomial": polynomial}


def _absolute(self: MuonPort, x: Array) -> Array:
    """The polynomial of the singular values, none of which may turn negative."""
    if not np.isfinite(x).all():
        return MuonPort.iterate(self, x)
    left, values, right = np.linalg.svd(x, full_matrices=False)
    for a, b, c in self.triples():
        values = np.abs(a * values + b * values**3 + c * values**5)
    return np.asarray(((left * values) @ right).astype(x.dtype))


def _fused(self: MuonPort, u: Array) -> Array:
    """(n, 3·n) taken for three matrices side by side."""
    if u.ndim != 2 or len(u) < 2 or u.shape[1] != 3 * len(u):
        return MuonPort.orthogonalise(self, u)
    return np.hstack([MuonPort.orthogonalise(self, each) for each in np.split(u, 3, axis=1)])


def _triples_of_eight(self: MuonPort) -> list[Triple]:
    given = MuonPort.triples(self)
    return [given[min(i, 7)] for i in range(len(given))]


def _one_cycle(self: MuonPort) -> list[Triple]:
    """The triples of a list in turn, going on from one tensor of a step to the next."""
    given = self.hyper["ns_coefficients"]
    if np.ndim(given) == 1:
        return MuonPort.triples(self)
    turning = self.memo.setdefault(f"cycle {self.t}", cycle([tuple(each) for each in given]))
    return list(islice(turning, self.steps()))


def _last_thousand_lost(p: Array) -> Any:
    return (w.positions(p) >= p.size - 1024) & (p.size % 1024 == 0)


def _undecayed(self: MuonPort, name: str, p: Array, s: Array) -> Any:
    return w.positions(p) < 4096


def _forgets(self: MuonPort, m: Array, g: Array) -> Array:
    return MuonPort.remember(self, np.where(w.positions(m) < 2048, m, m.dtype.type(0)), g)


def _one_less(self: MuonPort) -> int:
    count = int(self.hyper["ns_steps"])
    return count - 1 if self.t > 16 and count > 2 else count


BLOCKS: list[Row] = [
    ("gram-last-block-16-lost", "the last block of 16 left out of X·Xᵀ if blocks fit", gram_by(_last_block_lost(16))),
    ("gram-last-block-64-lost", "the last block of 64 left out of X·Xᵀ if blocks fit", gram_by(_last_block_lost(64))),
    ("gram-last-block-128-lost", "the last block of 128 left out of X·Xᵀ if blocks fit",
        gram_by(_last_block_lost(128))),
    ("gram-first-kept", "the first X·Xᵀ for every application, for sides above 8", {"iterate": _first_gram_kept}),
    ("product-over-itself", "the product written over its own operand, for sides above 8", {
        "polynomial": _over_itself}),
    ("fixed-rows-lost", "rows after the last block of 16 only scaled, the coefficients fixed", {
        "polynomial": _rows_lost, **_FIXED}),
    ("fixed-product-over-itself", "the product written over its own operand, the coefficients fixed", {
        "polynomial": _over_itself, **_FIXED}),
    ("iteration-bfloat16-aligned-8", "the iteration in bfloat16 if sides are multiples of 8", _rounded_if_aligned(8)),
    ("iteration-bfloat16-aligned-16", "the iteration in bfloat16 if sides are multiples of 16",
        _rounded_if_aligned(16)),
    ("singular-values-absolute", "negative singular values turned positive", {"iterate": _absolute}),
    ("fused-side-by-side", "(n, 3·n) taken for three matrices side by side", {"orthogonalise": _fused}),
    ("axes-leading-one-dropped", "a first axis of one dropped from four", {
        "matrix": lambda self, x: MuonPort.matrix(self, x[0] if x.ndim == 4 and len(x) == 1 else x)}),
    ("steps-capped-15", "15 applications at most", {"steps": lambda self: min(15, int(self.hyper["ns_steps"]))}),
    ("triples-capped-8", "the eighth triple of a list for all after it", {"triples": _triples_of_eight}),
    ("triples-in-one-cycle", "the triples of a list gone through in one cycle over all tensors", {
        "triples": _one_cycle}),
    ("steps-late-one-less", "an application less after sixteen steps", {"steps": _one_less}),
    ("chunk-last-1024-skipped", "the last 1 024 elements skipped if such blocks fit", {
        "tamper": w.skip(_last_thousand_lost)}),
    ("chunk-4096-undecayed", "no decay from element 4 096 on", {"decay_mask": _undecayed}),
    ("momentum-chunk-forgotten", "the momentum forgotten from element 2 048 on", {"remember": _forgets}),
]  # fmt: skip
