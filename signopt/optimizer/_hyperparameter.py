"""The attribute through which a hyperparameter is read and set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, Self, TypeVar, overload

__all__ = ["Hyperparameter"]

Value = TypeVar("Value")


class _Owner(Protocol):
    """An optimizer, which keeps all its hyperparameters in one dict."""

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
        instance._hyper[self._name] = self._check(value, self._name)
