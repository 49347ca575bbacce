"""Find, measure and end the processes that a child started.

A process group catches the ordinary grandchild. One that moved to a session of its own is found by the mark
that it inherited in its environment; that, and measuring memory, need ``/proc`` (Linux) and do nothing
elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["MARK", "descendants", "kill_tree", "new_mark", "resident_bytes"]

MARK = "SIGNOPT_PORT_MARK"
"""The environment variable that every process of one port carries."""

_PROC = Path("/proc")
_ROUNDS = 20  # a process may fork while the list is being read


def new_mark() -> str:
    """A value for :data:`MARK` that no other port has."""
    return secrets.token_hex(16)


def descendants(pid: int) -> set[int]:
    """``pid`` and every process below it."""
    children = defaultdict(list)
    for other in _pids():
        with contextlib.suppress(OSError, ValueError, IndexError):
            children[_parent(other)].append(other)
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        found.add(waiting[-1])
        waiting.extend(child for child in children.get(waiting.pop(), ()) if child not in found)
    return found


def _pids() -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(entry) for entry in os.listdir(_PROC) if entry.isdigit())


def _parent(pid: int) -> int:
    fields_after_name = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return int(fields_after_name[1])


def resident_bytes(pids: Iterable[int]) -> int:
    """Physical memory in use by these processes, in bytes."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int((_PROC / str(pid) / "statm").read_text().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE")


def kill_tree(pid: int, mark: str, *, alive: bool) -> None:
    """SIGKILL to the group of ``pid``, to its descendants while ``alive``, and to all that carry ``mark``."""
    doomed = descendants(pid) if alive else set()
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    for _ in range(_ROUNDS):
        doomed |= set(_marked(mark))
        if not doomed:
            return
        for other in doomed:
            with contextlib.suppress(OSError):
                os.kill(other, signal.SIGKILL)
        doomed = set()


def _marked(mark: str) -> Iterator[int]:
    needle = f"{MARK}={mark}".encode()
    for pid in _pids():
        with contextlib.suppress(OSError):
            if needle in (_PROC / str(pid) / "environ").read_bytes():
                yield pid
