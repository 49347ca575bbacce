"""A time limit for a call within this process: what a port hung in is interrupted, if Python can interrupt it.

Time is what the machine let this process have, see :mod:`~signopt.conformance.protocol.clock`; it counts from a first
look a moment after the call, so that a call that returns at once costs no look at the system. The limit is an alarm
signal, so it works in the main thread of a POSIX system and reaches Python code, sleeps
and waits, but not a loop inside compiled code. ``signopt check`` uses a child process, which can always be
ended.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from signopt.conformance.errors import PortHung
from signopt.conformance.protocol.clock import PortClock, thread_times

__all__ = ["call_within"]

Result = TypeVar("Result")
_AGAIN_SECONDS, _SOON_SECONDS = 1.0, 0.01
_FIRST_LOOK_SECONDS = 0.25
_MOST_TIMES_THE_WALL = 20


class _Alarm(BaseException):
    """Not an Exception, so that a port that catches those does not catch this."""


def call_within(seconds: float, function: Callable[..., Result], *args: object) -> Result:
    """``function(*args)``.

    Raises
    ------
    PortHung
        If it has not returned after ``seconds``. Outside the main thread there is no limit.
    """
    try:
        with _alarm(seconds):
            return function(*args)
    except _Alarm:
        raise PortHung(f"did not return within {seconds:g} s; signopt check has a --timeout") from None


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise _Alarm after ``seconds``; an alarm that was set before, by a test runner say, goes on afterwards."""
    if (
        seconds == math.inf
        or not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return
    began = time.monotonic()
    before, repeat = signal.getitimer(signal.ITIMER_REAL)
    if 0 < before <= seconds:
        yield
        return
    armed, clock = True, None

    def ring(number: int, frame: FrameType | None) -> None:
        nonlocal clock
        if not armed:
            return
        if clock is None:
            clock = PortClock(lambda: thread_times([os.getpid()]), own=True)
        left = seconds - clock.look()
        if left <= 0 or clock.wall > seconds * _MOST_TIMES_THE_WALL:
            raise _Alarm
        signal.setitimer(signal.ITIMER_REAL, max(left, _SOON_SECONDS), _AGAIN_SECONDS)

    handler = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, min(seconds / 4, _FIRST_LOOK_SECONDS), _AGAIN_SECONDS)
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if before:
            signal.setitimer(signal.ITIMER_REAL, max(before - (time.monotonic() - began), 1e-3), repeat)
