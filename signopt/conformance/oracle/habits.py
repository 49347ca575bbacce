"""What a port may do in its own way, as it declares it in ``describe()``: one class of habits for each kind of rule.

A habit is a field with a default and a way to read it. `Habits.of` takes the fields that it knows out of a
description; a rule with other habits names a class of its own (see :mod:`signopt.conformance.oracle.rules`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from signopt.conformance.oracle.arithmetic import COMPLEMENTS, DECAYS, FORMS, Order
from signopt.conformance.oracle.formats import FORMATS, Format, compute_format

__all__ = ["Habits", "OptimizerHabits", "SignHabits", "mapping", "names_of", "one_of", "some_of", "whole"]


@dataclass(frozen=True)
class Habits:
    """The habits of one port; this base has none."""

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Self:
        """Read the declared habits.

        Raises
        ------
        ValueError
            For a value that the suite cannot act on; it says which key and what is known.
        """
        known = {each.name: each.metadata["read"] for each in fields(cls)}
        return cls(**{key: read(key, described[key]) for key, read in known.items() if key in described})


def one_of(*choices: Any) -> Any:
    """A habit that is one of these; the first is the default."""

    def read(key: str, value: Any) -> Any:
        if value not in choices:
            listed = ", ".join(repr(choice) for choice in choices)
            raise ValueError(f"describe()[{key!r}] is {value!r}; known are {listed}")
        return value

    return field(default=choices[0], metadata={"read": read})


def some_of(*choices: str) -> Any:
    """A habit that is a list of some of these; all by default."""
    return field(default=choices, metadata={"read": lambda key, value: names_of(key, value, choices)})


def names_of(key: str, value: Any, choices: tuple[str, ...]) -> tuple[str, ...]:
    """A declared list of names, without repetitions; ValueError if it is empty or has a name that is unknown."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError(f"describe()[{key!r}] must be a non-empty list of names")
    unknown = [str(name) for name in value if name not in choices]
    if unknown:
        raise ValueError(f"describe()[{key!r}] has {', '.join(unknown)}; known are {', '.join(choices)}")
    return tuple(dict.fromkeys(value))


def mapping() -> Any:
    """A habit that is a mapping, or None by default."""

    def read(key: str, value: Any) -> Any:
        if value is not None and not isinstance(value, Mapping):
            raise ValueError(f"describe()[{key!r}] must be a mapping of hyperparameters")
        return value

    return field(default=None, metadata={"read": read})


def whole(key: str, value: Any) -> int:
    """A declared number of rounds: 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"describe()[{key!r}] must be a positive whole number, not {value!r}")
    return value


@dataclass(frozen=True)
class OptimizerHabits(Habits):
    """What every optimizer may declare: the run of the suite reads these itself."""

    subnormals: str = one_of("keep", "flush")
    compute: str = one_of("float32", "storage")
    momentum_dtype: str | None = one_of(None, *FORMATS)
    defaults: Mapping[str, Any] | None = mapping()

    def compute_format(self, storage: Format) -> Format:
        """The format of the arithmetic on arrays stored as ``storage``."""
        return storage if self.compute == "storage" else compute_format(storage)


@dataclass(frozen=True)
class SignHabits(OptimizerHabits):
    """What a port of a sign rule may declare."""

    nan: str = one_of("propagate", "zero")
    hyper: str = one_of("double", "float32")
    decay: str | None = one_of(None, *DECAYS)
    form: str | None = one_of(None, *FORMS)
    complement: str = one_of(*COMPLEMENTS)

    def order(self) -> Order | None:
        """The order of evaluation for the strict profile; None if it is not declared."""
        if self.decay is None or self.form is None:
            return None
        return Order(decay=self.decay, form=self.form, complement=self.complement)
