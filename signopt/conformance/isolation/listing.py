"""Which ports are there to be checked, asked of a child: other packages register theirs by code that runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from signopt.conformance.errors import ProtocolViolation
from signopt.conformance.isolation.remote import Remote
from signopt.conformance.protocol.limits import Limits
from signopt.conformance.protocol.wire import brief

__all__ = ["Listed", "listed"]


@dataclass(frozen=True)
class Listed:
    """What a :class:`~signopt.conformance.adapters.candidate.Candidate` says of itself, and what it still needs."""

    name: str
    rule: str
    variant: str
    environment: Mapping[str, str]
    needs: list[str]


def listed(limits: Limits | None = None) -> list[Listed]:
    """Every candidate that this installation knows.

    Raises
    ------
    PortBroke
        If the child cannot list them.
    """
    found: list[object] = []

    def greet() -> None:
        answer = remote.first("listing the ports")
        found.extend(answer if isinstance(answer, list) else [answer])

    remote = Remote(greet, Limits() if limits is None else limits, {})
    try:
        remote.connect()
        return [_entry(entry) for entry in found]
    finally:
        remote.close()


def _entry(entry: object) -> Listed:
    match entry:
        case (str(name), str(rule), str(variant), dict(environment), list(needs)):
            return Listed(name, rule, variant, environment, needs)
    raise ProtocolViolation(f"no candidate is listed as {brief(entry)}")
