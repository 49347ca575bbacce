"""One change of an optimizer at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Concatenate, ParamSpec, Protocol, TypeVar

__all__ = ["one_at_a_time"]


class _Taker(Protocol):
    _turn: RLock
    _is_stepping: bool


Taker = TypeVar("Taker", bound=_Taker)
Given = ParamSpec("Given")
Result = TypeVar("Result")


def one_at_a_time(method: Callable[Concatenate[Taker, Given], Result]) -> Callable[Concatenate[Taker, Given], Result]:
    """A method that other threads wait for, and that raises RuntimeError if it is called from within itself.

    It is, if a signal handler or a schedule steps the optimizer whose step called it.
    """

    @wraps(method)
    def call(self: Taker, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        # The lock's own methods are no Python code, so no signal can come between its being taken and the block.
        with self._turn:
            if self._is_stepping:
                raise RuntimeError(
                    f"{method.__name__} was called while this optimizer is in the midst of a step (by a signal "
                    "handler or a schedule?); call it when the step has returned"
                )
            self._is_stepping = True
            try:
                return method(self, *args, **kwargs)
            finally:
                self._is_stepping = False

    return call
