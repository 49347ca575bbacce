"""The child: ``python -m signopt.conformance.isolation.server IN OUT`` holds a port and calls its methods when asked.

``IN`` and ``OUT`` are the numbers of open pipes. The first message names the target; each message after it is a call.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

from signopt.conformance.adapters.discovery import candidates, no_port, resolve
from signopt.conformance.causes import lacking, message_of, place_of
from signopt.conformance.driver import as_port, quietly
from signopt.conformance.errors import TargetError
from signopt.conformance.isolation.borrower import Borrower
from signopt.conformance.isolation.packets import join, split
from signopt.conformance.protocol.framing import framed
from signopt.conformance.protocol.values import read, spell

__all__ = ["main"]

_MOST_BYTES = 1 << 28


class _Server:
    """One port and the memory that it was lent."""

    def __init__(self) -> None:
        self._port: Any = None
        self._borrower = Borrower()

    def answer(self, message: bytes) -> bytes:
        """The answer to one message, whatever the port does."""
        head, blocks = split(message)
        arguments = self._arguments(head, blocks)
        out: list[bytes] = []
        try:
            value = self._call(head["call"], arguments)
            outcome = {"value": spell(value, lambda array: _array(array, out))}
        # A port is foreign code: whatever it raises, even to leave the process, is its answer.
        except BaseException as error:
            out.clear()
            outcome = {"error": _error(error, made=self._port is not None)}
        changes = self._borrower.changes()
        head = {"number": head["number"], "changed": [number for number, _ in changes], **outcome}
        return join(head, [*(content for _, content in changes), *out])

    def _arguments(self, head: Mapping[str, Any], blocks: list[memoryview]) -> Any:
        rest = iter(blocks)
        for number in head["forget"]:
            self._borrower.forget(number)
        for number in head["update"]:
            self._borrower.update(number, next(rest))
        for number, misalignment in head["new"]:
            self._borrower.enter(number, misalignment, next(rest))
        return read(head["arguments"], self._borrower.array)

    def _call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if self._port is None:  # the first call makes it, or asks what could be made
            return self._make(*arguments) if arguments else _candidates()
        return quietly(getattr(self._port, name), *arguments)

    def _make(self, target: str, rule: str | None) -> list[str]:
        """Make the port; its public methods."""
        found = resolve(target, rule)
        if isinstance(found, type) and not hasattr(found, "describe"):
            raise TargetError(no_port(target))
        self._port = quietly(as_port, found)
        if not hasattr(self._port, "describe"):
            raise TargetError(no_port(target))
        return [name for name in dir(self._port) if not name.startswith("_") and _is_method(self._port, name)]


def _candidates() -> list[tuple[Any, ...]]:
    return [(c.name, c.rule, c.variant, dict(c.environment), _needs(c.missing())) for c in candidates()]


def _needs(missing: list[str]) -> list[str]:
    """What is not installed; variables of the environment are set for the child that holds the port."""
    return [name for name in missing if "=" not in name]


def _is_method(port: Any, name: str) -> bool:
    # A property of the port is foreign code.
    try:
        return callable(getattr(port, name))
    except Exception:
        return False


def _array(array: np.ndarray[Any, Any] | np.generic, out: list[bytes]) -> list[Any]:
    """Name of the dtype, shape, and whether the elements follow in a block: not if there are too many of them."""
    held = np.asarray(array)
    sendable = not held.dtype.hasobject and held.dtype.fields is None and held.nbytes <= _MOST_BYTES
    if sendable:
        out.append(held.tobytes())
    return [held.dtype.name, list(held.shape), sendable]


def _error(error: BaseException, *, made: bool) -> dict[str, str]:
    kind = "raised"
    if isinstance(error, TargetError):
        kind = "choice" if made else "target"
    elif isinstance(error, NotImplementedError):
        kind = "unsupported"
    elif lacking(error):
        kind = "lacks"
    said = {"message": message_of(error)[:500], "place": place_of(error)}
    return {"kind": kind, "type": type(error).__name__, **said}


def _serve(requests: BinaryIO, answers: BinaryIO, answer: Callable[[bytes], bytes]) -> None:
    process = os.getpid()
    while head := requests.read(8):
        reply = framed(answer(requests.read(int.from_bytes(head, "big"))))
        if os.getpid() != process:
            os._exit(0)  # the port has forked, and this is the copy: only the original answers
        answers.write(reply)
        answers.flush()


def main() -> None:
    """Serve until the requests end; then leave without what a port has put in the way."""
    numbers = [int(text) for text in sys.argv[-2:]]
    for number in numbers:
        os.set_inheritable(number, False)
    with os.fdopen(numbers[0], "rb") as requests, os.fdopen(numbers[1], "wb") as answers:
        _serve(requests, answers, _Server().answer)
    os._exit(0)


if __name__ == "__main__":
    main()
