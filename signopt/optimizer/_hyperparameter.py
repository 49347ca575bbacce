"""The attribute through which a hyperparameter is read and set."""

from __future__ import annotations

from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Any, Generic, Protocol, Self, TypeVar, overload

from signopt._traced import Traced

__all__ = ["Hyperparameter", "no_such_attribute"]

Value = TypeVar("Value")

_SYNONYMS = {"learning_rate": "lr", "eta": "lr", "alpha": "lr", "wd": "weight_decay", "decay": "weight_decay"}
"""Names that other libraries use, and that look like none of ours."""


class _Owner(Protocol):
    """An optimizer, which keeps all its hyperparameters in one dict, and takes another if one of them is set."""

    _hyper: dict[str, Any]


class Hyperparameter(Generic[Value]):
    """An attribute that may be set between steps and is checked whenever it is set."""

    def __init__(self, check: Callable[[Any, str], Value], doc: str) -> None:
        self._check = check
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: _Owner, owner: type) -> Value: ...
    def __get__(self, instance: _Owner | None, owner: type) -> Value | Self:
        return self if instance is None else instance._hyper[self._name]

    def __set__(self, instance: _Owner, value: Any) -> None:
        instance._hyper = {**instance._hyper, self._name: self.checked(value)}

    def checked(self, value: Any) -> Value:
        """``value`` in its one form, or an error that says what is wrong with it."""
        checked = self._check(value, self._name)
        if isinstance(checked, Traced):
            raise TypeError(f"{self._name} is traced; use the pure functions under a trace, not an optimizer")
        return checked


def no_such_attribute(name: str, owner: str, hyperparameters: Collection[str]) -> AttributeError:
    """The error for an attribute that cannot be set, because it does not exist, with the name that may be meant."""
    known = list(hyperparameters)
    near = _SYNONYMS.get(name.lower()) or next(iter(get_close_matches(name.lower(), known, n=1)), None)
    question = f"; did you mean {near!r}?" if near in known else "."
    return AttributeError(f"{owner} has no hyperparameter {name!r}{question} It has {', '.join(known)}")
