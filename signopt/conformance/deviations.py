"""Known deviations in a TOML file: what a port does differently, why, and until when that is accepted.

::

    [[deviation]]
    check = "nonfinite/nan-gradient"  # or "nonfinite/nan-gradient[float32]"
    reason = "sign(NaN) is +1 on this device"
    rule = "lion"                    # optional: only under this rule
    issue = "https://example.org/issues/7"
    since = 2026-11-01
    expires = 2027-05-01
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from signopt.conformance.declarations import RULES

__all__ = ["Deviation", "load", "stated"]

_REQUIRED = ("check", "reason")
_DATES = ("since", "expires")
_TEXTS = ("check", "reason", "rule", "issue")


@dataclass(frozen=True)
class Deviation:
    """One entry of the file."""

    check: str
    reason: str
    rule: str | None = None
    issue: str | None = None
    since: date | None = None
    expires: date | None = None

    @property
    def text(self) -> str:
        """The reason with its issue, as the report gives it."""
        return f"{self.reason} ({self.issue})" if self.issue else self.reason


def load(path: str | Path, today: date | None = None) -> list[Deviation]:
    """The entries of a file.

    Raises
    ------
    ValueError
        For a file that is not TOML, an entry without ``check`` or ``reason``, an unknown key, a value of
        another type, two entries for one check, and an entry that has expired.
    OSError
        If the file cannot be read.
    """
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    entries = content.pop("deviation", [])
    if content or not isinstance(entries, list):
        raise ValueError(f"{path} must hold [[deviation]] entries and nothing else")
    found = [_entry(f"{path}, deviation {number}", entry) for number, entry in enumerate(entries, 1)]
    _check_together(str(path), found, today or date.today())
    return found


def stated(deviations: list[Deviation], rule: str) -> dict[str, str]:
    """{check: reason} of the entries for ``rule``, as :func:`~signopt.conformance.check` takes them."""
    return {each.check: each.text for each in deviations if each.rule in (None, rule)}


def _entry(where: str, entry: Any) -> Deviation:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} must be a table, got {entry!r}")
    unknown = sorted(entry.keys() - {*_TEXTS, *_DATES})
    if unknown:
        raise ValueError(f"{where} has {', '.join(unknown)}; known are {', '.join((*_TEXTS, *_DATES))}")
    missing = [key for key in _REQUIRED if not entry.get(key)]
    if missing:
        raise ValueError(f"{where} needs {' and '.join(missing)}")
    for key, value in entry.items():
        wanted = date if key in _DATES else str
        if type(value) is not wanted:
            raise ValueError(f"{where}: {key} must be a {'date' if wanted is date else 'string'}, got {value!r}")
    if entry.get("rule") not in (None, *RULES):
        raise ValueError(f"{where}: rule must be one of {', '.join(RULES)}; got {entry['rule']!r}")
    return Deviation(**entry)


def _check_together(path: str, deviations: list[Deviation], today: date) -> None:
    seen = set()
    for each in deviations:
        if (each.check, each.rule) in seen:
            raise ValueError(f"{path} states two deviations for {each.check}: keep one")
        seen.add((each.check, each.rule))
        if each.expires is not None and each.expires < today:
            raise ValueError(f"{path}: the deviation {each.check} expired on {each.expires}: mend it or renew it")
