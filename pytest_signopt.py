"""The pytest plugin's front: its options, and nothing that takes time to import.

A module of its own, because pytest imports it in every run: the package behind it is imported where a port is
given.
"""

from __future__ import annotations

import pytest

__all__ = ["pytest_addoption", "pytest_collection_modifyitems"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--signopt-port`` and what belongs to it."""
    group = parser.getgroup("signopt", "conformance of Lion, Signum and Tiger")
    group.addoption("--signopt-port", metavar="TARGET", help="package.module:attribute, a port; adds a test per check")
    group.addoption("--signopt-profile", default="standard", choices=("core", "standard", "strict"))
    group.addoption("--signopt-deviations", metavar="FILE", help="TOML file of known deviations, which become xfail")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add one test for each check and dtype of the port; ``-k`` then selects among them as among all."""
    target = config.getoption("--signopt-port")
    if target is not None:
        from signopt.conformance.pytest_plugin import port_items

        profile, deviations = config.getoption("--signopt-profile"), config.getoption("--signopt-deviations")
        items.extend(port_items(session, target, profile, deviations))
