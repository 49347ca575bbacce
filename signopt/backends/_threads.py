"""Running one function on a few threads at once."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import numpy as np

from signopt._signals import DeferredSignals

__all__ = ["MAX_THREADS", "default_threads", "for_each", "on_threads"]

MAX_THREADS = 8
"""More threads than this do not move more bytes on the memory buses that these updates are bound by."""

Task = TypeVar("Task")


def default_threads() -> int:
    """How many threads a step may use: ``SIGNOPT_NUM_THREADS``, else the processors of this process, at most 8.

    Raises
    ------
    ValueError
        If the environment variable is not an integer from 1 to 8.
    """
    text = os.environ.get("SIGNOPT_NUM_THREADS", "")
    if not text:
        return min(_processors(), MAX_THREADS)
    if not text.isdecimal() or not 1 <= int(text) <= MAX_THREADS:
        raise ValueError(f"SIGNOPT_NUM_THREADS must be an integer from 1 to {MAX_THREADS}, got {text!r}")
    return int(text)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def on_threads(work: Callable[[int], None], threads: int) -> None:
    """Call ``work(0)``, …, ``work(threads − 1)``, on this thread and on as many others as can be had.

    Returns when all calls have returned, and not before. An exception raised by any of them is raised here then. A
    share that no other thread has begun is done by this one: nothing is left over if the system has no thread to give,
    or if the interpreter is shutting down. Signals wait meanwhile, because an exception in the midst of the pool's
    bookkeeping would leave its locks held.
    """
    if threads == 1:
        work(0)
        return
    with DeferredSignals():
        _Shares(work, threads).run()


class _Shares:
    """Calls of ``work`` that are begun once each, by whichever thread comes first."""

    def __init__(self, work: Callable[[int], None], count: int) -> None:
        self._work: Callable[[int], None] | None = work
        self._count = count
        self._open = deque(range(count))
        self._ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def run(self) -> None:
        for _ in range(1, self._count):
            try:
                _pool.submit(self._take)
            except (RuntimeError, MemoryError):
                # The pool may have put the call in its queue before it failed. It will find no share that is open.
                break
        self._take()
        errors = [error for error in (self._ended.get() for _ in range(self._count)) if error is not None]
        self._work = None
        if errors:
            raise errors[0]

    def _take(self) -> None:
        """Do shares until none is open."""
        while self._open:
            try:
                share = self._open.popleft()
            except IndexError:
                return
            error = None
            try:
                self._work(share)  # type: ignore[misc]  # None only when no share is open
            except BaseException as raised:
                error = raised
            self._ended.put(error)


def for_each(tasks: Iterable[Task], work: Callable[[Task, int], None], threads: int) -> None:
    """Call ``work(task, thread)`` for every task, each thread taking the next task when it has done its last.

    NumPy's floating-point warnings are off meanwhile.
    """
    remaining = iter(tasks)
    lock = threading.Lock()

    def take_and_work(thread: int) -> None:
        while True:
            with lock:
                task = next(remaining, None)
            if task is None:
                return
            work(task, thread)

    on_threads(np.errstate(all="ignore")(take_and_work), threads)


def _new_pool() -> None:
    global _pool
    _pool = ThreadPoolExecutor(max_workers=4 * MAX_THREADS, thread_name_prefix="signopt")


_pool: ThreadPoolExecutor
_new_pool()
if hasattr(os, "register_at_fork"):
    # A child process inherits the pool without its threads, and would wait for them for ever.
    os.register_at_fork(after_in_child=_new_pool)
