"""Asking a process: its start, its breakdowns and new starts, its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from signopt.conformance.errors import PortBroke, PortLacks, PortRefused, PortTimeout, PortUnavailable, PortUnfinished

from .child import Child
from .limits import Ending, Limits
from .replay import Replay
from .silence import listen

__all__ = ["ADVICE", "Conversation"]

Answer = TypeVar("Answer")

ADVICE = "a longer --timeout, compiling beforehand or a less busy machine may help"
"""What to try after a time-out."""


class Conversation:
    """One request, one answer, over as many processes as ``limits.restarts`` allows.

    Parameters
    ----------
    start : callable
        Starts a process.
    greet : callable
        Called with each new process's conversation, to say the first words.
    limits : Limits
    replay : Replay
        The record of all that is said.
    """

    def __init__(
        self, start: Callable[[], Child], greet: Callable[[], None], limits: Limits, replay: Replay | None = None
    ) -> None:
        self._start, self._greet, self._limits = start, greet, limits
        self._replay = Replay(None) if replay is None else replay
        self._child: Child | None = None
        self._starts, self._waited, self._last_failure = 0, 0.0, ""
        self.faults: list[str] = []
        """What was wrong with the conversation as such, apart from the arithmetic."""
        self.remarks: list[str] = []
        """What was odd and changes no verdict."""

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._child is not None

    def connect(self) -> None:
        """Start a process if none is running.

        Raises
        ------
        PortBroke
            If it cannot be started, has broken down too often, or does not answer the first words.
        """
        if self._child is not None:
            return
        if self._starts > self._limits.restarts:
            raise PortUnavailable(f"not started again after {self._starts} breakdowns, the last: {self._last_failure}")
        self._starts += 1
        self._replay.noted(f"start {self._starts}")
        self._child = self._start()
        try:
            self._greet()
        except PortBroke as failure:
            if self._child is not None:
                self._break(self._child, failure)
            raise

    def ask(self, method: str, request: bytes, read: Callable[[bytes], Answer], seconds: float | None = None) -> Answer:
        """Send a request and ``read`` its answer; a failure names the method, and ends the process.

        Only the answer that something is missing is one after which the conversation goes on.
        """
        child = self._child
        if child is None:
            raise PortUnavailable(f"the port is not running: {self._last_failure or 'init was never sent'}")
        answered = False
        try:
            answer = self._exchange(child, request, self._limits.message_seconds if seconds is None else seconds)
            answered = True
            return read(answer)
        except PortBroke as failure:
            named = _named(method, failure, child)
            if not (answered and isinstance(failure, PortLacks)):
                self._break(child, named)
            raise named from None
        except KeyboardInterrupt:
            self._child = None
            child.kill()
            raise

    def _exchange(self, child: Child, request: bytes, seconds: float) -> bytes:
        left = self._limits.total_seconds - self._waited
        if left <= 0:
            raise PortTimeout(f"all its answers together took more than {self._limits.total_seconds:g} s")
        self._replay.sent(request)
        before = child.waited
        try:
            answer = child.exchange(request, min(seconds, left))
        finally:
            self._waited += child.waited - before
        self._replay.received(answer)
        return answer

    def _break(self, child: Child, failure: PortBroke) -> None:
        self._last_failure = str(failure)
        if failure.accuses:
            self.faults.append(str(failure))
        self._replay.noted(str(failure))
        self._child = None
        child.kill()

    def close(self, bye: bytes | None, read: Callable[[bytes], object] = bytes) -> Ending:
        """Send the last request and see the process out; a process that stays is killed."""
        child, self._child = self._child, None
        if child is None:
            return Ending()
        ending = Ending()
        try:
            if bye is not None:
                ending = self._part(child, bye, read)
            if not ending.fault:
                ending = child.finish()
        finally:
            child.kill()
        self.faults.extend([ending.fault] if ending.fault else [])
        self.remarks.extend([ending.remark] if ending.remark else [])
        if ending.fault or ending.remark:
            self._replay.noted(ending.fault or ending.remark)
        return ending

    def _part(self, child: Child, bye: bytes, read: Callable[[bytes], object]) -> Ending:
        try:
            read(self._exchange(child, bye, self._limits.message_seconds))
        except NotImplementedError:
            return Ending()
        except (PortBroke, PortRefused) as error:
            accuses = not isinstance(error, PortBroke) or error.accuses
            return Ending(fault=f"bye: {error}") if accuses else Ending(remark=f"bye: {error}")
        return Ending()


def _named(method: str, failure: PortBroke, child: Child) -> PortBroke:
    """The failure with the method at which it came; a time-out also with what it looks like, or what to try."""
    if not isinstance(failure, PortTimeout):
        return type(failure)(f"{method}: {failure}")
    silence = listen(child)
    kind = PortUnfinished if silence.evident else PortTimeout
    return kind(f"{method}: {'; '.join(filter(None, [str(failure), silence.text, '' if silence.evident else ADVICE]))}")
