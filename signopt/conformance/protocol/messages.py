"""One request, one reply: how a request is written and what its reply may be."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, NoReturn

from signopt.conformance.causes import text_is_lacking
from signopt.conformance.errors import PortLacks, PortRefused, ProtocolViolation

from .wire import brief

__all__ = ["read_reply", "schema", "write_request"]


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of every message: ``$defs`` has "request" and "reply"."""
    content: dict[str, Any] = json.loads((files(__package__) / "messages.schema.json").read_text("utf-8"))
    return content


def write_request(number: int, method: str, **fields: Any) -> bytes:
    """The line that asks for ``method``; its id is ``number``."""
    return json.dumps({"id": number, "method": method, **fields}, separators=(",", ":")).encode() + b"\n"


def read_reply(line: bytes, number: int) -> dict[str, Any]:
    """The reply to request ``number``.

    Raises
    ------
    ProtocolViolation
        If the line is not one JSON object with this id.
    NotImplementedError
        If the port says ``unsupported``.
    PortLacks
        If the port says ``unavailable``, or ``internal`` with a message of a missing library or memory.
    PortRefused
        If the port reports any other error.
    """
    reply = _parse(line)
    _check_number(reply, number)
    if "error" in reply:
        _raise_error(reply["error"])
    return reply


def _parse(line: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(line, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolViolation(f"a reply is one line of JSON, got {brief(line)} ({brief(str(error))})") from None
    if not isinstance(reply, dict):
        raise ProtocolViolation(f"a reply is a JSON object, got {brief(reply)}")
    return reply


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; floats travel as hexadecimal bits")


def _check_number(reply: dict[str, Any], number: int) -> None:
    got = reply.get("id")
    if type(got) is int and got == number:
        return
    if type(got) is int and got < number:
        raise ProtocolViolation(f"request {number} was answered with id {got}: an answer given twice, or too late")
    raise ProtocolViolation(
        f"request {number} was answered with id {brief(got)}; a reply repeats the id of its request"
    )


def _raise_error(error: object) -> NoReturn:
    if not isinstance(error, dict) or not isinstance(error.get("kind"), str):
        raise ProtocolViolation(f'"error" is an object with "kind" and "message", got {brief(error)}')
    message = str(error.get("message") or "no message given")[:500]
    if error["kind"] == "unsupported":
        raise NotImplementedError(message)
    if error["kind"] == "unavailable" or (error["kind"] == "internal" and text_is_lacking(message)):
        raise PortLacks(message)
    raise PortRefused(f"{error['kind']}: {message}")
