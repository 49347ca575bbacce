"""What was found out about the ports that fail: one entry for one cause, argued from the port's own source.

The entries are data, in ``findings.toml`` beside this file. The page is refused while a failing check of a port
has no entry, and while an entry names a check that did not fail: an accusation without an argument, or one that is
out of date, is not published.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.resources import files
from typing import Any

__all__ = ["Finding", "explain", "failing", "load"]


@dataclass(frozen=True)
class Finding:
    """One cause.

    Parameters
    ----------
    ports
        ``"rule/name"`` of the rows that it explains.
    versions
        The versions that were tested and have it.
    kind
        ``"bug"``; or ``"choice"`` where the port computes another rule on purpose.
    checks
        The checks that fail because of it: ids, or patterns such as ``"roles/*"``; with a dtype after a colon where
        only that one is concerned, as in ``"*:float64"``. None if the documentation alone is wrong.
    title, argument
        What is computed instead, and why that is not the rule.
    source
        File and line at the version tested.
    link
        The upstream thread, where there is one.
    case
        The page with the reproduction, relative to ``docs/field``.
    fixed
        The first version without it, for releases of the past.
    """

    ports: tuple[str, ...]
    versions: tuple[str, ...]
    kind: str
    checks: tuple[str, ...]
    title: str
    argument: str
    source: str
    case: str
    link: str = ""
    fixed: str = ""


def load() -> tuple[Finding, ...]:
    """Read ``findings.toml``."""
    data = tomllib.loads((files(__package__) / "findings.toml").read_text("utf-8"))
    return tuple(_finding(entry) for entry in data["finding"])


def _finding(entry: Mapping[str, Any]) -> Finding:
    fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}
    return Finding(**fields)


def failing(result: Mapping[str, Any]) -> set[str]:
    """Return the checks that failed in one row, as ``"id:dtype"``."""
    checks = result["report"]["checks"]
    return {f"{check['id']}:{check['dtype']}" for check in checks if check["status"] == "failed"}


def explain(result: Mapping[str, Any], findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings of one row.

    Raises
    ------
    ValueError
        If a failing check has no finding, or a finding names a check that did not fail.
    """
    port, version = f"{result['rule']}/{result['name']}", result["version"]
    own = [each for each in findings if port in each.ports and version in each.versions]
    named = [pattern for each in own for pattern in each.checks]
    failed, patterns = failing(result), [each if ":" in each else f"{each}:*" for each in named]
    unargued = sorted(check for check in failed if not any(fnmatch(check, pattern) for pattern in patterns))
    if unargued:
        raise ValueError(f"{port} {version} fails {', '.join(unargued)}: no finding argues it")
    stale = sorted(pattern for pattern in patterns if not any(fnmatch(check, pattern) for check in failed))
    if stale:
        raise ValueError(f"{port} {version}: a finding names {', '.join(stale)}, which did not fail")
    return own
