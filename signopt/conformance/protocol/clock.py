"""How long a port has had: the seconds in which the machine let it run, or in which it waited of its own accord.

On a busy machine a process stands in a queue for the processor, and a fixed time limit would then accuse it of the
load. Linux gives, for each thread, its processor time, whether it wants to run, and how long it has stood in the queue;
if the system gives neither, these are the seconds of the wall.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

__all__ = ["PortClock", "ThreadTimes", "thread_times"]

_MOST_AT_ONCE = 2.0


class ThreadTimes(NamedTuple):
    """Seconds on a processor, seconds in the queue for one, and whether the thread wants to run or waits for a disk."""

    running: float
    queued: float
    wants: bool


Reading = dict[tuple[int, int], ThreadTimes]


def thread_times(pids: Iterable[int]) -> Reading:
    """The times of every thread of these processes, by process and thread; empty if the system does not say."""
    return {(pid, thread): times for pid in pids for thread, times in _threads(pid)}


def _threads(pid: int) -> Iterator[tuple[int, ThreadTimes]]:
    tasks = f"/proc/{pid}/task"
    with contextlib.suppress(OSError):
        for entry in os.listdir(tasks):
            with contextlib.suppress(OSError, ValueError, IndexError):
                yield int(entry), _times(f"{tasks}/{entry}")


def _times(folder: str) -> ThreadTimes:
    stat = _read(f"{folder}/stat").rpartition(b")")[2].split()
    running, queued = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"), 0.0
    with contextlib.suppress(OSError, ValueError, IndexError):  # a kernel may be built without it
        running, queued = (int(part) / 1e9 for part in _read(f"{folder}/schedstat").split()[:2])
    return ThreadTimes(running, queued, stat[0] in (b"R", b"D"))


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


class PortClock:
    """Counts from its making, or from :meth:`restart`.

    Parameters
    ----------
    read : callable
        Returns the :func:`thread_times` of the port's processes.
    own : bool
        Whether the port runs in this very process: it is then always seen running, and that says nothing.
    now : callable
        The seconds of the wall.
    """

    def __init__(
        self, read: Callable[[], Reading], *, own: bool = False, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._own, self._now = read, own, now
        self.restart()

    def restart(self) -> None:
        """Begin again at 0."""
        self.seconds, self.wall = 0.0, 0.0
        self._reading, self._last = self._read(), self._now()

    @property
    def busy(self) -> bool:
        """Whether a thread wanted to run at the last look."""
        return any(times.wants for times in self._reading.values())

    def look(self) -> float:
        """Read the system again; the port's seconds so far."""
        reading, now = self._read(), self._now()
        passed = now - self._last
        self.wall += passed
        self.seconds += self._counted(passed, reading)
        self._reading, self._last = reading, now
        return self.seconds

    def _counted(self, passed: float, reading: Reading) -> float:
        """Of the seconds that passed those that the port had."""
        if not self._own:
            passed = min(passed, _MOST_AT_ONCE)  # longer than that, and it was this process that did not run
        common = [(times, self._reading[key]) for key, times in reading.items() if key in self._reading]
        queued = max((new.queued - old.queued for new, old in common), default=0.0)
        counted = passed - queued
        if not self._own and any(times.wants for times in reading.values()):
            ran = sum(new.running - old.running for new, old in common)
            started = sum(times.running for key, times in reading.items() if key not in self._reading)
            counted = min(counted, ran + started)
        return max(counted, 0.0)
