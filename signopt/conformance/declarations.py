"""What a port may declare about itself in ``describe()``, with the defaults.

=================== ============================== ==========================================================
key                 default                        meaning
=================== ============================== ==========================================================
``name``            required                       what the report calls the port
``rule``            required                       "lion", "signum" or "tiger"
``version``         ""                             of the implementation
``dtypes``          ["float32", "float64"]         any of float64, float32, float16, bfloat16
``nan``             "propagate"                    sign(NaN) is NaN; "zero": sign(NaN) is 0
``subnormals``      "keep"                         "flush": subnormal operands and results may become 0
``compute``         "float32"                      arithmetic on 16-bit arrays; "storage": in their own dtype
``hyper``           "double"                       "float32": hyperparameters are float32 also for float64
``momentum_dtype``  that of the parameter          the dtype in which the momentum is kept
``decay``           none; "strict" needs it        "bracket" or "first" (see `exact.Order`)
``form``            none; "strict" needs it        "mul-add", "fma", "lerp", "torch-lerp" or "difference"
``complement``      "double"                       1 − β in binary64; "dtype": from the rounded β
``defaults``        none                           the port's default hyperparameters, to compare with the source
``roles``           ["given", "names"]             Tiger: roles as given in ``hyper``, or read from the names
=================== ============================== ==========================================================

A key that is not listed is carried into the report and has no effect. A port may also have two methods beyond the
interface: ``configure(hyper)`` changes hyperparameters between steps, and a ``momentum()`` of None hides the momentum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from signopt.conformance.oracle.arithmetic import COMPLEMENTS, DECAYS, FORMS, Order
from signopt.conformance.oracle.formats import FORMATS, Format, compute_format
from signopt.conformance.oracle.rules import RULES

__all__ = ["RULES", "Declaration", "DeclarationError"]

_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "rule": tuple(RULES),
    "nan": ("propagate", "zero"),
    "subnormals": ("keep", "flush"),
    "compute": ("float32", "storage"),
    "hyper": ("double", "float32"),
    "momentum_dtype": (None, *FORMATS),
    "decay": (None, *DECAYS),
    "form": (None, *FORMS),
    "complement": COMPLEMENTS,
}


class DeclarationError(ValueError):
    """``describe()`` says something that the suite cannot act on."""


@dataclass(frozen=True)
class Declaration:
    """A port's description, checked; the fields are the table above."""

    name: str
    rule: str
    version: str = ""
    dtypes: tuple[str, ...] = ("float32", "float64")
    nan: str = "propagate"
    subnormals: str = "keep"
    compute: str = "float32"
    hyper: str = "double"
    momentum_dtype: str | None = None
    decay: str | None = None
    form: str | None = None
    complement: str = "double"
    defaults: Mapping[str, Any] | None = None
    roles: tuple[str, ...] = ("given", "names")
    other: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, described: Any) -> Declaration:
        """Check what ``describe()`` returned.

        Raises
        ------
        DeclarationError
            For anything but a mapping with a name, a known rule, and known values; it says which key and what is
            known.
        """
        if not isinstance(described, Mapping):
            raise DeclarationError(f"describe() must return a mapping, not {type(described).__name__}")
        for key in ("name", "rule"):
            if not isinstance(described.get(key), str) or not described[key]:
                raise DeclarationError(f"describe() must have a {key!r}, a non-empty string")
        known = {key: value for key, value in described.items() if key in cls.__dataclass_fields__}
        known.pop("other", None)
        for key, choices in _CHOICES.items():
            if key in known and known[key] not in choices:
                listed = ", ".join(repr(choice) for choice in choices)
                raise DeclarationError(f"describe()[{key!r}] is {known[key]!r}; known are {listed}")
        known["version"] = str(known.get("version", ""))
        for key, choices in (("dtypes", tuple(FORMATS)), ("roles", ("given", "names"))):
            if key in known:
                known[key] = _names(key, known[key], choices)
        if known.get("defaults") is not None and not isinstance(known["defaults"], Mapping):
            raise DeclarationError("describe()['defaults'] must be a mapping of hyperparameters")
        other = {str(key): value for key, value in described.items() if key not in known}
        return cls(**known, other=other)

    def compute_format(self, storage: Format) -> Format:
        """The format of the arithmetic on arrays stored as ``storage``."""
        return storage if self.compute == "storage" else compute_format(storage)

    def order(self) -> Order | None:
        """The order of evaluation for the strict profile; None where it is not declared."""
        if self.decay is None or self.form is None:
            return None
        return Order(decay=self.decay, form=self.form, complement=self.complement)


def _names(key: str, value: Any, choices: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise DeclarationError(f"describe()[{key!r}] must be a non-empty list of names")
    unknown = [str(name) for name in value if name not in choices]
    if unknown:
        raise DeclarationError(f"describe()[{key!r}] has {', '.join(unknown)}; known are {', '.join(choices)}")
    return tuple(dict.fromkeys(value))
