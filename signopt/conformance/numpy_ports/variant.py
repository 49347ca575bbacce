"""What a mutant is: the pieces of a port that it replaces, and the bug that makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from signopt.conformance.numpy_ports.base import NumpyPort
from signopt.conformance.numpy_ports.bases import BASES

__all__ = ["Row", "Variant", "of_row", "variant"]

Row = tuple[Any, ...]
"""A line of a table: id, summary, pieces and, if a real port does it, where."""

BOTH = ("float32", "float64")


@dataclass(frozen=True)
class Variant:
    """A port that differs from the plain one of its rule in a few pieces.

    Attributes
    ----------
    id : str
        Stable, unique within the rule: ``"decay-coupled"``.
    rule : str
        A key of `bases.BASES`.
    summary : str
        What the port does, as a diagnosis that completes "looks like: ...".
    pieces : mapping
        The methods and class attributes that are replaced.
    source : str
        Where a real port does it; empty if none is known.
    dtypes : tuple of str
        The dtypes in which it shows (a mutant) or which it supports (a right port).
    """

    id: str
    rule: str
    summary: str
    pieces: Mapping[str, Any] = field(repr=False)
    source: str = ""
    dtypes: tuple[str, ...] = BOTH

    def __call__(self) -> NumpyPort:
        """A fresh port."""
        return self.over()

    def over(self, *others: Variant, **declared: Any) -> NumpyPort:
        """A fresh port: these pieces on top of those of ``others``, with further declarations."""
        base = BASES[self.rule]
        for other in reversed(others):
            base = type(other.id, (base,), dict(other.pieces))
        own = {"label": f"{self.rule} {self.id}", **self.pieces}
        own["declared"] = {**base.declared, **self.pieces.get("declared", {}), **declared}
        made: type[NumpyPort] = type(self.id, (base,), own)
        return made()


def variant(
    rule: str,
    key: str,
    summary: str,
    source: str = "",
    dtypes: tuple[str, ...] = BOTH,
    **pieces: Callable[..., Any] | Mapping[str, Any],
) -> Variant:
    """A :class:`Variant` with its pieces given as keywords."""
    return Variant(key, rule, summary, pieces, source, dtypes)


def of_row(rule: str, row: Row) -> Variant:
    """The :class:`Variant` of a line of a table."""
    key, summary, pieces, *source = row
    return variant(rule, key, summary, *source, **pieces)
