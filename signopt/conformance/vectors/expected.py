"""What a case allows to come out: for every element, the set of legal bit patterns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from signopt.conformance.declarations import Declaration
from signopt.conformance.oracle.arithmetic import Array
from signopt.conformance.oracle.formats import format_of
from signopt.conformance.oracle.judge import Allowed
from signopt.conformance.oracle.momentum import Momentum
from signopt.conformance.oracle.rules import RULES, Optimizer
from signopt.conformance.oracle.step import Step
from signopt.conformance.vectors.case import Case

__all__ = ["NotExactError", "Patterns", "arrays_of", "patterns", "steps"]

Patterns = list[list[str]]


class NotExactError(ValueError):
    """A step from whose outcome the next one starts allows more than one outcome."""


def arrays_of(case: Case, values: Mapping[str, Any], dtype: str) -> dict[str, Array]:
    """The values of a case as arrays of ``dtype``, in the case's shapes."""
    kind = format_of(dtype).dtype
    return {
        name: np.array(numbers, np.float64).astype(kind).reshape(case.shapes.get(name, (len(numbers),)))
        for name, numbers in values.items()
    }


def steps(case: Case, rule: str, dtype: str) -> Iterator[tuple[dict[str, Patterns], dict[str, Patterns]]]:
    """For each step of the case, the legal patterns of every parameter and of every momentum.

    Raises
    ------
    NotExactError
        If a step but the last one allows more than one outcome.
    """
    optimizer = RULES[rule]
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{rule} has no steps: its vectors are not made of cases")
    habits = Declaration.of({"name": "vectors", "rule": rule, **_judged_requirements(case)}).habits
    params = arrays_of(case, case.params, dtype)
    zeros = {name: np.zeros_like(param) for name, param in params.items()}
    momenta = zeros | {
        name: value.reshape(params[name].shape) for name, value in arrays_of(case, case.momentum, dtype).items()
    }
    for step, values in enumerate(case.grads):
        params |= {n: p.reshape(params[n].shape) for n, p in arrays_of(case, case.resets.get(step, {}), dtype).items()}
        grads = {name: g.reshape(params[name].shape) for name, g in arrays_of(case, values, dtype).items()}
        memory = {name: Momentum.shown(m, format_of(m.dtype)) for name, m in momenta.items()}
        allowed = optimizer.outcomes(habits, Step(step, case.hyper_at(step), params, grads, memory, params, None))
        yield (
            {name: [patterns(element, dtype) for element in p] for name, (p, _) in allowed.items()},
            {name: [patterns(element, dtype) for element in m] for name, (_, m) in allowed.items()},
        )
        if step + 1 < len(case.grads):
            _advance(case, params, momenta, step, allowed)


def _judged_requirements(case: Case) -> dict[str, str]:
    return {key: value for key, value in case.requires.items() if key != "roles"}


def _advance(
    case: Case,
    params: dict[str, Array],
    momenta: dict[str, Array],
    step: int,
    allowed: Mapping[str, tuple[list[Allowed], list[Allowed]]],
) -> None:
    """Go on from the one outcome that the step allows."""
    for name, (p, m) in allowed.items():
        if name not in case.resets.get(step + 1, {}):
            params[name] = _single(case, step, p, params[name])
        momenta[name] = _single(case, step, m, momenta[name])


def _single(case: Case, step: int, allowed: list[Allowed], like: Array) -> Array:
    if any(element.nan or len(element.ranges) != 1 or len(set(element.ranges[0])) != 1 for element in allowed):
        raise NotExactError(f"{case.name}: step {step} allows several outcomes, so no step can follow it")
    return np.array([element.ranges[0][0] for element in allowed], np.float64).astype(like.dtype).reshape(like.shape)


def patterns(allowed: Allowed, dtype: str) -> list[str]:
    """The legal bit patterns in hexadecimal: one pattern, or ``"first..last"`` by value; ``"nan"`` is any NaN."""
    ranges = sorted((_rank(low, dtype), _rank(high, dtype)) for low, high in allowed.ranges)
    return [*(_spelled(first, last, dtype) for first, last in _merged(ranges)), *(["nan"] if allowed.nan else [])]


def _merged(ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same numbers in as few rising ranges."""
    waiting: tuple[int, int] | None = None
    for first, last in ranges:
        if waiting is not None and first <= waiting[1] + 1:
            waiting = (waiting[0], max(last, waiting[1]))
            continue
        if waiting is not None:
            yield waiting
        waiting = (first, last)
    if waiting is not None:
        yield waiting


def _spelled(first: int, last: int, dtype: str) -> str:
    """A range of ranks; that of zero starts at −0, which is equal to +0 and as legal."""
    digits = 2 * format_of(dtype).bytes
    sign = 1 << (4 * digits - 1)
    low, high = (sign - first if first <= 0 else first), (sign - last if last < 0 else last)
    return f"{low:0{digits}x}" if low == high else f"{low:0{digits}x}..{high:0{digits}x}"


def _rank(value: float, dtype: str) -> int:
    """The place of a number among those of its dtype, counted from zero; −0 and +0 share it."""
    target = format_of(dtype)
    bits = int(np.array(value, np.float64).astype(target.dtype).view(f"u{target.bytes}"))
    sign = 1 << (8 * target.bytes - 1)
    return -(bits - sign) if bits & sign else bits
