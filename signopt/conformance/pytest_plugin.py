"""The pytest plugin's tests: one item for each check and dtype of the port that ``--signopt-port`` names.

They run in the test process, so that a debugger reaches the port. For a port that may hang or crash use
``signopt check``, which takes a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from signopt.conformance.adapters.discovery import TargetError, resolve
from signopt.conformance.declarations import Declaration, DeclarationError
from signopt.conformance.deviations import load, stated
from signopt.conformance.driver import Driver, PortRaisedError, PortWrongError, made
from signopt.conformance.protocol.errors import PortHung
from signopt.conformance.pytest_marks import CheckCall, parametrize

__all__ = ["PortCheck", "port_items"]


class _Port(pytest.Collector):
    """The port in the tree of tests."""

    def collect(self) -> list[pytest.Item]:
        """Nothing: :func:`port_items` makes the items."""
        return []


class PortCheck(pytest.Item):
    """One check of the port in one dtype."""

    def __init__(self, *, call: CheckCall, **rest: Any) -> None:
        super().__init__(**rest)
        self._call = call

    def runtest(self) -> None:
        """Run the check: AssertionError where it fails, skipped where it does not apply."""
        self._call()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The inputs and what was allowed; for anything but a failed check, pytest's own traceback."""
        if isinstance(excinfo.value, AssertionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, None, str]:
        """What the headline of a failure says."""
        return self.path, None, f"{self.parent.name if self.parent else ''} {self.name}"


def port_items(session: pytest.Session, target: str, profile: str, deviations: str | None) -> Iterator[pytest.Item]:
    """The items of one port.

    Raises
    ------
    pytest.UsageError
        If the target cannot be had, does not describe itself, or the deviations are malformed or match no
        check.
    """
    try:
        port = made(resolve(target, None))
        declared = Declaration.of(Driver(port).describe())
        known = {} if deviations is None else stated(load(deviations), declared.rule)
        params = parametrize(port, profile, deviations=known).args[1]
    except (TargetError, DeclarationError, PortRaisedError, PortWrongError, PortHung, OSError, ValueError) as error:
        raise pytest.UsageError(f"--signopt-port={target}: {error}") from error
    parent = _Port.from_parent(session, name=declared.name, nodeid=target)
    for param in params:
        item: pytest.Item = PortCheck.from_parent(parent, name=param.id, call=param.values[0])
        for mark in param.marks:
            item.add_marker(mark)
        yield item
