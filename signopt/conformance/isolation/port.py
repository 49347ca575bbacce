"""The suite's side of a port that a child process holds."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, NoReturn, Self

import numpy as np

from signopt.conformance.isolation.lender import Lender
from signopt.conformance.isolation.packets import dtype_of, join, split
from signopt.conformance.protocol.child import Child, Limits
from signopt.conformance.protocol.conversation import Conversation
from signopt.conformance.protocol.errors import PortError, PortLacks, PortUnavailable, ProtocolViolation
from signopt.conformance.protocol.framing import framed
from signopt.conformance.protocol.values import read, spell
from signopt.conformance.protocol.wire import brief

__all__ = ["IsolatedPort", "RemoteError"]

Array = np.ndarray[Any, Any]

_SERVER = (sys.executable, "-m", "signopt.conformance.isolation.server")
MAKING = "making the port"
"""The first call, of which the target makes a port."""

_START_SECONDS = 120.0
_GO_ON = ("step", "params", "momentum", "configure")
"""Methods that need the life that another began: a port that broke down is not started again for them."""


class RemoteError(PortError):
    """What the port raised in the child; ``type_name`` is the name of its type there."""

    def __init__(self, name: str, message: str) -> None:
        self.type_name = name
        super().__init__(message)


class IsolatedPort:
    """A port in a child process, with every public method that it has.

    Parameters
    ----------
    target : str
        ``"package.module:attribute"`` or the name of a published port; a string, because a process cannot be
        handed an object.
    rule : str, optional
        Which of the published ports of that name.
    limits : Limits, optional
    environment : mapping, optional
        Variables for the child beside those of this process.

    Raises
    ------
    PortFailure
        From any method, if there is no readable answer in time; PortUnavailable where the target cannot be had.
    """

    keeps_time: ClassVar[bool] = True
    """Every call ends by itself, so the suite sets no alarm over it."""

    def __init__(
        self,
        target: str,
        *,
        rule: str | None = None,
        limits: Limits | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        bounds = Limits() if limits is None else limits
        paths = os.pathsep.join(filter(None, sys.path))
        variables = {**os.environ, "PYTHONPATH": paths, **(environment or {})}
        start = partial(Child, _SERVER, bounds, variables, private=True)
        self._start_seconds = max(_START_SECONDS, bounds.message_seconds)
        self._talk = Conversation(start, partial(self._greet, target, rule), bounds)
        self._methods: list[str] = []
        self._lender, self._number = Lender(), 0

    def _greet(self, target: str, rule: str | None) -> None:
        self._lender = Lender()
        try:
            methods = self._ask(MAKING, (target, rule), self._start_seconds)
        except RemoteError as error:
            raise PortUnavailable(f"{MAKING}: {error.type_name}: {error}") from None
        except NotImplementedError as error:
            raise PortUnavailable(f"{MAKING}: NotImplementedError: {error}") from None
        if not isinstance(methods, list) or not all(isinstance(name, str) for name in methods):
            raise ProtocolViolation(f"no list of methods: {brief(methods)}")
        self._methods = methods

    def describe(self) -> Any:
        """What the port's ``describe`` returns."""
        self._talk.connect()
        return self._ask("describe", ())

    def __getattr__(self, name: str) -> Any:
        """A method of the port; AttributeError if it has none of that name."""
        if name.startswith("_"):
            raise AttributeError(name)
        self._connect_for(name)
        if name not in self._methods:
            raise AttributeError(f"the port has no method {name}()")
        return partial(self._call, name)

    def _connect_for(self, name: str) -> None:
        if name not in _GO_ON or not self._methods:
            self._talk.connect()

    def _call(self, name: str, *arguments: Any) -> Any:
        return self._ask(name, arguments)

    def _ask(self, name: str, arguments: tuple[Any, ...], seconds: float | None = None) -> Any:
        request = framed(self._request(name, arguments))
        return self._talk.ask(name, request, self._read, seconds)

    def _request(self, name: str, arguments: tuple[Any, ...]) -> bytes:
        self._number += 1
        forget, update = self._lender.forget(), self._lender.update()
        new: list[tuple[int, int, bytes]] = []
        head = {
            "number": self._number,
            "call": name,
            "arguments": spell(arguments, lambda value: self._lender.lend(np.asarray(value), new)),
            "forget": forget,
            "update": [number for number, _ in update],
            "new": [[number, misalignment] for number, misalignment, _ in new],
        }
        return join(head, [*(content for _, content in update), *(content for _, _, content in new)])

    def _read(self, message: bytes) -> Any:
        head, blocks = split(message)
        rest = iter(blocks)
        if head.get("number") != self._number:
            raise ProtocolViolation(f"call {self._number} was answered with number {brief(head.get('number'))}")
        for number in _numbers(head.get("changed")):
            self._lender.take_back(number, _next(rest))
        if "error" in head:
            _raise(head["error"])
        return read(head.get("value"), lambda spelled: _array(spelled, rest))

    def close(self) -> None:
        """End the process."""
        self._talk.close(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _raise(error: Any) -> NoReturn:
    match error:
        case {"kind": str(kind), "type": str(name), "message": str(message)}:
            pass
        case _:
            raise ProtocolViolation(f"an unreadable error: {brief(error)}")
    if kind == "unsupported":
        raise NotImplementedError(message)
    if kind == "target":
        raise PortUnavailable(message)
    if kind == "lacks":
        raise PortLacks(f"{name}: {message}")
    raise RemoteError(name, message)


def _numbers(value: Any) -> list[int]:
    if not isinstance(value, list) or not all(type(number) is int for number in value):
        raise ProtocolViolation(f"no list of numbers: {brief(value)}")
    return value


def _next(blocks: Iterator[memoryview]) -> memoryview:
    block = next(blocks, None)
    if block is None:
        raise ProtocolViolation("a block is missing")
    return block


def _array(spelled: Any, blocks: Iterator[memoryview]) -> Array:
    """An array out of an answer; where its elements were not sent, one of the same shape that holds nothing."""
    match spelled:
        case [str(name), list(shape), bool(sent)] if all(type(size) is int and 0 <= size < 2**62 for size in shape):
            pass
        case _:
            raise ProtocolViolation(f"no array is spelled {brief(spelled)}")
    if not sent:
        return _hollow(name, shape)
    block, dtype = _next(blocks), dtype_of(name)
    if len(block) != math.prod(shape) * dtype.itemsize:
        raise ProtocolViolation(f"an array of {name} and shape {shape} in {len(block)} bytes")
    return np.frombuffer(block, dtype).reshape(shape)


def _hollow(name: str, shape: list[int]) -> Array:
    try:
        return np.broadcast_to(np.zeros((), dtype_of(name)), shape)
    except ProtocolViolation:
        return np.broadcast_to(np.array(None), shape)
    except ValueError as error:
        raise ProtocolViolation(f"an array of shape {brief(shape)}: {error}") from None
