"""Running one function on a few threads at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np

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
    """Call ``work(0)`` here and ``work(1)`` … ``work(threads − 1)`` on other threads; return when all have returned.

    An exception raised by any of them is raised here, after all have ended.
    """
    futures = [_pool.submit(work, index) for index in range(1, threads)]
    try:
        work(0)
    finally:
        wait(futures)
    for future in futures:
        future.result()


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
