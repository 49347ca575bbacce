"""Recognising array objects that have been seen before."""

from __future__ import annotations

import operator
import weakref
from collections.abc import Sequence

from signopt._facts import Facts, facts_of
from signopt._namespace import Array

__all__ = ["SameArrays"]


class SameArrays:
    """Remembers one sequence of array objects, and what they were like, without keeping them alive.

    A step whose gradients are the very objects of the step before, unchanged but for their elements, need not look at
    them again.
    """

    def __init__(self) -> None:
        self._watched: list[weakref.ref[Array]] = []
        self._facts: Facts | None = None

    @property
    def anything(self) -> bool:
        """Whether anything is remembered."""
        return self._facts is not None

    def are(self, arrays: Sequence[Array]) -> bool:
        """Whether ``arrays`` are the remembered objects, in their order, and where and what they were."""
        if self._facts is None or len(self._watched) != len(arrays):
            return False
        return all(map(operator.is_, map(operator.call, self._watched), arrays)) and self._facts.hold(arrays)

    def remember(self, arrays: Sequence[Array]) -> None:
        """Remember ``arrays`` in place of what was remembered before."""
        self.forget()
        self._watched = [*map(weakref.ref, arrays)]
        self._facts = facts_of(arrays) if arrays else None

    def forget(self) -> None:
        """Recognise nothing until something else is remembered."""
        self._facts = None
