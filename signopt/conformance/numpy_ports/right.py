"""Ports that are right: every legal order of evaluation, and every legal habit, that a real port may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signopt.conformance.numpy_ports import pieces as w
from signopt.conformance.numpy_ports.base import Array, NumpyPort
from signopt.conformance.numpy_ports.bases import BASES
from signopt.conformance.numpy_ports.right_averages import AVERAGES, complement_in_dtype, configures_single
from signopt.conformance.numpy_ports.right_muon import RIGHT_MUON
from signopt.conformance.numpy_ports.right_steps import STEPS, Table, decay_first
from signopt.conformance.numpy_ports.right_tiger import RIGHT_TIGER, complement_coefficients
from signopt.conformance.numpy_ports.variant import Variant, variant
from signopt.conformance.oracle.rules import RULES, SignRule

__all__ = ["RIGHT_PORTS"]

ALL = ("float32", "float64", "float16", "bfloat16")


def _half(rule: str) -> tuple[Variant, ...]:
    return (
        variant(
            rule,
            "halves",
            "float16 and bfloat16 with float32 arithmetic",
            dtypes=ALL,
            declared={"dtypes": list(ALL)},
        ),
        variant(
            rule,
            "halves-decay-first",
            "16 bits, decay first",
            dtypes=ALL,
            move=decay_first,
            declared={"dtypes": list(ALL)},
        ),
        variant(
            rule,
            "halves-hidden",
            "16 bits, momentum not shown",
            dtypes=ALL,
            momentum=lambda self: None,
            declared={"dtypes": list(ALL)},
        ),
    )


def _single_only(rule: str) -> tuple[Variant, ...]:
    """Ports of float32 alone, whose hyperparameters are rounded to it."""
    single: dict[str, Any] = {
        "init": w.single_init,
        "configure": configures_single,
        "declared": {"dtypes": ["float32"]},
    }
    in_windows = hasattr(BASES[rule], "coefficients")
    complement = {"coefficients": complement_coefficients} if in_windows else {"complement": complement_in_dtype}
    return (
        variant(rule, "float32-hyper", "float32 alone, hyperparameters held in it", dtypes=("float32",), **single),
        variant(
            rule,
            "float32-complement",
            "float32 alone, 1−β from the rounded β",
            dtypes=("float32",),
            **single,
            **complement,
        ),
    )


def _sign_descent(self: Any, name: str, p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    if self.beta():
        new: tuple[Array, Array] = w.plain(self).update(self, name, p, g, m)
        return new
    s = self.sign(self.look(m, g, g))
    return self.move(p, s, self.lr(), self.decay(name, p, s)), m


def _shown_if_read(self: Any) -> Any:
    return NumpyPort.momentum(self) if self.beta() else None


_SIGN_DESCENT: Table = (
    (
        "sign-descent-at-zero",
        "with β = 0 no momentum is read, written or shown",
        {"update": _sign_descent, "momentum": _shown_if_read},
    ),
)

_OWN: Mapping[str, Table] = {"tiger": RIGHT_TIGER}
"""Beside what every sign rule has."""

_OF_SIGNS = ("plain", "sign-", "python-", "chunks", "flat-", "blocks-", "refuses-", "subnormals-")


def _rows(rule: str, *tables: Table) -> tuple[Variant, ...]:
    return tuple(variant(rule, key, summary, **pieces) for table in tables for key, summary, pieces in table)


def _of_sign_rule(rule: SignRule) -> tuple[Variant, ...]:
    averages = AVERAGES if rule.elementwise else ()
    descent = _SIGN_DESCENT if rule.idle_at_zero else ()
    tables = (STEPS, averages, descent, _OWN.get(rule.name, ()))
    return (*_rows(rule.name, *tables), *_half(rule.name), *_single_only(rule.name))


def _elementwise_habits(rule: str) -> tuple[Variant, ...]:
    """The ports of the tables above whose peculiarity is neither a sign nor a cut through a tensor."""
    chosen = tuple(row for row in (*STEPS, *AVERAGES) if not row[0].startswith(_OF_SIGNS))
    return (*_rows(rule, chosen), *_single_only(rule))


RIGHT_PORTS: Mapping[str, tuple[Variant, ...]] = {
    **{rule.name: _of_sign_rule(rule) for rule in RULES.values() if isinstance(rule, SignRule) and rule.name in BASES},
    "muon": (*_elementwise_habits("muon"), *RIGHT_MUON),
}
"""For each rule the ports that no check may accuse; a sign rule with a plain port has those of any of them."""
