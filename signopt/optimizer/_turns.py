"""One change of an optimizer at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from threading import RLock
from typing import Concatenate, ParamSpec, Protocol, TypeVar

__all__ = ["Turn", "in_turn", "one_at_a_time"]


class Turn:
    """Who may change an optimizer: a thread at a time, which holds ``lock``; ``taken`` while it does."""

    __slots__ = ("lock", "taken")

    def __init__(self) -> None:
        self.lock = RLock()
        self.taken = False


class _Taker(Protocol):
    _turn: Turn


Taker = TypeVar("Taker", bound=_Taker)
Given = ParamSpec("Given")
Result = TypeVar("Result")


def one_at_a_time(method: Callable[Concatenate[Taker, Given], Result]) -> Callable[Concatenate[Taker, Given], Result]:
    """A method that other threads wait for, and that raises RuntimeError if it is called from within itself.

    It is, if a signal handler or a schedule steps the optimizer whose step called it.
    """

    @wraps(method)
    def call(self: Taker, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        return in_turn((self._turn,), method.__name__, lambda: method(self, *args, **kwargs))

    return call


def in_turn(turns: Sequence[Turn], what: str, work: Callable[[], Result]) -> Result:
    """``work()`` with all ``turns`` taken; ``what`` is its name in the error if one of them is within itself."""
    if not turns:
        return work()
    turn = turns[0]
    # A signal can interrupt calls and nothing else, and not those of a lock in a ``with`` statement.
    with turn.lock:
        if turn.taken:
            raise RuntimeError(
                f"{what} was called while this optimizer is in the midst of a step (by a signal handler or a "
                "schedule?); call it when the step has returned"
            )
        turn.taken = True
        try:
            return in_turn(turns[1:], what, work)
        finally:
            turn.taken = False
