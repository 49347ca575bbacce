"""Tiger: Signum in windows of micro-steps, with rate and decay by role, a schedule, and a shrinking after NaN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from signopt.conformance.oracle.arithmetic import CANONICAL, Array, floats, root
from signopt.conformance.oracle.bounds import Units
from signopt.conformance.oracle.examine import Laws
from signopt.conformance.oracle.formats import format_of
from signopt.conformance.oracle.habits import SignHabits, some_of
from signopt.conformance.oracle.law import Law, Shrink, units_of
from signopt.conformance.oracle.rules._rule import Hyper
from signopt.conformance.oracle.rules._sign import Average, SignRule
from signopt.conformance.oracle.rules._tiger_step import CENTRE, factor_at, scales, step
from signopt.conformance.oracle.step import Arrays

__all__ = ["TIGER", "TigerHabits", "role_by_name", "step"]

_ROOT_BITS = 120


@dataclass(frozen=True)
class TigerHabits(SignHabits):
    """Beside those of a sign rule: where the port reads the roles."""

    roles: tuple[str, ...] = some_of("given", "names")


class Tiger(SignRule):
    """The rule as the suite knows it."""

    name = "tiger"
    sources = ("https://kexue.fm/archives/9512", "https://github.com/bojone/tiger")
    hyper = (
        Hyper("lr", default=1e-3),
        Hyper("beta", default=0.965),
        Hyper("weight_decay", default=0.01),
        Hyper("accumulation_steps", "count", default=1),
        Hyper("shrink", default=0.99),
        Hyper("schedule", "schedule", usual=None),
        Hyper("roles", "roles"),
    )
    habits = TigerHabits
    sign_of_memory = True
    elementwise = False
    tensors = ("w/kernel", "w/bias")
    kinds = ("w/kernel", "e/embeddings", "b/bias", "n/gamma")

    def complete(self, habits: TigerHabits, hyper: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
        """The roles that the names say, given to a port that takes roles."""
        if "roles" in hyper:
            return dict(hyper)
        return {**hyper, "roles": {name: role_by_name(name) for name in names} if "given" in habits.roles else None}

    def moves_every(self, hyper: Mapping[str, Any]) -> int:
        """The length of a window."""
        return int(hyper["accumulation_steps"])

    def averages(self, hyper: Mapping[str, Any], step: int) -> tuple[Average, Average]:
        """β multiplies the momentum once a window, and the window's gradients share 1 − β."""
        window, beta = hyper["accumulation_steps"], Fraction(hyper["beta"])
        both = (beta if step % window == 0 else Fraction(1), (1 - beta) / window)
        return both, both

    def laws(self, habits: SignHabits, hyper: Mapping[str, Any], params: Arrays, grads: Arrays, step: int) -> Laws:
        """Tensors with the same law are judged together, and so are those that differ in their rates alone."""
        grouped: dict[str, list[str]] = {}
        for name, grad in grads.items():
            grouped.setdefault(_kind(habits, hyper, name, params[name], grad, step), []).append(name)
        laws: list[tuple[Law | Shrink, list[str]]] = []
        for kind, names in grouped.items():
            law = self.law(habits, hyper, names[0], params[names[0]], grads[names[0]], step)
            if isinstance(law, Law) and kind in ("rms", "not judged") and len(names) > 1:
                law = _joined(law, hyper, {name: params[name] for name in names}, step)
            laws.append((law, names))
        return laws

    def law(
        self, habits: SignHabits, hyper: Mapping[str, Any], name: str, param: Array, grad: Array, step: int
    ) -> Law | Shrink:
        """See `SignRule.law`."""
        role, storage = _role(hyper, name), format_of(param.dtype)
        units = units_of(habits, storage)
        if np.isnan(grad.astype(np.float64)).any():
            return Shrink(int(CENTRE[role]), Fraction(hyper["shrink"]), units, storage)
        both, _ = self.averages(hyper, step)
        decays, moves = role in ("matrix", "embedding"), (step + 1) % hyper["accumulation_steps"] == 0
        rates, errors, spans = (
            _rates(hyper, {name: param}, step, units) if moves else ((Fraction(0),), (units.uc,), (param.size,))
        )
        return Law(
            both, both, rates, errors, Fraction(hyper["weight_decay"]) if decays else Fraction(0), units, storage,
            sign_of_memory=True, plain_rate=not decays, moves=moves, judged=not decays or _squares_fit(param, units),
            nan=habits.nan, spans=spans,
        )  # fmt: skip

    def exact(
        self, habits: SignHabits, hyper: Mapping[str, Any], at: int, name: str, param: Array, grad: Array, m: Array
    ) -> Iterator[tuple[Array, Array]]:
        """With the RMS and its next two neighbours on either side: its sum may be taken in any order."""
        compute = habits.compute_format(format_of(param.dtype)).name
        role = _role(hyper, name)
        central = scales(param, role)
        spacing = np.spacing(central.astype("float64" if compute == "float64" else "float32")).astype(np.float64)
        own = {key: value for key, value in hyper.items() if key != "roles"}
        for ulps in (0, 1, -1, 2, -2) if role in ("matrix", "embedding") else (0,):
            yield step(
                param, grad, m, step=at, role=role, rms=central + ulps * spacing, **own,
                order=habits.order() or CANONICAL, compute=compute,
            )  # fmt: skip


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


def _kind(habits: SignHabits, hyper: Mapping[str, Any], name: str, param: Array, grad: Array, step: int) -> str:
    """Equal for tensors that can be judged together."""
    role = _role(hyper, name)
    if np.isnan(grad.astype(np.float64)).any():
        return f"nan, centre {CENTRE[role]}"
    if (step + 1) % hyper["accumulation_steps"]:
        return "kept"
    if role in ("bias", "scale"):
        return "half"
    return "rms" if _squares_fit(param, units_of(habits, format_of(param.dtype))) else "not judged"


def _role(hyper: Mapping[str, Any], name: str) -> str:
    roles = hyper["roles"]
    return role_by_name(name) if roles is None else str(roles[name])


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


TIGER = Tiger()
