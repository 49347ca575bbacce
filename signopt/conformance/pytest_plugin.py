"""The pytest plugin's tests: one item for each check and dtype of the port that ``--signopt-port`` names.

They run in the test process, so that a debugger reaches the port. For a port that may hang, crash or deceive use
``signopt check``, which takes a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from signopt.conformance.adapters.discovery import resolve
from signopt.conformance.declarations import Declaration
from signopt.conformance.deviations import load, stated
from signopt.conformance.driver import Driver, make_port
from signopt.conformance.errors import DeclarationError, PortMisbehaved, PortNotRun, PortRaised, TargetError
from signopt.conformance.pytest_marks import CheckCall, parametrize

__all__ = ["PortCheck", "PortNode", "port_node"]

_UNUSABLE = (
    TargetError, DeclarationError, PortRaised, PortMisbehaved, PortNotRun, OSError, ValueError,
)  # fmt: skip


class PortNode(pytest.Collector):
    """The port in the tree of tests; its name is the target, and so the first part of its tests' ids."""

    def __init__(self, *, port: Any, profile: str, known: Mapping[str, str], **rest: Any) -> None:
        super().__init__(**rest)
        self._params = parametrize(port, profile, deviations=known).args[1]

    def collect(self) -> Iterator[pytest.Item]:
        """An item for each check and dtype."""
        for param in self._params:
            # As a string, so that pytest reads the brackets as it does in a file of last failures.
            nodeid = f"{self.nodeid}::{param.id}"
            item: pytest.Item = PortCheck.from_parent(self, name=param.id, nodeid=nodeid, call=param.values[0])
            for mark in param.marks:
                item.add_marker(mark)
            yield item


class PortCheck(pytest.Item):
    """One check of the port in one dtype."""

    def __init__(self, *, call: CheckCall, **rest: Any) -> None:
        super().__init__(**rest)
        self._call = call

    def runtest(self) -> None:
        """Run the check: AssertionError if it fails, skipped if it does not apply."""
        self._call()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The inputs and what was allowed; for anything but a failed check, pytest's own traceback."""
        if isinstance(excinfo.value, AssertionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, None, str]:
        """What the headline of a failure says."""
        return self.path, None, self.nodeid


def port_node(session: pytest.Session, target: str, profile: str, deviations: str | None) -> PortNode:
    """The port as a node below the session; modules in the current folder can be named, as under ``python -m pytest``.

    Raises
    ------
    pytest.UsageError
        If the target cannot be had, does not describe itself, or the deviations are malformed or match no
        check.
    """
    folder = str(session.config.invocation_params.dir)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        port = make_port(resolve(target, None))
        declared = Declaration.of(Driver(port).describe())
        known = {} if deviations is None else stated(load(deviations), declared.rule)
        node: PortNode = PortNode.from_parent(
            session, name=target, nodeid=target, port=port, profile=profile, known=known
        )
    except _UNUSABLE as error:
        raise pytest.UsageError(f"--signopt-port={target}: {error}") from error
    return node
