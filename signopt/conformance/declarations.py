"""What a port may declare about itself in ``describe()``, with the defaults.

=================== ============================== ==========================================================
key                 default                        meaning
=================== ============================== ==========================================================
``name``            required                       what the report calls the port
``rule``            required                       a rule of the suite, such as "lion"
``version``         ""                             of the implementation
``dtypes``          ["float32", "float64"]         any of float64, float32, float16, bfloat16
``subnormals``      "keep"                         "flush": subnormal operands and results may become 0
``compute``         "float32"                      arithmetic on 16-bit arrays; "storage": in their own dtype
``momentum_dtype``  that of the parameter          the dtype in which the momentum is kept
``defaults``        none                           the port's default hyperparameters, to compare with the source
``nan``             "propagate"                    sign(NaN) is NaN; "zero": sign(NaN) is 0
``hyper``           "double"                       "float32": hyperparameters are float32 also for float64
``decay``           none; "strict" needs it        "bracket" or "first" (see `oracle.arithmetic.Order`)
``form``            none; "strict" needs it        "mul-add", "fma", "lerp", "torch-lerp" or "difference"
``complement``      "double"                       1 − β in binary64; "dtype": from the rounded β
``roles``           ["given", "names"]             Tiger: roles as given in ``hyper``, or read from the names
``momentum_form``   either, found out              Muon: "ema", β·m + (1−β)·g, or "sum", β·m + g
``eps_form``        either, found out              Muon: "add", ‖u‖ + ε, or "max", max(‖u‖, ε)
``ns_dtype``        that of the arithmetic         Muon: the dtype of the iteration
``layout``          "out_in"                       Muon: "in_out" if the first axis of a matrix is that of the inputs
``range``           "plain"                        Muon: "scaled" if the norm does not overflow or underflow
``fixed``           none                           Muon: hyperparameters that cannot be set and have their defaults,
                                                   the port's own in ``defaults``, else lr 1e-3, beta 0.95,
                                                   weight_decay 0.1, nesterov, (3.4445, −4.775, 2.0315), 5 steps,
                                                   eps 1e-7, "original"
``decay_form``      "plain"                        Muon: "spectral" if λ multiplies θ·x·xᵀ/(xᵀx), x after
                                                   ``rounds`` rounds of the power iteration from ones;
                                                   "spectral-svd" if σ₁·u·vᵀ
``rounds``          10                             of the power iteration
``other_rule``      none                           Muon: ["vectors"], ["axes"] or both, if tensors of fewer or of more
                                                   than two axes are stepped by another rule; they are not judged
``orthogonalizer``  the polynomial                 Muon: [lo, hi], the range of the singular values of X, if it is made
                                                   in another way (SVD, another polynomial)
=================== ============================== ==========================================================

The first four are for every rule; the others are habits of the rule (:mod:`signopt.conformance.oracle.habits`). A key
that is not listed is carried into the report, remarked upon, and has no effect. A port may also have two methods beyond
the interface: ``configure(hyper)`` changes hyperparameters between steps, and a ``momentum()`` of None hides the
momentum.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from signopt.conformance.errors import DeclarationError
from signopt.conformance.oracle.formats import FORMATS
from signopt.conformance.oracle.habits import names_of
from signopt.conformance.oracle.rules import RULES

__all__ = ["RULES", "Declaration"]

_MOST_REMARKS = 10
_READ_ELSEWHERE = ("configure", "round_with", "rules", "constructor_defaults")
_EVERY_RULE = ("name", "rule", "version", "dtypes")


@dataclass(frozen=True)
class Declaration:
    """A port's description, checked.

    ``habits`` is of the class that the rule names: the further keys of the table above. ``other`` has the keys that
    neither this nor the rule knows.
    """

    name: str
    rule: str
    version: str
    dtypes: tuple[str, ...]
    habits: Any
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
        if described["rule"] not in RULES:
            listed = ", ".join(map(repr, RULES))
            raise DeclarationError(f"describe()['rule'] is {described['rule']!r}; known are {listed}")
        rule = RULES[described["rule"]]
        try:
            dtypes = names_of("dtypes", described.get("dtypes", rule.dtypes), tuple(FORMATS))
            habits = rule.habits.of(described)
        except ValueError as error:
            raise DeclarationError(str(error)) from None
        known = {*_EVERY_RULE, *(each.name for each in fields(rule.habits))}
        other = {str(key): value for key, value in described.items() if key not in known}
        return cls(described["name"], rule.name, str(described.get("version", "")), dtypes, habits, other)

    def unread(self) -> list[str]:
        """A remark for each key that nothing reads, with the known key that it may be meant for."""
        known = [*_EVERY_RULE, *(each.name for each in fields(self.habits))]
        unread = [key for key in self.other if key not in _READ_ELSEWHERE][:_MOST_REMARKS]
        return [f"describe() has {key[:80]!r}, which nothing reads{_meant(key, known)}" for key in unread]


def _meant(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; is {near[0]!r} meant?" if near else ""
