"""A port in another process, spoken to in JSON lines: any language, see ``docs/protocol.md``."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, BinaryIO, ClassVar, Self

import numpy as np

from ..protocol import PROTOCOL_VERSION
from ..protocol.child import Child, Limits
from ..protocol.errors import PortFailure, PortTimeout, PortUnavailable, ProtocolViolation
from ..protocol.messages import read_reply, write_request
from ..protocol.replay import Replay
from ..protocol.wire import brief, decode_arrays, encode_arrays, encode_hyper

__all__ = ["ProcessPort"]


class ProcessPort:
    """A :class:`~signopt.conformance.Port` whose five methods are messages to a process.

    The process is started by the first message. Where the conversation breaks down (a hang, a crash, an
    unreadable reply) the process is killed and the call raises; the next :meth:`init` starts it afresh,
    ``limits.restarts`` times in all. Use it as a context manager, so that nothing is left running.

    Parameters
    ----------
    command:
        The program and its arguments. No shell is involved.
    rule:
        The rule asked for in the handshake; None leaves the choice to a port that knows only one.
    limits:
        What the port may use.
    replay:
        An open binary file that gets a record of all traffic.
    start:
        How a process is started: another :class:`~signopt.conformance.protocol.child.Child` in tests.

    Raises
    ------
    NotImplementedError
        From any method, if the port answers ``unsupported``.
    PortError
        From any method, if the port answers with another error.
    PortFailure
        From any method, if there is no readable answer in time.
    """

    keeps_time: ClassVar[bool] = True
    """Every call ends by itself, so the suite sets no alarm over it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        rule: str | None = None,
        limits: Limits | None = None,
        replay: BinaryIO | None = None,
        start: Callable[[Sequence[str], Limits], Child] = Child,
    ) -> None:
        self._command = tuple(command)
        self._rule = rule
        self._limits = Limits() if limits is None else limits
        self._replay = Replay(replay)
        self._start = start
        self._child: Child | None = None
        self._description: dict[str, Any] | None = None
        self._number = 0
        self._starts = 0
        self._waited = 0.0
        self._timeouts = 0
        self._last_failure = ""
        self.complaints: list[str] = []
        """What was wrong with the conversation as such, apart from the arithmetic."""

    def describe(self) -> Mapping[str, Any]:
        """The port's declarations, from the handshake."""
        if self._description is None:
            self._connected()
        assert self._description is not None
        return self._description

    def init(
        self,
        params: Mapping[str, np.ndarray],
        hyper: Mapping[str, Any],
        momentum: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Send ``init``; a port that broke down before is started again."""
        fields: dict[str, Any] = {"params": encode_arrays(params), "hyper": encode_hyper(hyper)}
        if momentum is not None:
            fields["momentum"] = encode_arrays(momentum)
        self._ask(self._connected(), "init", **fields)

    @property
    def configure(self) -> Callable[[Mapping[str, Any]], None] | None:
        """Sends ``configure``, other hyperparameters from the next step on; None unless the port declares it."""
        return self._configure if self.describe().get("configure") is True else None

    def _configure(self, hyper: Mapping[str, Any]) -> None:
        self._ask(self._running(), "configure", hyper=encode_hyper(hyper))

    def step(self, grads: Mapping[str, np.ndarray]) -> None:
        """Send ``step``."""
        self._ask(self._running(), "step", grads=encode_arrays(grads))

    def params(self) -> Mapping[str, np.ndarray]:
        """Ask for ``params``."""
        return self._arrays("params", self._ask(self._running(), "params"))

    def momentum(self) -> Mapping[str, np.ndarray] | None:
        """Ask for ``momentum``; None if the port answers null."""
        reply = self._ask(self._running(), "momentum")
        if reply.get("momentum", ...) is None:
            return None
        return self._arrays("momentum", reply)

    def close(self) -> None:
        """Say ``bye`` and see the process out; one that stays is killed, and complained about."""
        if self._child is None:
            return
        child, self._child = self._child, None
        try:
            with contextlib.suppress(NotImplementedError):
                self._exchange(child, self._limits.exit_seconds, "bye", {})
            wrong = child.finish()
        except RuntimeError as error:
            wrong = f"bye: {error}"
        finally:
            child.kill()
        if wrong:
            self._complain(wrong)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _running(self) -> Child:
        if self._child is None:
            raise PortUnavailable(f"the port is not running: {self._last_failure or 'init was never sent'}")
        return self._child

    def _connected(self) -> Child:
        if self._child is None:
            if self._starts > self._limits.restarts:
                raise PortUnavailable(
                    f"not started again after {self._starts} breakdowns, the last: {self._last_failure}"
                )
            self._starts += 1
            self._replay.noted(f"start {brief(self._command)}")
            self._child = self._start(self._command, self._limits)
            self._description = self._greet(self._child)
        return self._child

    def _greet(self, child: Child) -> dict[str, Any]:
        reply = self._ask(child, "hello", protocol=PROTOCOL_VERSION, rule=self._rule)
        try:
            return _description(reply, self._rule)
        except ProtocolViolation as failure:
            self._break(child, failure)
            raise

    def _ask(self, child: Child, method: str, **fields: Any) -> dict[str, Any]:
        try:
            return self._exchange(child, self._patience(), method, fields)
        except PortFailure as failure:
            named = type(failure)(f"{method}: {failure}")
            self._break(child, named)
            raise named from None
        except KeyboardInterrupt:
            child.kill()
            raise

    def _patience(self) -> float:
        """Half as long after each time that the port was too slow."""
        return self._limits.message_seconds * 0.5**self._timeouts

    def _exchange(self, child: Child, seconds: float, method: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        self._number += 1
        request = write_request(self._number, method, **fields)
        self._replay.sent(request)
        began = time.monotonic()
        try:
            line = child.exchange(request, min(seconds, self._seconds_left()))
        finally:
            self._waited += time.monotonic() - began
        self._replay.received(line)
        return read_reply(line, self._number)

    def _seconds_left(self) -> float:
        left = self._limits.total_seconds - self._waited
        if left <= 0:
            raise PortTimeout(f"all its answers together took more than {self._limits.total_seconds:g} s")
        return left

    def _arrays(self, key: str, reply: Mapping[str, Any]) -> dict[str, np.ndarray]:
        try:
            return decode_arrays(reply.get(key))
        except ProtocolViolation as failure:
            raise ProtocolViolation(f"{key}: {failure}") from None

    def _break(self, child: Child, failure: PortFailure) -> None:
        self._last_failure = str(failure)
        self._timeouts += isinstance(failure, PortTimeout)
        self._complain(str(failure))
        self._child = None
        child.kill()

    def _complain(self, text: str) -> None:
        self.complaints.append(text)
        self._replay.noted(text)


def _description(reply: Mapping[str, Any], rule: str | None) -> dict[str, Any]:
    if reply.get("protocol") != PROTOCOL_VERSION:
        got = brief(reply.get("protocol"))
        raise ProtocolViolation(f"hello: this suite speaks protocol {PROTOCOL_VERSION}, the port answered {got}")
    described = reply.get("describe")
    if not isinstance(described, dict) or not all(isinstance(described.get(key), str) for key in ("name", "rule")):
        raise ProtocolViolation(f'hello: "describe" is an object with "name" and "rule", got {brief(described)}')
    if rule is not None and described["rule"] != rule:
        raise ProtocolViolation(f"hello: asked for {rule}, the port answered as {brief(described['rule'])}")
    return described
