"""A case: the inputs of one vector, before anything is known of what should come out."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BINARY_DTYPES", "Case", "Values", "ordinary", "spread"]

Values = Sequence[float]
BINARY_DTYPES = ("float32", "float64", "float16", "bfloat16")


@dataclass(frozen=True)
class Case:
    """Inputs of one vector, the same numbers in every dtype (rounded to it if they must be).

    Attributes
    ----------
    name:
        The last part of the vector's id, stable for ever.
    comment:
        What a port that fails here has probably got wrong, in a sentence.
    flags:
        Keys of the notes: known bugs that this vector catches.
    hyper:
        Hyperparameters of the rule.
    params, momentum:
        Values by tensor name; a missing momentum starts at zero.
    grads:
        One mapping of values for each step.
    shapes:
        Shapes other than a plain vector, by tensor name.
    requires:
        Declarations under which the vector applies, for example ``{"nan": "zero"}``.
    dtypes:
        Where the numbers make sense.
    changes:
        {step: hyperparameters that change before it}.
    resets:
        {step: {tensor: values that the parameter is set to before it}}; a step may follow one that allows several
        outcomes if all its parameters are set.
    """

    name: str
    comment: str
    hyper: Mapping[str, Any]
    params: Mapping[str, Values]
    grads: Sequence[Mapping[str, Values]]
    momentum: Mapping[str, Values] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    requires: Mapping[str, str] = field(default_factory=dict)
    dtypes: tuple[str, ...] = BINARY_DTYPES
    changes: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    resets: Mapping[int, Mapping[str, Values]] = field(default_factory=dict)

    def hyper_at(self, step: int) -> dict[str, Any]:
        """The hyperparameters of a step."""
        hyper = dict(self.hyper)
        for at in sorted(self.changes):
            hyper |= self.changes[at] if at <= step else {}
        return hyper


def ordinary(count: int, seed: int, scale: float = 1.0) -> list[float]:
    """``count`` numbers of both signs between ``scale``/8 and ``scale``, the same on every machine."""
    stream = random.Random(seed)
    return [scale * stream.choice((-1, 1)) * (0.125 + 0.875 * stream.random()) for _ in range(count)]


def spread(count: int, of: Callable[[int], float]) -> list[float]:
    """``of(0)``, …, ``of(count − 1)``."""
    return [of(i) for i in range(count)]
