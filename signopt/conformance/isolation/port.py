"""A port that a child process holds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Self

from signopt.conformance.errors import ProtocolViolation
from signopt.conformance.isolation.remote import Remote
from signopt.conformance.protocol.limits import Limits
from signopt.conformance.protocol.wire import brief

__all__ = ["IsolatedPort"]

_GO_ON = ("step", "params", "momentum", "configure")
"""Methods that need the life that another began: a port that broke down is not started again for them."""


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
    PortBroke
        From any method, if there is no readable answer in time; PortUnavailable if the target cannot be had.
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
        greet = partial(self._make, target, rule)
        self._remote = Remote(greet, Limits() if limits is None else limits, environment or {})
        self._methods: list[str] = []

    def _make(self, target: str, rule: str | None) -> None:
        methods = self._remote.first("making the port", target, rule)
        if not isinstance(methods, list) or not all(isinstance(name, str) for name in methods):
            raise ProtocolViolation(f"not a list of methods: {brief(methods)}")
        self._methods = methods

    def describe(self) -> Any:
        """What the port's ``describe`` returns."""
        self._remote.connect()
        return self._remote.call("describe")

    def __getattr__(self, name: str) -> Any:
        """A method of the port; AttributeError if it has none of that name."""
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in _GO_ON or not self._methods:
            self._remote.connect()
        if name not in self._methods:
            raise AttributeError(f"the port has no method {name}()")
        return partial(self._remote.call, name)

    def close(self) -> None:
        """End the process."""
        self._remote.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
