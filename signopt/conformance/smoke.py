"""A first conversation with a new port: what is wrong on the wire, before any arithmetic is judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from signopt.conformance.adapters.process import ProcessPort
from signopt.conformance.byte_order import discriminating, explains, follows, swapped
from signopt.conformance.declarations import Declaration
from signopt.conformance.errors import DeclarationError, PortBroke, PortRefused, PortUnfinished, ProtocolViolation
from signopt.conformance.oracle.formats import FORMATS
from signopt.conformance.oracle.rules import RULES, Optimizer
from signopt.conformance.protocol.child import Child
from signopt.conformance.protocol.limits import Limits
from signopt.conformance.protocol.messages import write_request
from signopt.conformance.report import Trace

__all__ = ["Finding", "converse"]

Array = np.ndarray[Any, Any]
_NAME = "w/kernel"


class Finding(NamedTuple):
    """One thing that was tried: ``status`` is "passed", "failed", "not_run", or "note" if it is only to be known."""

    status: str
    text: str


def converse(command: Sequence[str], rule: str | None = None, limits: Limits | None = None) -> Iterator[Finding]:
    """Talk to a port as the suite does, from start to end, and yield what is found; a breakdown is the last of it."""
    bounds = replace(limits or Limits(), restarts=0)
    port = ProcessPort(command, rule=rule, limits=bounds)
    try:
        yield from _talk(port)
        ending = port.close()
    except PortBroke as failure:
        evident = failure.accuses or isinstance(failure, PortUnfinished)
        yield Finding("failed" if evident else "not_run", f"{failure}{_hint(failure, command, bounds)}")
        return
    finally:
        port.close()
    if ending.fault:
        yield Finding("failed", f"exit: {ending.fault}")
    elif ending.remark:
        yield Finding("not_run", f"exit: {ending.remark}: does it leave its loop at bye, or when its stdin ends?")
    else:
        yield Finding("passed", "exit: it answered bye and ended with code 0")


def _hint(failure: PortBroke, command: Sequence[str], limits: Limits) -> str:
    """What else can be said of a breakdown."""
    if isinstance(failure, ProtocolViolation) and "one line of JSON" in str(failure):
        return "; stdout carries replies and nothing else: send banners and logs to stderr"
    if isinstance(failure, PortUnfinished) and "until its stdin was closed" in str(failure):
        return " " + _ahead(command, limits)
    return ""


def _ahead(command: Sequence[str], limits: Limits) -> str:
    """Whether a second request brings the first answer out."""
    child = Child(command, limits)
    try:
        child.exchange(write_request(1, "hello", protocol=1, rule=None) + write_request(2, "bye"))
    except PortBroke:
        return "A second request brought no answer out either: it is the flush, or a read up to the end of the input."
    finally:
        child.kill()
    return "A second request brought the first answer out: it reads one request ahead of its answers."


def _talk(port: ProcessPort) -> Iterator[Finding]:
    described = port.describe()
    yield Finding("passed", "start: it answered hello with one line of JSON")
    try:
        declared = Declaration.of(described)
    except DeclarationError as error:
        yield Finding("failed", f"hello: {error}")
        return
    yield from (Finding("note", f"hello: {note}") for note in declared.unread())
    rule = RULES[declared.rule]
    if not isinstance(rule, Optimizer):
        yield Finding("note", f"steps: a port of {rule.name} has none")
        return
    echoes = [finding for dtype in declared.dtypes for finding in _echo(port, declared, rule, dtype)]
    yield from echoes
    if all(finding.status == "passed" for finding in echoes):
        yield from _step(port, declared, rule, declared.dtypes[0])


def _hyper(declared: Declaration, rule: Optimizer) -> dict[str, Any]:
    lr, beta1, beta2, decay = discriminating(np.array([0.25, 0.5, 0.75, 0.5])).tolist()
    settings = rule.settings(lr=lr, betas=(beta1, beta2), weight_decay=decay)
    return rule.complete(declared.habits, settings, [_NAME])


def _echo(port: ProcessPort, declared: Declaration, rule: Optimizer, dtype: str) -> Iterator[Finding]:
    """The parameters that went in by init come out of params, bit for bit."""
    sent = np.array([[1.5, -2.25, 0.0], [-0.0, 3e-5, 1024.0]]).astype(FORMATS[dtype].dtype)
    try:
        port.init({_NAME: sent}, _hyper(declared, rule))
        got = port.params()
    except (PortRefused, NotImplementedError) as error:
        yield Finding("failed", f"init, {dtype}: answered with the error {error}")
        return
    yield _compared(sent, got, dtype)


def _compared(sent: Array, got: Any, dtype: str) -> Finding:
    where = f"params, {dtype}"
    if list(got) != [_NAME]:
        return Finding("failed", f"{where}: the names are {list(got)[:5]}, not [{_NAME!r}]")
    array = got[_NAME]
    if (array.dtype, array.shape) != (sent.dtype, sent.shape):
        return Finding("failed", f"{where}: {array.dtype.name} of shape {array.shape} for {dtype} of {sent.shape}")
    if array.tobytes() == sent.tobytes():
        return Finding("passed", f"{where}: what went in by init came out, bit for bit")
    if swapped(array).tobytes() == sent.tobytes():
        return Finding("failed", f"{where}: the bytes of each number came back in the opposite order: {_BIG_ENDIAN}")
    if np.array_equal(array.T.reshape(sent.shape), sent):
        return Finding("failed", f"{where}: the elements came back column by column: the last axis runs fastest")
    return Finding("failed", f"{where}: {_bits(sent)} came back as {_bits(array)}")


_BIG_ENDIAN = "digits are written most significant first, 1.0 in float32 is 3f800000"


def _bits(array: Array) -> str:
    return " ".join(number[::-1].hex() for number in (x.tobytes() for x in array.ravel()))


def _step(port: ProcessPort, declared: Declaration, rule: Optimizer, dtype: str) -> Iterator[Finding]:
    """A step is about what the rule says, and the same again in a second life."""
    kind, hyper = FORMATS[dtype].dtype, _hyper(declared, rule)
    param = discriminating(np.array([[1.5, -2.25, 0.75], [-3.0, 5.0, 1024.0]]).astype(kind))
    grad = discriminating(np.array([[0.5, 2.0, -1.25], [-0.75, 4.0, 8.0]]).astype(kind))
    lives = []
    try:
        for each in (grad, -4 * grad, grad):
            port.init({_NAME: param}, hyper)
            port.step({_NAME: each})
            lives.append(dict(port.params()))
        port.momentum()
    except (PortRefused, NotImplementedError) as error:
        yield Finding("failed", f"step, {dtype}: answered with the error {error}")
        return
    trace = Trace("smoke", {_NAME: param}, None, [hyper], [{_NAME: grad}], [(lives[0], None)])
    yield _judged(rule.name, trace)
    same = lives[0][_NAME].tobytes() == lives[2][_NAME].tobytes()
    again = "started afresh" if same else "did not start afresh: the same step came out otherwise"
    yield Finding("passed" if same else "failed", f"init: a new one {again}")


def _judged(rule: str, trace: Trace) -> Finding:
    swap = explains(rule, trace)
    if swap is not None:
        return Finding("failed", f"step: {swap}: {_BIG_ENDIAN}")
    if follows(rule, trace):
        return Finding("passed", "step: about what the rule says")
    return Finding("note", "step: not what the rule says, but the wire is all right: signopt check says what is wrong")
