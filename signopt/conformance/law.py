"""What one step must do to one tensor, in exact numbers: the coefficients of its rule at that step.

A `Law` is the same for Lion, Signum and Tiger: an average that is looked at for its sign, an average that is kept, a
rate and a decay. What differs between the rules is only which numbers these are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from signopt.conformance.bounds import Units
from signopt.conformance.declarations import Declaration
from signopt.conformance.exact import CENTRE, Array, factor_at, floats, root
from signopt.conformance.formats import FORMATS, Format, format_of

__all__ = ["Law", "Shrink", "law_of", "role_by_name"]

_ROOT_BITS = 160


@dataclass(frozen=True)
class Law:
    """c = b·m + a·g with (b, a) = ``direction``; m' the same with ``memory``; p − rate·(sign(c) + wd·p).

    ``sign_of_memory``: the sign is that of m' (Signum, Tiger), and may be taken after m' was rounded to storage.
    ``rates`` holds one exact rate, or one for each row where ``by_row``; ``rate_error`` is how far off, relative to
    it, a port may form it. ``moves`` is False inside a window of Tiger, where p stays bit for bit.
    """

    direction: tuple[Fraction, Fraction]
    memory: tuple[Fraction, Fraction]
    rates: tuple[Fraction, ...]
    rate_error: Fraction
    weight_decay: Fraction
    units: Units
    storage: Format
    sign_of_memory: bool = False
    plain_rate: bool = True
    moves: bool = True
    judged: bool = True
    nan: str = "propagate"

    def rate_at(self, index: int, size: int) -> Fraction:
        """The exact rate of the element at flat ``index`` of ``size``."""
        return self.rates[index * len(self.rates) // size]


@dataclass(frozen=True)
class Shrink:
    """Tiger after a NaN: p becomes (p − centre)·factor + centre and m stays bit for bit."""

    centre: int
    factor: Fraction
    units: Units
    storage: Format


def units_of(declared: Declaration, storage: Format) -> Units:
    """The roundings of a port with arrays stored as ``storage``."""
    compute = declared.compute_format(storage)
    single = declared.hyper == "float32" and compute.name == "float64"
    uc = FORMATS["float32"].unit if single else compute.unit
    return Units.of(compute, uc, declared.subnormals == "flush")


def law_of(
    declared: Declaration, hyper: Mapping[str, Any], name: str, param: Array, grad: Array, step: int
) -> Law | Shrink:
    """The law of 0-based ``step`` for the tensor ``name``, whose parameter is ``param`` before it."""
    storage = format_of(param.dtype)
    units = units_of(declared, storage)
    if declared.rule == "tiger":
        return _tiger(declared, hyper, name, param, grad, step, units)
    betas = hyper["betas"] if declared.rule == "lion" else (hyper["beta"], hyper["beta"])
    direction, memory = ((Fraction(beta), 1 - Fraction(beta)) for beta in betas)
    return Law(
        direction, memory, (Fraction(hyper["lr"]),), units.uc, Fraction(hyper["weight_decay"]), units, storage,
        sign_of_memory=declared.rule == "signum", nan=declared.nan,
    )  # fmt: skip


def _tiger(
    declared: Declaration, hyper: Mapping[str, Any], name: str, param: Array, grad: Array, step: int, units: Units
) -> Law | Shrink:
    roles = hyper["roles"]
    role = roles[name] if roles is not None else role_by_name(name)
    storage = format_of(param.dtype)
    if np.isnan(grad.astype(np.float64)).any():
        return Shrink(int(CENTRE[role]), Fraction(hyper["shrink"]), units, storage)
    window, beta = hyper["accumulation_steps"], Fraction(hyper["beta"])
    average = (beta if step % window == 0 else Fraction(1), (1 - beta) / window)
    factor = factor_at(hyper["schedule"], step)
    rate = Fraction(hyper["lr"]) * factor
    decays = role in ("matrix", "embedding")
    rates, counted = _scaled(rate, param, role)
    roundings = counted + _schedule_roundings(hyper["schedule"], factor)
    return Law(
        average, average, rates, units.uc + roundings * units.u,
        Fraction(hyper["weight_decay"]) if decays else Fraction(0), units, storage,
        sign_of_memory=True, plain_rate=not decays, moves=(step + 1) % window == 0,
        judged=not decays or _squares_fit(param, units), nan=declared.nan,
    )  # fmt: skip


def _schedule_roundings(schedule: Any, factor: Fraction) -> Fraction:
    """Roundings of the factor, formed as f0 + (f1 − f0)·share: up to six of the largest, relative to the result."""
    if schedule is None or not factor:
        return Fraction(1)
    largest = max(schedule.values()) if isinstance(schedule, Mapping) else factor
    return 1 + 6 * Fraction(largest) / factor


def _scaled(rate: Fraction, param: Array, role: str) -> tuple[tuple[Fraction, ...], int]:
    """The rate by role, and how many roundings forming it may take beyond those of the rate itself.

    A sum of n squares in any order and format, the division, the root and its scaling, the product: n/2 + 10.
    """
    if role in ("bias", "scale"):
        return (rate / 2,), 0
    by_row = role == "embedding" and param.ndim > 0 and param.size > 0
    length = max(param.shape[-1] if by_row else param.size, 1)
    values = floats(param)
    rows = [values[i : i + length] for i in range(0, len(values), length)] or [[0.0]]
    return tuple(rate * _root_mean_square(row) for row in rows), length // 2 + 10


def _root_mean_square(values: list[float]) -> Fraction:
    if not np.isfinite(values).all():
        return Fraction(0)
    return root(sum((Fraction(v) ** 2 for v in values), Fraction(0)) / len(values), _ROOT_BITS)


def _squares_fit(param: Array, units: Units) -> bool:
    """Whether no square leaves the range of the arithmetic and no sum of them can: else RMS is not judged."""
    sizes = np.abs(param.astype(np.float64))
    sizes = sizes[sizes != 0]
    low, high = 2.0 ** (units.compute.emin // 2 + 8), 2.0 ** (units.compute.emax // 2 - 8)
    return bool(np.all((low <= sizes) & (sizes <= high)))


def role_by_name(name: str) -> str:
    """The role that the Tiger source reads from a name: bias, beta or gamma first, then embeddings."""
    for part, role in (("gamma", "scale"), ("bias", "bias"), ("beta", "bias"), ("embeddings", "embedding")):
        if part in name:
            return role
    return "matrix"
