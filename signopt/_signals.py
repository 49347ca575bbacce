"""A stretch of code that no signal handler written in Python can interrupt."""

from __future__ import annotations

import importlib
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, TypeAlias

__all__ = ["DeferredSignals"]

Handler: TypeAlias = Callable[[int, FrameType | None], Any]

try:
    # What ``signal`` wraps. Its wrappers make an enum of every answer, which takes longer than a step of a small model.
    _table: Any = importlib.import_module("_signal")
except ImportError:  # an interpreter other than CPython
    _table = signal

_SIGNALS = sorted(
    int(number)
    for number in signal.valid_signals()
    if number not in (getattr(signal, "SIGKILL", None), getattr(signal, "SIGSTOP", None))
)


class DeferredSignals:
    """While the block runs, signals are noted; when it has ended, their handlers run, and may raise, as ever.

    Python runs its handlers in the main thread, between any two instructions: the one for Ctrl-C raises there, and so
    do timeouts made with ``signal.alarm``. In other threads the block just runs.

    Examples
    --------
    >>> done = []
    >>> try:
    ...     with DeferredSignals():
    ...         signal.raise_signal(signal.SIGINT)
    ...         done.append("whole")
    ... except KeyboardInterrupt:
    ...     done.append("interrupted")
    >>> done
    ['whole', 'interrupted']
    """

    __slots__ = ("_came", "_handlers")

    def __enter__(self) -> None:
        self._came: list[int] = []
        self._handlers: list[tuple[int, Handler]] = []
        if threading.current_thread() is not threading.main_thread():
            return
        self._handlers = [(number, old) for number in _SIGNALS if callable(old := _table.getsignal(number))]
        try:
            for number, _ in self._handlers:
                _table.signal(number, self._note)
        except BaseException:  # from the handler of a signal whose turn had not come
            self._restore()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._restore()
        finally:
            _raise_all([*dict.fromkeys(self._came)])

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came.append(number)

    def _restore(self) -> None:
        """Put every handler back, even if one that is back already raises meanwhile."""
        left = self._handlers
        try:
            while left:
                _table.signal(*left[-1])
                del left[-1]
        except BaseException:
            self._restore()
            raise


def _raise_all(numbers: list[int]) -> None:
    if numbers:
        try:
            signal.raise_signal(numbers[0])
        finally:
            _raise_all(numbers[1:])
