"""A port in another process, spoken to in JSON lines: any language, see ``docs/protocol.md``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO, ClassVar, Self

from signopt.conformance.errors import ProtocolViolation

from ..protocol import PROTOCOL_VERSION
from ..protocol.child import Child
from ..protocol.conversation import Conversation
from ..protocol.limits import Ending, Limits
from ..protocol.messages import read_reply, write_request
from ..protocol.methods import METHODS
from ..protocol.replay import Replay
from ..protocol.wire import brief

__all__ = ["ProcessPort"]

_OPTIONAL = ("configure", "round_with")
"""Methods that a port has only if its description says so, by a key of the same name that is true."""


class ProcessPort:
    """A :class:`~signopt.conformance.Port` whose methods are messages to a process.

    The process is started by the first message. If the conversation breaks down (a hang, a crash, an
    unreadable reply) the process is killed and the call raises; the next ``init`` starts it afresh,
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
    PortRefused
        From any method, if the port answers with another error.
    PortBroke
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
        self._rule = rule
        bounds = Limits() if limits is None else limits
        self._talk = Conversation(lambda: start(tuple(command), bounds), self._greet, bounds, Replay(replay))
        self._description: dict[str, Any] | None = None
        self._number = 0

    @property
    def complaints(self) -> list[str]:
        """What was wrong with the conversation as such, apart from the arithmetic."""
        return self._talk.faults

    @property
    def remarks(self) -> list[str]:
        """What was odd about the conversation and is no fault."""
        return self._talk.remarks

    def describe(self) -> Mapping[str, Any]:
        """The port's declarations, from the handshake."""
        if self._description is None:
            self._talk.connect()
        assert self._description is not None
        return self._description

    def __getattr__(self, name: str) -> Any:
        """A method of the protocol; AttributeError for one that this port does not declare to have."""
        if name not in METHODS or (name in _OPTIONAL and self.describe().get(name) is not True):
            raise AttributeError(f"the protocol has no method {name!r} for this port")
        return partial(self._call, name)

    def _call(self, name: str, *arguments: Any) -> Any:
        method = METHODS[name]
        fields = method.spell(arguments)
        if method.begins:
            self._talk.connect()
        return method.read(self._ask(name, **fields))

    def _ask(self, method: str, **fields: Any) -> dict[str, Any]:
        return self._talk.ask(method, self._request(method, **fields), self._reader())

    def _request(self, method: str, **fields: Any) -> bytes:
        self._number += 1
        return write_request(self._number, method, **fields)

    def _reader(self) -> Callable[[bytes], dict[str, Any]]:
        return partial(read_reply, number=self._number)

    def _greet(self) -> None:
        request = self._request("hello", protocol=PROTOCOL_VERSION, rule=self._rule)
        self._description = self._talk.ask("hello", request, self._described)

    def _described(self, line: bytes) -> dict[str, Any]:
        return _description(read_reply(line, self._number), self._rule)

    def close(self) -> Ending:
        """Say ``bye`` and see the process out; one that stays is killed, and remarked upon."""
        if not self._talk.running:
            return Ending()
        return self._talk.close(self._request("bye"), self._reader())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _description(reply: Mapping[str, Any], rule: str | None) -> dict[str, Any]:
    if reply.get("protocol") != PROTOCOL_VERSION:
        got = brief(reply.get("protocol"))
        raise ProtocolViolation(f"this suite speaks protocol {PROTOCOL_VERSION}, the port answered {got}")
    described = reply.get("describe")
    if not isinstance(described, dict) or not all(isinstance(described.get(key), str) for key in ("name", "rule")):
        raise ProtocolViolation(f'"describe" is an object with "name" and "rule", got {brief(described)}')
    if rule is not None and described["rule"] != rule:
        raise ProtocolViolation(f"asked for {rule}, the port answered as {brief(described['rule'])}")
    return described
