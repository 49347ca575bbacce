"""A child process that answers one message at a time, under limits, and that never outlives the conversation.

Nothing here trusts the child. Every wait is bounded, every message and the child's memory are bounded in size, and
closing kills the child, its process group and whatever it started elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from signopt.conformance.causes import text_is_lacking
from signopt.conformance.errors import PortBroke, PortDied, PortLacks, PortOverLimit, PortTimeout, PortUnavailable

from . import processes
from .clock import PortClock, thread_times
from .framing import Frames, Framing, Lines
from .limits import Ending, Limits, exit_text
from .spawn import spawn, why_not
from .wire import brief

__all__ = ["Child"]

_CHUNK = 1 << 16
_LOG_KEPT = 1 << 14
_POLL_SECONDS = 0.05
_LOOK_SECONDS = 0.25
_MOST_TIMES_THE_WALL = 20
_MOMENT_SECONDS = 2.0


class Child:
    """One running process.

    Parameters
    ----------
    command, limits
        What to start, without a shell, and what it may use.
    env : mapping, optional
        The whole environment; by default that of this process.
    private : bool
        Whether to speak in frames over a pair of pipes of their own, whose numbers are two more arguments of the
        command; its stdout is then a log like its stderr. Else in lines over stdin and stdout.

    Raises
    ------
    PortUnavailable
        If the command cannot be started.
    """

    def __init__(
        self, command: Sequence[str], limits: Limits, env: Mapping[str, str] | None = None, *, private: bool = False
    ) -> None:
        self.limits = limits
        self.waited = 0.0
        self._unread, self._log = bytearray(), bytearray()
        self._framing: Framing = Frames(limits.line_bytes) if private else Lines(limits.line_bytes)
        self._mark = processes.new_mark()
        self._killed = False
        environment = {**(os.environ if env is None else env), processes.MARK: self._mark}
        try:
            self._process, self._pipes = spawn(command, environment, private=private)
        except (OSError, ValueError) as error:
            raise PortUnavailable(f"cannot start {brief(' '.join(command))}: {why_not(error, command[0])}") from None
        self._selector = selectors.DefaultSelector()
        for pipe in (self._pipes.replies, self._pipes.log):
            self._selector.register(pipe, selectors.EVENT_READ)
        self._clock = PortClock(lambda: thread_times(self._tree()))
        self._begin()

    def _tree(self) -> set[int]:
        return processes.descendants(self._process.pid)

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    @property
    def in_lines(self) -> bool:
        """Whether it speaks in lines over stdin and stdout."""
        return isinstance(self._framing, Lines)

    @property
    def busy(self) -> bool:
        """Whether it was computing at the last look."""
        return self._clock.busy

    @property
    def unread(self) -> bytes:
        """What has arrived and is no complete message yet."""
        return bytes(self._unread)

    @property
    def log(self) -> str:
        """The last of what the process wrote to stderr."""
        return self._log.decode("utf-8", "replace")

    def exchange(self, request: bytes, seconds: float | None = None) -> bytes:
        """Send one message and return the one that answers it."""
        seconds = self.limits.message_seconds if seconds is None else seconds
        self._begin()
        try:
            self._send(request, seconds)
            return self._receive(seconds)
        finally:
            self.waited += self._clock.seconds

    def _begin(self) -> None:
        """Let the clock start with the first look, a moment from now: most answers are there before."""
        self._clock.seconds = self._clock.wall = 0.0
        self._next_look, self._looked = time.monotonic() + _LOOK_SECONDS, False

    def _receive(self, seconds: float) -> bytes:
        while (message := self._framing.cut(self._unread)) is None:
            self._wait(seconds)
        return message

    def _send(self, request: bytes, seconds: float) -> None:
        rest = memoryview(request)
        self._selector.register(self._pipes.out, selectors.EVENT_WRITE)
        try:
            while rest:
                if self._wait(seconds):
                    with contextlib.suppress(BlockingIOError):
                        rest = rest[os.write(self._pipes.out, rest[:_CHUNK]) :]
                        self._progressed()
        except BrokenPipeError:
            raise self._died("the port closed its stdin") from None
        finally:
            self._selector.unregister(self._pipes.out)

    def _wait(self, seconds: float) -> bool:
        """Read what there is; True if a request can be written. Raises if nothing more is to be expected."""
        ready = {key.fd for key, _ in self._selector.select(_POLL_SECONDS)}
        if self._pipes.log in ready:
            self._read_log()
        if self._pipes.replies in ready:
            self._read()
        elif not self.alive and not self._has_more():
            raise self._died("the port's process ended")
        if time.monotonic() >= self._next_look:
            self._look(seconds)
        return self._pipes.out in ready

    def _has_more(self) -> bool:
        """Whether a reply, or its end, has arrived since."""
        return any(key.fd == self._pipes.replies for key, _ in self._selector.select(0))

    def _read(self) -> None:
        data = os.read(self._pipes.replies, _CHUNK)
        if not data:
            raise self._died("the port closed its stdout")
        self._unread += data
        self._progressed()

    def _progressed(self) -> None:
        """A byte has moved: patience begins anew, within the wall's limit."""
        self.waited += self._clock.seconds
        self._clock.seconds = 0.0

    def _read_log(self) -> None:
        data = os.read(self._pipes.log, _CHUNK)
        if not data:
            self._selector.unregister(self._pipes.log)
        self._log = (self._log + data)[-_LOG_KEPT:]

    def _look(self, seconds: float) -> None:
        """See how long it has taken and how much memory is used."""
        wall = self._clock.wall
        if self._looked:
            self._clock.look()
        else:
            self._clock.restart()
            self._looked = True
        self._next_look = time.monotonic() + min(_LOOK_SECONDS, seconds / 4)
        used = processes.resident_bytes(self._tree())
        if used > self.limits.memory_bytes:
            allowed = self.limits.memory_bytes >> 20
            raise PortOverLimit(f"the port used {used >> 20} MiB of memory; {allowed} MiB are allowed")
        if self._clock.seconds >= seconds or wall >= seconds * _MOST_TIMES_THE_WALL:
            raise PortTimeout(f"no complete answer within {seconds:g} s")

    def _died(self, what: str) -> PortBroke:
        """The failure to raise, by how the process ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self.limits.exit_seconds)
        code = self._process.poll()
        self._drain_log()
        said = f"{what}: {exit_text(code)}{self._stderr_tail()}"
        lacks = code in (126, 127, -signal.SIGKILL) or (code not in (0, None) and text_is_lacking(self.log[-2000:]))
        return PortLacks(said) if lacks else PortDied(said)

    def _stderr_tail(self) -> str:
        last = self.log.strip()[-300:]
        return f"; stderr ends with {brief(last, 300)}" if last else ""

    def _drain_log(self) -> None:
        with contextlib.suppress(BlockingIOError, ValueError, OSError):
            while data := os.read(self._pipes.log, _CHUNK):
                self._log = (self._log + data)[-_LOG_KEPT:]

    def close_input(self) -> None:
        """Close the port's stdin."""
        self._pipes.close_out()

    def finish(self) -> Ending:
        """Close stdin and see the process out, at last by force."""
        self.close_input()
        ended = self._wait_for_end(self.limits.exit_seconds)
        self._drain()
        ending = self._judged() if ended else Ending(remark=self._lingers())
        self.kill()
        return ending

    def _wait_for_end(self, seconds: float) -> bool:
        self._clock.restart()
        while self.alive and self._clock.look() < seconds:
            if self._clock.wall >= seconds * _MOST_TIMES_THE_WALL:
                return False
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_POLL_SECONDS)
        return not self.alive

    def _lingers(self) -> str:
        return f"the process did not end within {self.limits.exit_seconds:g} s of the end of its stdin"

    def _judged(self) -> Ending:
        code = self._process.poll()
        self._drain_log()
        if code not in (0, None, -signal.SIGKILL):
            return Ending(f"after its last answer {exit_text(code)}{self._stderr_tail()}")
        if self._unread:
            return Ending(f"after its last answer the port wrote {brief(bytes(self._unread[:200]))}")
        return Ending()

    def _drain(self) -> None:
        """Read what has arrived, up to the limit of one reply."""
        with contextlib.suppress(BlockingIOError, OSError):
            while len(self._unread) <= self.limits.line_bytes and (data := os.read(self._pipes.replies, _CHUNK)):
                self._unread += data

    def heard_after_input_ended(self) -> bytes:
        """Close stdin, give the process a moment to end, and return all that is unread then."""
        self.close_input()
        self._wait_for_end(min(self.limits.exit_seconds, _MOMENT_SECONDS))
        self._drain()
        return self.unread

    def kill(self) -> None:
        """End the process and everything that it started, at once."""
        if self._killed:
            return
        self._killed = True
        processes.kill_tree(self._process.pid, self._mark, alive=self.alive)
        self._process.wait()
        self._selector.close()
        self._pipes.close()
