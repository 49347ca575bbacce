"""The independent oracle: Lion, Signum and Tiger in exact rational arithmetic.

Nothing here knows the library's own rules: each operation is carried out on the exact ratio of its operands
and rounded once, so that this file and ``signopt.rules`` are two derivations of one contract that must agree
in every bit. The written order (decay in the bracket, multiply-add, 1 − β in binary64) is the default; the
orders that a port may declare instead are arguments, and what all legal orders together may give is in
:mod:`signopt.conformance.oracle.judge`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from signopt.conformance.oracle.formats import FORMATS, Format, compute_format, format_of

__all__ = [
    "CANONICAL",
    "Arithmetic",
    "Order",
    "factor_at",
    "floats",
    "lion",
    "root",
    "root_mean_square",
    "scales",
    "sign",
    "signum",
    "tiger",
]

Array = np.ndarray[Any, Any]
BINARY64 = FORMATS["float64"]


def sign(value: float) -> float:
    """−1, 0 or 1; NaN for NaN, and +0 for either zero."""
    if math.isnan(value):
        return value
    return float((value > 0) - (value < 0))


@dataclass(frozen=True)
class Arithmetic:
    """+, −, × and fused multiply-add on numbers of one format, each rounded once from the exact result."""

    format: Format

    def add(self, a: float, b: float) -> float:
        """``a + b``."""
        if not (math.isfinite(a) and math.isfinite(b)):
            return a + b
        (n, d), (k, e) = a.as_integer_ratio(), b.as_integer_ratio()
        exact = n * e + k * d
        return self.format.round_ratio(exact, d * e) if exact else a + b

    def sub(self, a: float, b: float) -> float:
        """``a − b``."""
        return self.add(a, -b)

    def mul(self, a: float, b: float) -> float:
        """``a·b``."""
        if a == 0 or b == 0 or not (math.isfinite(a) and math.isfinite(b)):
            return a * b
        (n, d), (k, e) = a.as_integer_ratio(), b.as_integer_ratio()
        return self.format.round_ratio(n * k, d * e)

    def fma(self, a: float, b: float, c: float) -> float:
        """``a·b + c`` with one rounding."""
        if not (math.isfinite(a) and math.isfinite(b)):
            return a * b + c
        if not math.isfinite(c):
            return c
        exact = Fraction(a) * Fraction(b) + Fraction(c)
        if exact:
            return self.format.round(exact)
        return 0.0 if a and b else a * b + c


@dataclass(frozen=True)
class Order:
    """An order of evaluation that a port may declare for the strict profile.

    ``decay``: "bracket" p − lr·(s + wd·p), or "first" p·(1 − lr·wd) − lr·s.
    ``form``: "mul-add" b·m + a·g; "fma" the same with the last product fused into the sum, fma(a, g, b·m);
    "lerp" m + a·(g − m); "torch-lerp" the same with the sum fused, and from the other end g − (g − m)·(1 − a)
    where a ≥ 0.5; "difference" (m − g)·b + g.
    ``complement``: 1 − β formed in "double", or in the "dtype" from the rounded β.
    """

    decay: str = "bracket"
    form: str = "mul-add"
    complement: str = "double"


CANONICAL = Order()
_BINARY64 = Arithmetic(BINARY64)


def _mul_add(x: Arithmetic, b: float, a: float, m: float, g: float) -> float:
    return x.add(x.mul(b, m), x.mul(a, g))


def _fma(x: Arithmetic, b: float, a: float, m: float, g: float) -> float:
    return x.fma(a, g, x.mul(b, m))


def _lerp(x: Arithmetic, b: float, a: float, m: float, g: float) -> float:
    return x.add(m, x.mul(a, x.sub(g, m)))


def _torch_lerp(x: Arithmetic, b: float, a: float, m: float, g: float) -> float:
    rise = x.sub(g, m)
    return x.fma(a, rise, m) if a < 0.5 else x.fma(-rise, x.sub(1.0, a), g)


def _difference(x: Arithmetic, b: float, a: float, m: float, g: float) -> float:
    return x.add(x.mul(x.sub(m, g), b), g)


FORMS: Mapping[str, Callable[[Arithmetic, float, float, float, float], float]] = {
    "mul-add": _mul_add, "fma": _fma, "lerp": _lerp, "torch-lerp": _torch_lerp, "difference": _difference,
}  # fmt: skip
DECAYS = ("bracket", "first")
COMPLEMENTS = ("double", "dtype")

Schedule = Mapping[int, float] | Callable[[int], float] | None
Average = Callable[[float, float], float]
Move = Callable[[float, float], float]


def _coefficients(x: Arithmetic, beta: float, share: int, order: Order) -> tuple[float, float]:
    """β and (1−β)/share in the format of ``x``, the latter by way of binary64 or of the dtype."""
    b = x.format.cast(beta)
    wide, start = (x, b) if order.complement == "dtype" else (_BINARY64, beta)
    shared = Fraction(wide.sub(1.0, start)) / share
    return b, x.format.cast(wide.format.round(shared))


def _average(x: Arithmetic, b: float, a: float, order: Order) -> Average:
    """The moving average b·m + a·g as a function of (m, g)."""
    form = FORMS[order.form]
    return lambda m, g: form(x, b, a, m, g)


def _move(x: Arithmetic, rate: float, weight_decay: float, order: Order) -> Move:
    """The update of the parameter as a function of (p, s); ``rate`` and ``weight_decay`` are binary64."""
    r, wd = x.format.cast(rate), x.format.cast(weight_decay)
    if order.decay == "bracket":
        return lambda p, s: x.sub(p, x.mul(r, x.add(s, x.mul(wd, p))))
    kept = x.format.cast(_BINARY64.sub(1.0, _BINARY64.mul(rate, weight_decay)))
    return lambda p, s: x.sub(x.mul(p, kept), x.mul(r, s))


def floats(array: Array) -> list[float]:
    """The elements of an array of any shape and any of the four dtypes, exactly, in C order."""
    values: list[float] = np.asarray(array).astype(np.float64).ravel().tolist()
    return values


def _stored(values: list[float], like: Array) -> Array:
    """Rounded once to the dtype of ``like``, in its shape."""
    target = format_of(like.dtype)
    return np.array([target.cast(v) for v in values], np.float64).astype(target.dtype).reshape(like.shape)


def _arithmetic(param: Array, compute: str | None) -> Arithmetic:
    return Arithmetic(FORMATS[compute] if compute else compute_format(format_of(param.dtype)))


def lion(
    param: Array, grad: Array, momentum: Array, *, lr: float, betas: tuple[float, float], weight_decay: float,
    order: Order = CANONICAL, compute: str | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """One step of Lion: the parameter and the momentum, rounded operation by operation in ``order``.

    c = β1·m + (1−β1)·g;  p − lr·(sign(c) + wd·p);  β2·m + (1−β2)·g. ``compute`` names the dtype of the
    intermediates; by default float64 for float64 and float32 for all else.
    """
    x = _arithmetic(param, compute)
    direction, remembered = (_average(x, *_coefficients(x, beta, 1, order), order) for beta in betas)
    move = _move(x, lr, weight_decay, order)
    rows = list(zip(floats(param), floats(grad), floats(momentum), strict=True))
    moved = [move(p, sign(direction(m, g))) for p, g, m in rows]
    return _stored(moved, param), _stored([remembered(m, g) for _, g, m in rows], momentum)


def signum(
    param: Array, grad: Array, momentum: Array, *, lr: float, beta: float, weight_decay: float,
    order: Order = CANONICAL, compute: str | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """One step of Signum: m' = β·m + (1−β)·g; p − lr·(sign(m') + wd·p), m' before its rounding to storage."""
    x = _arithmetic(param, compute)
    average = _average(x, *_coefficients(x, beta, 1, order), order)
    move = _move(x, lr, weight_decay, order)
    new = [average(m, g) for m, g in zip(floats(momentum), floats(grad), strict=True)]
    moved = [move(p, sign(m)) for p, m in zip(floats(param), new, strict=True)]
    return _stored(moved, param), _stored(new, momentum)


def factor_at(schedule: Schedule, step: int) -> Fraction:
    """The exact factor on the rate at a micro-step: linear between the keys, constant after the last.

    (0, 0) stands in front when the first key is not 0; no schedule is the factor 1.
    """
    if schedule is None:
        return Fraction(1)
    if callable(schedule):
        return Fraction(schedule(step))
    points = sorted(({0: 0.0} | dict(schedule)).items())
    at = bisect_right([key for key, _ in points], step)
    (start, low), (end, high) = points[at - 1], points[min(at, len(points) - 1)]
    if start == end:
        return Fraction(low)
    share = Fraction(step - start, end - start)
    return Fraction(low) * (1 - share) + Fraction(high) * share


def root_mean_square(values: Iterable[float], target: Format) -> float:
    """sqrt(mean(v²)) of finite numbers, correctly rounded: the sum exact, the root by integer square root."""
    squares = [Fraction(v) ** 2 for v in values]
    mean = sum(squares, Fraction(0)) / len(squares)
    return target.round(root(mean, target.precision + 8))


def root(value: Fraction, bits: int) -> Fraction:
    """√value to ``bits`` significant bits and a sticky bit below, which makes a later rounding correct."""
    if not value:
        return value
    scale = bits - (value.numerator.bit_length() - value.denominator.bit_length()) // 2
    shifted = value * Fraction(4) ** scale
    whole = math.isqrt(int(shifted))
    inexact = whole * whole != shifted
    return Fraction(2 * whole + inexact, 2) / Fraction(2) ** scale


CENTRE = {"matrix": 0.0, "embedding": 0.0, "bias": 0.0, "scale": 1.0}


def scales(param: Array, role: str) -> Array:
    """What multiplies Tiger's rate, broadcastable to ``param``: the tensor's RMS, each row's, or one half."""
    computed = compute_format(format_of(param.dtype))
    if role in ("bias", "scale"):
        return np.full((1,) * param.ndim, 0.5)
    rows = param.reshape(-1, param.shape[-1] if role == "embedding" and param.ndim else param.size)
    shape = (*param.shape[:-1], 1)[: param.ndim] if role == "embedding" else (1,) * param.ndim
    return np.array([root_mean_square(floats(row), computed) for row in rows], np.float64).reshape(shape)


def tiger(
    param: Array, grad: Array, momentum: Array, *, step: int, lr: float, beta: float, weight_decay: float,
    role: str, accumulation_steps: int = 1, shrink: float = 0.99, schedule: Schedule = None,
    rms: Array | None = None, order: Order = CANONICAL, compute: str | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """One micro-step of Tiger.

    With a NaN in ``grad`` the momentum stays and p becomes (p − centre)·shrink + centre. Else
    m' = b1·m + b2·g, b1 = β on a window's first micro-step and 1 on the others, b2 = (1−β)/k; and on its last
    p − r·(sign(m') + wd·p), where r is the rate times ``rms``, broadcast to ``param`` (by default
    :func:`scales`, correctly rounded). No decay for bias and scale.
    """
    x = _arithmetic(param, compute)
    if any(map(math.isnan, floats(grad))):
        return _shrunk(x, param, CENTRE[role], x.format.cast(shrink)), momentum.copy()
    b, a = _coefficients(x, beta, accumulation_steps, order)
    average = _average(x, 1.0 if step % accumulation_steps else b, a, order)
    new = [average(m, g) for m, g in zip(floats(momentum), floats(grad), strict=True)]
    if (step + 1) % accumulation_steps:
        return param.copy(), _stored(new, momentum)
    rate = _BINARY64.mul(lr, BINARY64.round(factor_at(schedule, step)))
    rates = _rates(x, rate, param, role, rms)
    decay = weight_decay if role in ("matrix", "embedding") else 0.0
    moved = [_move(x, r, decay, order)(p, sign(m)) for r, p, m in zip(rates, floats(param), new, strict=True)]
    return _stored(moved, param), _stored(new, momentum)


def _shrunk(x: Arithmetic, param: Array, centre: float, shrink: float) -> Array:
    return _stored([x.add(x.mul(x.sub(p, centre), shrink), centre) for p in floats(param)], param)


def _rates(x: Arithmetic, rate: float, param: Array, role: str, rms: Array | None) -> list[float]:
    """The rate of each element; one half of it is formed in binary64, where it is exact."""
    if role in ("bias", "scale"):
        return [x.format.cast(0.5 * rate)] * param.size
    r = x.format.cast(rate)
    if not param.size:
        return []
    multipliers = scales(param, role) if rms is None else rms
    return [x.mul(r, scale) for scale in floats(np.broadcast_to(multipliers, param.shape))]
