"""What a hyperparameter may be. Each function returns the value in its one form or says what is wrong with it.

A number may be given as a 0-d array of any library, which stands for the number that it holds. If the array is traced,
that is not known yet: it comes back as a :class:`~signopt._traced.Traced`, and its range cannot be checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import numpy as np

from signopt._traced import Traced, concrete, known, scalar

__all__ = [
    "Schedule",
    "accumulation_steps",
    "axis",
    "betas",
    "eps",
    "factor",
    "flag",
    "learning_rate",
    "micro_step",
    "non_negative_integer",
    "ns_steps",
    "one_beta",
    "one_of",
    "real",
    "schedule",
    "seed",
    "shrink",
    "weight_decay",
]

MOST_STEPS = 2**63 - 1
"""The largest count: floats can be formed from it, and files and other languages can hold it."""

Schedule: TypeAlias = Mapping[int, float] | Callable[[int], float] | None


def learning_rate(value: Any, name: str = "lr") -> float:
    """A finite float, zero or positive."""
    return _non_negative(value, name)


def weight_decay(value: Any, name: str = "weight_decay") -> float:
    """A finite float, zero or positive."""
    return _non_negative(value, name)


def factor(value: Any, name: str = "factor") -> float:
    """A finite float, zero or positive, that multiplies the learning rate."""
    return _non_negative(value, name)


def one_beta(value: Any, name: str = "beta") -> float:
    """A float in [0, 1): 1 would never let a gradient in."""
    number = real(value, name)
    if known(number) and not 0.0 <= number < 1.0:
        raise ValueError(f"{name} must lie in [0, 1), got {number!r}")
    return number


def betas(value: Any, name: str = "betas") -> tuple[float, float]:
    """A pair of floats in [0, 1)."""
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__len__") or len(value) != 2:
        raise TypeError(f"{name} must be a pair (beta1, beta2), got {value!r}")
    return one_beta(value[0], f"{name}[0]"), one_beta(value[1], f"{name}[1]")


def shrink(value: Any, name: str = "shrink") -> float:
    """A float in [0, 1]: the factor that pulls a tensor towards its centre when its gradient has a NaN."""
    number = real(value, name)
    if known(number) and not 0.0 <= number <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {number!r}")
    return number


def seed(value: Any, name: str = "seed") -> int:
    """Of what random words are a function, beside step, tensor and element: below 2⁶³, so that files can hold it."""
    return _at_least(0, _known_integer(value, name), f"{name} must be zero or positive")


def accumulation_steps(value: Any, name: str = "accumulation_steps") -> int:
    """The number of micro-steps in a window, 1 or more."""
    return _at_least(1, _integer(value, name), f"{name} must be 1 or more")


def eps(value: Any, name: str = "eps") -> float:
    """A finite float, zero or positive."""
    return _non_negative(value, name)


def ns_steps(value: Any, name: str = "ns_steps") -> int:
    """The number of steps of an iteration, 1 or more."""
    return _at_least(1, _known_integer(value, name), f"{name} must be 1 or more")


def flag(value: Any, name: str) -> bool:
    """True or False, and nothing that is merely true or false in a condition."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def one_of(value: Any, options: tuple[str, ...], name: str) -> str:
    """One of a few names."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}; got {value!r}")
    return value


def axis(value: Any, name: str) -> int | None:
    """An index of an axis, or None."""
    return None if value is None else _known_integer(value, name)


def non_negative_integer(value: Any, name: str) -> int:
    """An integer, 0 or more."""
    return _at_least(0, _known_integer(value, name), f"{name} must be 0 or more")


def micro_step(value: Any, name: str = "step") -> int:
    """The 0-based index of a micro-step."""
    return _at_least(0, _integer(value, name), f"{name} counts micro-steps from 0")


def schedule(value: Any, name: str = "schedule") -> Schedule:
    """None, a callable, or a non-empty mapping {micro-step: factor}, which is copied and frozen."""
    if value is None:
        return None
    if callable(value):
        return cast("Callable[[int], float]", value)
    if not isinstance(value, Mapping):
        raise TypeError(
            f"{name} must be None, a mapping {{micro-step: factor}} or a callable step -> factor, "
            f"got {type(value).__name__}"
        )
    if not value:
        raise ValueError(f"{name} is an empty mapping; use None for a constant factor of 1")
    points = {
        micro_step(step, f"a key of {name}"): _non_negative(factor, f"{name}[{step!r}]")
        for step, factor in value.items()
    }
    return MappingProxyType(dict(sorted(points.items())))


def _non_negative(value: Any, name: str) -> float:
    number = real(value, name)
    if known(number) and number < 0.0:
        raise ValueError(f"{name} must be zero or positive, got {number!r}")
    return number


def real(value: Any, name: str) -> float:
    """A finite float."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a real number, got {type(value).__name__}: {value!r}")
    if not isinstance(value, (Real, Decimal)):
        value = scalar(value, name)
        if isinstance(value, Traced):
            return cast("float", value)
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name} is larger than any float") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number!r}")
    return number


def _integer(value: Any, name: str) -> int:
    if not isinstance(value, (bool, np.bool_, Integral)) and getattr(value, "ndim", 1) == 0:
        value = scalar(value, name)
    if isinstance(value, Traced):
        if not value.is_integer():
            raise TypeError(f"{name} must be an integer, got a traced {value.array.dtype}")
        return cast("int", value)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}: {value!r}")
    number = int(value)
    if abs(number) > MOST_STEPS:
        raise ValueError(f"{name} must be at most 2⁶³ − 1, got a number of {number.bit_length()} bits")
    return number


def _at_least(least: int, number: int, demand: str) -> int:
    """``number``, unless it is known and too small."""
    if known(number) and number < least:
        raise ValueError(f"{demand}, got {number}")
    return number


def _known_integer(value: Any, name: str) -> int:
    """An integer that decides what is computed, and so may not be traced."""
    return int(concrete(_integer(value, name), name))
