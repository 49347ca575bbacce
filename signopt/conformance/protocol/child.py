"""A child process that is spoken to line by line, under limits, and that never outlives the conversation.

Nothing here trusts the child. Every read and write is bounded in time, every line and the child's memory in
size, and closing kills the child, its process group and whatever it started elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import processes
from .errors import PortDied, PortTimeout, PortUnavailable, ProtocolViolation
from .wire import brief

__all__ = ["Child", "Limits"]

_CHUNK = 1 << 16
_STDERR_KEPT = 1 << 14
_POLL_SECONDS = 0.05
_MEASURE_SECONDS = 0.2


@dataclass(frozen=True)
class Limits:
    """What one port may use.

    Attributes
    ----------
    message_seconds:
        Seconds from a request to its complete reply; half as many after each reply that took longer.
    total_seconds:
        Seconds of waiting for replies, over the whole check.
    line_bytes:
        Length of one reply, and of everything that may lie unread after it.
    memory_bytes:
        Resident memory of the process and of those it started.
    exit_seconds:
        Seconds between the end of the conversation and the end of the process.
    restarts:
        How often a port that broke down is started again.
    """

    message_seconds: float = 30.0
    total_seconds: float = 300.0
    line_bytes: int = 64 << 20
    memory_bytes: int = 8 << 30
    exit_seconds: float = 2.0
    restarts: int = 2


class Child:
    """One running process, one line out, one line in.

    Raises
    ------
    PortUnavailable
        If the command cannot be started.
    """

    def __init__(self, command: Sequence[str], limits: Limits, env: Mapping[str, str] | None = None) -> None:
        self.limits = limits
        self._unread = bytearray()
        self._stderr = bytearray()
        self._mark = processes.new_mark()
        self._killed = False
        self._next_measurement = time.monotonic() + _MEASURE_SECONDS
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
                env={**(os.environ if env is None else env), processes.MARK: self._mark},
            )
        except (OSError, ValueError) as error:
            raise PortUnavailable(f"cannot start {brief(' '.join(command))}: {error}") from None
        self._selector = self._watch()

    def _watch(self) -> selectors.BaseSelector:
        selector = selectors.DefaultSelector()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        selector.register(self._process.stdout, selectors.EVENT_READ)
        selector.register(self._process.stderr, selectors.EVENT_READ)
        return selector

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    @property
    def stderr(self) -> str:
        """The last of what the process wrote to stderr."""
        return self._stderr.decode("utf-8", "replace")

    def exchange(self, request: bytes, seconds: float | None = None) -> bytes:
        """Send one line and return the one line that answers it, without its newline."""
        seconds = self.limits.message_seconds if seconds is None else seconds
        self._send(request, time.monotonic() + seconds, seconds)
        return self.receive(seconds)

    def receive(self, seconds: float) -> bytes:
        """The next line, without its newline."""
        deadline = time.monotonic() + seconds
        searched = 0
        while (end := self._unread.find(b"\n", searched)) < 0:
            searched = len(self._unread)
            self._wait(deadline, seconds)
            if len(self._unread) > self.limits.line_bytes:
                raise ProtocolViolation(f"a reply has more than {self.limits.line_bytes} bytes")
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        return line

    def _send(self, request: bytes, deadline: float, seconds: float) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        rest = memoryview(request)
        self._selector.register(stdin, selectors.EVENT_WRITE)
        try:
            while rest:
                if self._wait(deadline, seconds):
                    with contextlib.suppress(BlockingIOError):
                        rest = rest[os.write(stdin.fileno(), rest[:_CHUNK]) :]
        except BrokenPipeError:
            raise PortDied(f"the port closed its stdin: {self._epitaph()}") from None
        finally:
            self._selector.unregister(stdin)

    def _wait(self, deadline: float, seconds: float) -> bool:
        """Read what there is; True if stdin can be written. Raises once the deadline has passed."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise PortTimeout(f"no complete answer within {seconds:g} s")
        writable = False
        ready = self._selector.select(min(left, _POLL_SECONDS))
        for key, _ in ready:
            if key.fileobj is self._process.stdin:
                writable = True
            elif key.fileobj is self._process.stdout:
                self._read_stdout()
            else:
                self._read_stderr()
        self._check_memory()
        return writable

    def _read_stdout(self) -> None:
        assert self._process.stdout is not None
        data = os.read(self._process.stdout.fileno(), _CHUNK)
        if not data:
            raise PortDied(f"the port closed its stdout: {self._epitaph()}")
        self._unread += data

    def _read_stderr(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        data = os.read(stream.fileno(), _CHUNK)
        if not data:
            self._selector.unregister(stream)
        self._stderr = (self._stderr + data)[-_STDERR_KEPT:]

    def _check_memory(self) -> None:
        now = time.monotonic()
        if now < self._next_measurement:
            return
        self._next_measurement = now + _MEASURE_SECONDS
        used = processes.resident_bytes(processes.descendants(self._process.pid))
        if used > self.limits.memory_bytes:
            allowed = self.limits.memory_bytes >> 20
            raise PortDied(f"the port used {used >> 20} MiB of memory; {allowed} MiB are allowed")

    def _epitaph(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self.limits.exit_seconds)
        code = self._process.poll()
        if code is None:
            how = "it is still running"
        elif code < 0:
            how = f"it was ended by {signal.Signals(-code).name}"
        else:
            how = f"it exited with code {code}"
        last = self._last_words()
        return f"{how}; stderr ends with {brief(last, 300)}" if last else how

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        with contextlib.suppress(BlockingIOError, ValueError):
            self._stderr += os.read(self._process.stderr.fileno(), _CHUNK)
        return self.stderr.strip()[-300:]

    def finish(self) -> str:
        """Close stdin and see the process out, at last by force; returns what was wrong, or ""."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self.limits.exit_seconds)
        wrong = self._unseemly_end()
        self.kill()
        return wrong

    def _unseemly_end(self) -> str:
        if self.alive:
            return f"the process did not end within {self.limits.exit_seconds:g} s of the end of its stdin"
        with contextlib.suppress(PortDied, BlockingIOError):
            self._read_stdout()
        if self._unread:
            return f"after its last answer the port wrote {brief(bytes(self._unread[:200]))}"
        return ""

    def kill(self) -> None:
        """End the process and everything that it started, at once."""
        if self._killed:
            return
        self._killed = True
        processes.kill_tree(self._process.pid, self._mark, alive=self.alive)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        self._selector.close()
