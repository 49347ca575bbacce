"""What one step must do to one tensor, in exact numbers: the coefficients of its rule at that step.

A `Law` is the same for Lion, Signum and Tiger: an average that is looked at for its sign, an average that is kept, a
rate and a decay. What differs between the rules is only which numbers these are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from signopt.conformance.declarations import Declaration
from signopt.conformance.oracle.arithmetic import CENTRE, Array, factor_at, floats, root
from signopt.conformance.oracle.bounds import Units, representable
from signopt.conformance.oracle.formats import FORMATS, Format, format_of

__all__ = ["Law", "Shrink", "averages", "law_of", "laws_of", "role_by_name"]

Arrays = Mapping[str, Array]

_ROOT_BITS = 120


@dataclass(frozen=True, eq=False)
class Law:
    """c = b·m + a·g with (b, a) = ``direction``; m' the same with ``memory``; p − rate·(sign(c) + wd·p).

    ``sign_of_memory``: the sign is that of m' (Signum, Tiger), and may be taken after m' was rounded to storage.
    ``rates`` holds exact rates, ``rate_errors`` how far off, relative to it, a port may form each, and ``spans`` for
    how many elements each holds, one after the other; a single rate holds for all. ``moves`` is False inside a window
    of Tiger, where p stays bit for bit.
    """

    direction: tuple[Fraction, Fraction]
    memory: tuple[Fraction, Fraction]
    rates: tuple[Fraction, ...]
    rate_errors: tuple[Fraction, ...]
    weight_decay: Fraction
    units: Units
    storage: Format
    sign_of_memory: bool = False
    plain_rate: bool = True
    moves: bool = True
    judged: bool = True
    nan: str = "propagate"
    spans: tuple[int, ...] = (0,)

    @cached_property
    def sharp_move(self) -> bool:
        """Whether there are parameters for which every order of the update is exact."""
        fits = all(representable(x, self.units.coefficients) for x in (self.rates[0], self.weight_decay))
        return self.plain_rate and not self.units.flush and fits

    def rate_at(self, index: int) -> tuple[Fraction, Fraction]:
        """The exact rate of the element at a flat index, and its error."""
        at = bisect_right(list(accumulate(self.spans)), index) if len(self.rates) > 1 else 0
        return self.rates[at], self.rate_errors[at]


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
    return _units(compute, single, storage if declared.subnormals == "flush" else None)


@lru_cache(maxsize=64)
def _units(compute: Format, single: bool, flushed: Format | None) -> Units:
    return Units.of(compute, FORMATS["float32"] if single else compute, flushed)


def laws_of(
    declared: Declaration, hyper: Mapping[str, Any], params: Arrays, grads: Arrays, step: int
) -> list[tuple[Law | Shrink, list[str]]]:
    """The laws of 0-based ``step``, each with the tensors that are under it."""
    grouped: dict[str, list[str]] = {}
    for name, grad in grads.items():
        grouped.setdefault(_kind(declared, hyper, name, params[name], grad, step), []).append(name)
    laws: list[tuple[Law | Shrink, list[str]]] = []
    for kind, names in grouped.items():
        first = names[0]
        law = law_of(declared, hyper, first, params[first], grads[first], step)
        if isinstance(law, Law) and kind in ("rms", "not judged") and len(names) > 1:
            law = _joined(law, hyper, {name: params[name] for name in names}, step)
        laws.append((law, names))
    return laws


def _joined(law: Law, hyper: Mapping[str, Any], params: Arrays, step: int) -> Law:
    """One law for tensors that differ in their rates alone."""
    rates, errors, spans = _rates(hyper, params, step, law.units)
    return replace(law, rates=rates, rate_errors=errors, spans=spans)


Rates = tuple[tuple[Fraction, ...], tuple[Fraction, ...], tuple[int, ...]]


def _rates(hyper: Mapping[str, Any], params: Arrays, step: int, units: Units) -> Rates:
    """The rates of Tiger for some tensors, their errors, and for how many elements each holds."""
    factor = factor_at(hyper["schedule"], step)
    rate, shared = Fraction(hyper["lr"]) * factor, _schedule_roundings(hyper["schedule"], factor)
    rates: list[Fraction] = []
    errors: list[Fraction] = []
    spans: list[int] = []
    for name, param in params.items():
        own, counted = _scaled(rate, param, _role(hyper, name))
        rates += own
        errors += [(1 + shared) * units.uc + counted * units.u] * len(own)
        spans += [param.size // len(own)] * len(own)
    return tuple(rates), tuple(errors), tuple(spans)


def _kind(declared: Declaration, hyper: Mapping[str, Any], name: str, param: Array, grad: Array, step: int) -> str:
    """Equal for tensors that can be judged together: all under Lion and Signum, by role under Tiger."""
    if declared.rule != "tiger":
        return ""
    role = _role(hyper, name)
    if np.isnan(grad.astype(np.float64)).any():
        return f"nan, centre {CENTRE[role]}"
    if (step + 1) % hyper["accumulation_steps"]:
        return "kept"
    if role in ("bias", "scale"):
        return "half"
    return "rms" if _squares_fit(param, units_of(declared, format_of(param.dtype))) else "not judged"


def _role(hyper: Mapping[str, Any], name: str) -> str:
    roles = hyper["roles"]
    return role_by_name(name) if roles is None else str(roles[name])


def law_of(
    declared: Declaration, hyper: Mapping[str, Any], name: str, param: Array, grad: Array, step: int
) -> Law | Shrink:
    """The law of 0-based ``step`` for the tensor ``name``, whose parameter is ``param`` before it."""
    storage = format_of(param.dtype)
    units = units_of(declared, storage)
    if declared.rule == "tiger":
        return _tiger(declared, hyper, name, param, grad, step, units)
    direction, memory = averages(declared.rule, hyper, step)
    return Law(
        direction, memory, (Fraction(hyper["lr"]),), (units.uc,), Fraction(hyper["weight_decay"]), units, storage,
        sign_of_memory=declared.rule == "signum", nan=declared.nan,
    )  # fmt: skip


Average = tuple[Fraction, Fraction]


def averages(rule: str, hyper: Mapping[str, Any], step: int) -> tuple[Average, Average]:
    """The exact coefficients (b, a) of the average in the sign, and of the one that is kept."""
    if rule == "tiger":
        window, beta = hyper["accumulation_steps"], Fraction(hyper["beta"])
        average = (beta if step % window == 0 else Fraction(1), (1 - beta) / window)
        return average, average
    betas = hyper["betas"] if rule == "lion" else (hyper["beta"], hyper["beta"])
    direction, memory = ((Fraction(beta), 1 - Fraction(beta)) for beta in betas)
    return direction, memory


def _tiger(
    declared: Declaration, hyper: Mapping[str, Any], name: str, param: Array, grad: Array, step: int, units: Units
) -> Law | Shrink:
    role, storage = _role(hyper, name), format_of(param.dtype)
    if np.isnan(grad.astype(np.float64)).any():
        return Shrink(int(CENTRE[role]), Fraction(hyper["shrink"]), units, storage)
    window = hyper["accumulation_steps"]
    average, _ = averages("tiger", hyper, step)
    decays, moves = role in ("matrix", "embedding"), (step + 1) % window == 0
    rates, errors, spans = (
        _rates(hyper, {name: param}, step, units) if moves else ((Fraction(0),), (units.uc,), (param.size,))
    )
    return Law(
        average, average, rates, errors, Fraction(hyper["weight_decay"]) if decays else Fraction(0), units, storage,
        sign_of_memory=True, plain_rate=not decays, moves=moves, judged=not decays or _squares_fit(param, units),
        nan=declared.nan, spans=spans,
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
    ratios = [value.as_integer_ratio() for value in values]
    common = max(denominator for _, denominator in ratios)
    total = sum((numerator * (common // denominator)) ** 2 for numerator, denominator in ratios)
    return root(Fraction(total, common * common * len(values)), _ROOT_BITS)


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
