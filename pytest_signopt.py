"""The pytest plugin's front: its options, and nothing that takes time to import.

A module of its own, because pytest imports it in every run: the package behind it is imported where a port is
given.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

__all__ = ["pytest_addoption", "pytest_collection_modifyitems", "pytest_configure", "pytest_make_collect_report"]

_WANTED = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--signopt-port`` and what belongs to it."""
    group = parser.getgroup("signopt", "conformance of sign-based optimizers")
    group.addoption("--signopt-port", metavar="TARGET", help="package.module:attribute, a port; adds a test per check")
    group.addoption("--signopt-profile", default="standard", choices=("core", "standard", "strict"))
    group.addoption("--signopt-deviations", metavar="FILE", help="TOML file of known deviations, which become xfail")


def pytest_configure(config: pytest.Config) -> None:
    """Take the ids of the port's tests out of the arguments: they name no files."""
    target = config.getoption("--signopt-port")
    wanted = [each for each in config.args if target is not None and (each == target or _is_below(each, target))]
    config.args[:] = [each for each in config.args if each not in wanted]
    config.stash[_WANTED] = wanted


def _is_below(node: str, target: str) -> bool:
    return node.startswith(f"{target}::")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Put the port below the session, where pytest counts its tests like all others."""
    report = yield
    target = collector.config.getoption("--signopt-port")
    if target is not None and isinstance(collector, pytest.Session) and report.passed:
        from signopt.conformance.pytest_plugin import port_node

        profile, deviations = (collector.config.getoption(f"--signopt-{name}") for name in ("profile", "deviations"))
        report.result = [*report.result, port_node(collector, target, profile, deviations)]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the port's tests leave those whose ids were given."""
    wanted, target = config.stash[_WANTED], config.getoption("--signopt-port")
    if not wanted or target in wanted:
        return
    unknown = [each for each in wanted if each not in {item.nodeid for item in items}]
    if unknown:
        raise pytest.UsageError(f"--signopt-port={target} has no test {', '.join(unknown)}")
    dropped = [item for item in items if _is_below(item.nodeid, target) and item.nodeid not in wanted]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]
