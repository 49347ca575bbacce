"""One step of Muon on one tensor: the exact outcome, and how far from it a legal evaluation may be.

Every bound is derived in docs/acceptance.md, under "Muon".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from signopt.conformance.oracle.muon.blocks import Block, dyadic
from signopt.conformance.oracle.muon.decay import PLAIN, Decay
from signopt.conformance.oracle.muon.exact import Triple, look_ahead, remembered, scale, schedule
from signopt.conformance.oracle.muon.radius import Enclosure, enclose
from signopt.conformance.oracle.muon.spread import scattered
from signopt.conformance.oracle.muon.units import Precision

__all__ = ["Expected", "Forms", "Known", "expect", "matrix_shape", "scale_of"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Forms:
    """What a port may choose once and must keep to."""

    momentum: str = "ema"
    eps: str = "add"
    layout: str = "out_in"
    decay: Decay = PLAIN


@dataclass(frozen=True)
class Known:
    """A momentum: exact, or up to ``slack`` for each element if it is hidden."""

    value: Block
    slack: Array

    @classmethod
    def shown(cls, values: Array) -> Known:
        """A momentum as the port shows it."""
        return cls(Block.of(values), np.zeros(values.shape))

    @property
    def sizes(self) -> Array:
        """An upper bound of each magnitude."""
        return np.asarray(np.abs(self.value.floats()) + self.slack)


@dataclass(frozen=True)
class Expected:
    """The exact outcome of one step, and the distances within which every legal one lies.

    ``param_slack`` holds for each element, ``param_norm`` for the tensor in Frobenius norm; infinite if the parameter
    cannot be judged. ``unstored`` is what of ``param_slack`` arises before the result is rounded to its storage.
    """

    momentum: Known
    param: Block
    unstored: Array
    param_slack: Array
    param_norm: float
    u: Block
    enclosure: Enclosure
    proven: bool = True


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """The matrix that a tensor is orthogonalised as: its first axis by all others."""
    return shape[0], math.prod(shape[1:])


def expect(
    p: Array, g: Array, known: Known, hyper: Mapping[str, Any], forms: Forms, precision: Precision,
    read: Block | None = None,
) -> Expected:  # fmt: skip
    """Judge one step from ``p`` and the momentum ``known``, with the gradient ``g``; all finite.

    A momentum that is stored in fewer bits than the arithmetic has may be read back before it is used or not: ``read``
    is the one that ``u`` is made of. Without it either is legal.
    """
    beta, gradient = float(hyper["beta"]), Block.of(g)
    momentum = remembered(known.value, gradient, beta, forms.momentum)
    used = momentum if read is None else read
    u = look_ahead(used, gradient, beta, forms.momentum, bool(hyper["nesterov"]))
    sizes, size = known.sizes, np.abs(np.asarray(g, np.float64))
    there = (sizes + size) > 0
    kept = beta * known.slack + 8 * precision.elementwise * (sizes + 2 * size) + _stored(precision, sizes + size)
    kept = kept + there * 16 * precision.tiny(precision.compute)
    seen = beta * known.slack + 8 * precision.elementwise * (sizes + 2 * size) + there * 16 * _tiniest(precision)
    if read is None and precision.momentum_rounding:
        seen = seen + 1.01 * _stored(precision, np.abs(momentum.floats()))
    shape = matrix_shape(p.shape)
    enclosure, proven = _enclosed(u.reshaped(shape), seen, hyper, forms, precision)
    expected = _moved(p, u, enclosure, hyper, forms, precision)
    return Expected(Known(momentum, kept), *expected, u, enclosure, proven)


def _stored(precision: Precision, sizes: Array) -> Array:
    """The rounding of the momentum to a narrower storage."""
    return precision.momentum_rounding * sizes + (sizes > 0) * precision.tiny(precision.momentum)


def _tiniest(precision: Precision) -> float:
    """What an underflow in u may change: narrower operands only become zero if that is declared."""
    own = precision.tiny(precision.compute)
    return max(own, precision.tiny(precision.storage), precision.tiny(precision.momentum)) if precision.flush else own


def _enclosed(
    u: Block, error: Array, hyper: Mapping[str, Any], forms: Forms, precision: Precision
) -> tuple[Enclosure, bool]:
    steps, eps = tuple(schedule(hyper)), float(hyper["eps"])
    zero = not u.ints.any()
    error_norm = 0.0 if zero and not error.any() else float(np.linalg.norm(error))
    found = _cached(_Key.of(u), error_norm, steps, eps, forms.eps, precision)
    if found.radius <= 0.5 or not precision.accumulates_wider or len(steps) < 2:
        return found, True
    sampled = scattered(u.floats(), found.x.floats(), steps, eps, forms.eps, precision.iteration)
    return Enclosure(found.x, min(found.radius, sampled), found.start, found.norm), False


@dataclass(frozen=True)
class _Key:
    """A block that can be a key of a cache."""

    ints: tuple[int, ...]
    exponent: int
    shape: tuple[int, ...]

    @classmethod
    def of(cls, block: Block) -> _Key:
        return cls(tuple(block.ints.ravel().tolist()), block.exponent, block.ints.shape)

    def block(self) -> Block:
        ints = np.empty(len(self.ints), object)
        ints[:] = self.ints
        return Block(ints.reshape(self.shape), self.exponent)


@lru_cache(maxsize=8192)
def _cached(
    key: _Key, error: float, steps: tuple[Triple, ...], eps: float, form: str, precision: Precision
) -> Enclosure:
    return enclose(key.block(), error, steps, eps, form, precision)


def _moved(
    p: Array, u: Block, enclosure: Enclosure, hyper: Mapping[str, Any], forms: Forms, precision: Precision
) -> tuple[Block, Array, Array, float]:
    """The exact p − η(s·X + λ·p), and how far a legal one may be off: before storing, for each element, and in norm."""
    lr, decay = Fraction(float(hyper["lr"])), Fraction(float(hyper["weight_decay"]))
    factor = scale_of(p.shape, hyper, forms)
    shown = Block.of(p)
    move = enclosure.x.reshaped(p.shape).times(factor)
    pulled, uncertain = forms.decay.of(p.reshape(matrix_shape(p.shape)), precision) if decay else (shown, 0.0)
    pulled = pulled.reshaped(p.shape)
    exact = shown - (move + pulled.times(decay)).times(lr)
    if not lr or (not decay and not u.ints.any() and not enclosure.radius):
        return exact, np.zeros(p.shape), np.zeros(p.shape), 0.0
    rate = float(lr * factor)
    size, moved = np.abs(np.asarray(p, np.float64)), np.abs(enclosure.x.floats().reshape(p.shape)) * rate
    decayed = float(lr * decay) * (size if pulled is shown else np.abs(pulled.floats()))
    rounding = _bracket(size, moved, decayed, precision, float(lr))
    reach = (rate * enclosure.radius + float(lr * decay) * uncertain) * (
        1 + 16 * precision.elementwise + 8 * (precision.unit if precision.accumulates_wider else 0)
    )
    unstored = _bracket(size, moved, decayed, replace(precision, storage=precision.compute), float(lr))
    return exact, unstored + reach, rounding + reach, float(np.linalg.norm(rounding)) + reach


def scale_of(shape: tuple[int, ...], hyper: Mapping[str, Any], forms: Forms) -> Fraction:
    rows, columns = matrix_shape(shape)
    if forms.layout == "in_out":
        rows, columns = columns, rows
    return dyadic(scale(rows, columns, hyper["adjust_lr_fn"]))


def _bracket(size: Array, moved: Array, decayed: Array, precision: Precision, lr: float) -> Array:
    """Roundings of the bracket, in any order: 3u|p| + 9u(ηλ|D| + ηs|X|), and of what is stored in 16 bits."""
    unit = precision.elementwise
    of_x = 9 * unit + (4 * precision.unit if precision.unit > float(precision.compute.unit) else 0.0)
    rounding = 3 * unit * size + 9 * unit * decayed + of_x * moved
    stored = 2 * precision.storage_rounding * (size + decayed + moved)
    tiny = (
        8 * max(precision.tiny(precision.compute), precision.tiny(precision.storage)) * (1 + lr) * (1 + size + decayed)
    )
    return np.asarray((rounding + stored) * (1 + 16 * unit) + tiny)
