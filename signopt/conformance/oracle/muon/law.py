"""One step of Muon on one tensor: the exact outcome, and how far from it a legal evaluation may be.

Every bound is derived in docs/acceptance.md, under "Muon".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from signopt.conformance.oracle.muon.blocks import Block, dyadic
from signopt.conformance.oracle.muon.decay import PLAIN, Decay
from signopt.conformance.oracle.muon.exact import Triple, look_ahead, remembered, scale, schedule
from signopt.conformance.oracle.muon.held import is_power_of_two
from signopt.conformance.oracle.muon.radius import Enclosure, enclose
from signopt.conformance.oracle.muon.spread import scattered
from signopt.conformance.oracle.muon.units import Precision

__all__ = ["Expected", "Forms", "Known", "expect", "matrix_shape", "momentum_slack", "repeated", "scale_of"]

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
    cannot be judged. ``fresh`` and ``unstored`` are what of the slack of momentum and parameter arises before they are
    rounded to their storage.
    """

    momentum: Known
    fresh: Array
    param: Block
    unstored: Array
    param_slack: Array
    param_norm: float
    u: Block
    enclosure: Enclosure


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """The matrix that a tensor is orthogonalised as: its first axis by all others."""
    return shape[0], math.prod(shape[1:])


def expect(
    p: Array, g: Array, known: Known, hyper: Mapping[str, Any], forms: Forms, precision: Precision,
    read: Block | None = None, *, least: bool = False,
) -> Expected:  # fmt: skip
    """Judge one step from ``p`` and the momentum ``known``, with the gradient ``g``; all finite.

    A momentum that is stored in fewer bits than the arithmetic has may be read back before it is used or not: ``read``
    is the one that ``u`` is made of. Without it either is legal. With ``least`` the parameter's distances are made of
    `Enclosure.least`: within them all is legal, and outside of them the others decide.
    """
    beta, gradient = float(hyper["beta"]), Block.of(g)
    momentum = remembered(known.value, gradient, beta, forms.momentum)
    used = momentum if read is None else read
    u = look_ahead(used, gradient, beta, forms.momentum, bool(hyper["nesterov"]))
    sizes, size = known.sizes, np.abs(np.asarray(g, np.float64))
    there = (sizes + size) > 0
    kept = momentum_slack(known, g, beta, precision)
    averaged = _average_slack(known, size, beta, precision)
    fresh = averaged + 16 * precision.tiny(precision.compute)
    seen = averaged + there * 16 * _tiniest(precision)
    if read is None and precision.momentum_rounding:
        seen = seen + 1.01 * _stored(precision, np.abs(momentum.floats()))
    shape = matrix_shape(p.shape)
    enclosure = _enclosed(u.reshaped(shape), seen, hyper, forms, precision)
    radius = enclosure.least if least else enclosure.radius
    moved = _moved(p, u, enclosure, radius, hyper, forms, precision)
    return Expected(Known(momentum, kept), fresh, *moved, u, enclosure)


def momentum_slack(known: Known, g: Array, beta: float, precision: Precision) -> Array:
    """How far a legal momentum may be off after one step, storing it included; element by element."""
    sizes, size = known.sizes, np.abs(np.asarray(g, np.float64))
    there = (sizes + size) > 0
    kept = _average_slack(known, size, beta, precision) + _stored(precision, sizes + size)
    return np.asarray(kept + there * 16 * precision.tiny(precision.compute))


def _average_slack(known: Known, size: Array, beta: float, precision: Precision) -> Array:
    """The same before it is stored, and without underflow; ``size`` is that of the gradient."""
    return np.asarray(beta * known.slack + 8 * precision.elementwise * (known.sizes + 2 * size))


def repeated(g: Array, count: int, beta: float, form: str, precision: Precision) -> Known:
    """The momentum after ``count`` steps from zero with the same gradient, and how far a legal one may be off.

    The exact one grows from step to step, so that no step rounds more than the last, and what it rounds is kept as the
    gradients are.
    """
    kept = 1 - beta**count
    added = kept / (1 - beta) if beta < 1 else float(count)
    whole = (kept if form == "ema" else added) * np.asarray(g, np.float64)
    sizes = np.abs(whole)
    each = 9 * precision.elementwise * (sizes + 2 * np.abs(g)) + _stored(precision, sizes)
    return Known(Block.of(whole), 1.1 * added * (each + 16 * precision.tiny(precision.compute)))


def _stored(precision: Precision, sizes: Array) -> Array:
    """The rounding of the momentum to a narrower storage."""
    return precision.momentum_rounding * sizes + (sizes > 0) * precision.tiny(precision.momentum)


def _tiniest(precision: Precision) -> float:
    """What an underflow in u may change: narrower operands only become zero if that is declared."""
    own = precision.tiny(precision.compute)
    return max(own, precision.tiny(precision.storage), precision.tiny(precision.momentum)) if precision.flush else own


def _enclosed(u: Block, error: Array, hyper: Mapping[str, Any], forms: Forms, precision: Precision) -> Enclosure:
    error_norm = float(np.linalg.norm(error)) if error.any() else 0.0
    return _cached(_Key.of(u), error_norm, tuple(schedule(hyper)), float(hyper["eps"]), forms.eps, precision)


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


@lru_cache(maxsize=16384)
def _cached(
    key: _Key, error: float, steps: tuple[Triple, ...], eps: float, form: str, precision: Precision
) -> Enclosure:
    u = key.block()
    found = enclose(u, error, steps, eps, form, precision)
    if not precision.accumulates_wider or len(steps) < 2 or found.proven <= 0.5:
        return found
    return found.with_sample(scattered(u.floats(), found.x.floats(), steps, eps, form, precision.iteration, error))


def _moved(
    p: Array, u: Block, enclosure: Enclosure, radius: float, hyper: Mapping[str, Any], forms: Forms,
    precision: Precision,
) -> tuple[Block, Array, Array, float]:  # fmt: skip
    """The exact p − η(s·X + λ·p), and how far a legal one may be off: before storing, for each element, and in norm."""
    rates = _rates(float(hyper["lr"]), float(hyper["weight_decay"]), scale_of(p.shape, hyper, forms))
    if enclosure.held and is_power_of_two(rates.factor) and is_power_of_two(rates.lr):
        precision = precision.held
    shown = Block.of(p)
    move = enclosure.x.reshaped(p.shape).times(rates.factor)
    pulled, uncertain = shown, 0.0
    if rates.decay and forms.decay.form != "plain":
        pulled, uncertain = forms.decay.of(p.reshape(matrix_shape(p.shape)), precision)
        pulled = pulled.reshaped(p.shape)
    exact = shown - (move + pulled.times(rates.decay)).times(rates.lr)
    if not rates.lr or (not rates.decay and not u.ints.any() and not radius):
        return exact, np.zeros(p.shape), np.zeros(p.shape), 0.0
    size = np.abs(np.asarray(p, np.float64))
    moved = np.abs(enclosure.x.floats().reshape(p.shape)) * rates.moving
    decayed = rates.decaying * (size if pulled is shown else np.abs(pulled.floats()))
    rounding = _bracket(size, moved, decayed, precision, rates)
    reach = (rates.moving * radius + rates.decaying * uncertain) * (
        1 + 16 * precision.elementwise + 8 * (precision.unit if precision.accumulates_wider else 0)
    )
    wide = precision.unstored
    unstored = rounding if wide is precision else _bracket(size, moved, decayed, wide, rates)
    return exact, unstored + reach, rounding + reach, float(np.linalg.norm(rounding)) + reach


@dataclass(frozen=True)
class _Rates:
    """η, λ and s exactly, and η·s and η·λ as floats."""

    lr: Fraction
    decay: Fraction
    factor: Fraction
    moving: float
    decaying: float


@lru_cache(maxsize=1024)
def _rates(lr: float, decay: float, factor: Fraction) -> _Rates:
    exact, pull = Fraction(lr), Fraction(decay)
    return _Rates(exact, pull, factor, float(exact * factor), float(exact * pull))


def scale_of(shape: tuple[int, ...], hyper: Mapping[str, Any], forms: Forms) -> Fraction:
    rows, columns = matrix_shape(shape)
    if forms.layout == "in_out":
        rows, columns = columns, rows
    return _factor(rows, columns, hyper["adjust_lr_fn"])


@lru_cache(maxsize=1024)
def _factor(rows: int, columns: int, adjust: str | None) -> Fraction:
    return dyadic(scale(rows, columns, adjust))


def _bracket(size: Array, moved: Array, decayed: Array, precision: Precision, rates: _Rates) -> Array:
    """Roundings of the bracket, in any order: 3u|p| + 9u(ηλ|D| + ηs|X|), and of what is stored in 16 bits."""
    unit, lr = precision.elementwise, float(rates.lr)
    of_x, lost = 9 * unit, 0.0
    if precision.unit > float(precision.compute.unit):
        of_x += 4 * precision.unit
        lost = 2 * precision.tiny(precision.iteration) * (1 + lr) * (1 + float(rates.factor))
    rounding = 3 * unit * size + 9 * unit * decayed + of_x * moved
    stored = 2 * precision.storage_rounding * (size + decayed + moved)
    tiny = (
        8 * max(precision.tiny(precision.compute), precision.tiny(precision.storage)) * (1 + lr) * (1 + size + decayed)
    )
    return np.asarray((rounding + stored) * (1 + 16 * unit) + tiny + (moved > 0) * lost)
