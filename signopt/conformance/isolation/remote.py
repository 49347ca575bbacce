"""The suite's side of the child: calls, answers, and what goes wrong with them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NoReturn

import numpy as np

from signopt.conformance.errors import PortLacks, PortUnavailable, ProtocolViolation, RemoteError
from signopt.conformance.isolation.lender import Lender
from signopt.conformance.isolation.packets import dtype_of, join, split
from signopt.conformance.protocol.child import Child
from signopt.conformance.protocol.conversation import Conversation
from signopt.conformance.protocol.framing import framed
from signopt.conformance.protocol.limits import Limits
from signopt.conformance.protocol.values import read, spell
from signopt.conformance.protocol.wire import brief

__all__ = ["Remote"]

Array = np.ndarray[Any, Any]

_SERVER = (sys.executable, "-m", "signopt.conformance.isolation.server")
_START_SECONDS = 120.0


class Remote:
    """A child that calls what it is asked to call.

    Parameters
    ----------
    greet : callable
        Makes the first call of each new child.
    limits : Limits
    environment : mapping
        Variables for the child beside those of this process.
    """

    def __init__(self, greet: Callable[[], None], limits: Limits, environment: Mapping[str, str]) -> None:
        paths = os.pathsep.join(filter(None, sys.path))
        variables = {**os.environ, "PYTHONPATH": paths, **environment}
        start = partial(Child, _SERVER, limits, variables, private=True)
        self._start_seconds = max(_START_SECONDS, limits.message_seconds)
        self._talk = Conversation(start, partial(self._greeted, greet), limits)
        self._lender, self._number = Lender(), 0
        self.connect, self.close = self._talk.connect, partial(self._talk.close, None)

    def _greeted(self, greet: Callable[[], None]) -> None:
        self._lender = Lender()
        greet()

    def first(self, name: str, *arguments: Any) -> Any:
        """A call that may take as long as a start, and whose failure is no fault of a port: PortUnavailable."""
        try:
            return self._ask(name, arguments, self._start_seconds)
        except RemoteError as error:
            raise PortUnavailable(f"{name}: {error.type_name}: {error}") from None
        except NotImplementedError as error:
            raise PortUnavailable(f"{name}: NotImplementedError: {error}") from None

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a method of the port there."""
        return self._ask(name, arguments, None)

    def _ask(self, name: str, arguments: tuple[Any, ...], seconds: float | None) -> Any:
        return self._talk.ask(name, framed(self._request(name, arguments)), self._read, seconds)

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


def _raise(error: Any) -> NoReturn:
    match error:
        case {"kind": str(kind), "type": str(name), "message": str(message), "place": str(place)}:
            pass
        case _:
            raise ProtocolViolation(f"an unreadable error: {brief(error)}")
    if kind == "unsupported":
        raise NotImplementedError(message)
    if kind == "target":
        raise PortUnavailable(message)
    if kind == "choice":
        raise PortLacks(message)
    if kind == "lacks":
        raise PortLacks(f"{name}: {message}")
    raise RemoteError(name, message, place)


def _numbers(value: Any) -> list[int]:
    if not isinstance(value, list) or not all(type(number) is int for number in value):
        raise ProtocolViolation(f"not a list of numbers: {brief(value)}")
    return value


def _next(blocks: Iterator[memoryview]) -> memoryview:
    block = next(blocks, None)
    if block is None:
        raise ProtocolViolation("a block is missing")
    return block


def _array(spelled: Any, blocks: Iterator[memoryview]) -> Array:
    """An array out of an answer; if its elements were not sent, one of the same shape that holds nothing."""
    match spelled:
        case [str(name), list(shape), bool(sent)] if all(type(size) is int and 0 <= size < 2**62 for size in shape):
            pass
        case _:
            raise ProtocolViolation(f"not an array: {brief(spelled)}")
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
