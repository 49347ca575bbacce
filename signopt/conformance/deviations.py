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

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from signopt.conformance.oracle.rules import RULES
from signopt.conformance.protocol.wire import brief
from signopt.conformance.report import CheckResult, Report

__all__ = ["Deviation", "as_toml", "load", "stated"]

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
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, an absurd number, a thousand brackets
        raise ValueError(f"{path} is not TOML: {str(error)[:300]}") from None
    entries = content.pop("deviation", [])
    if content or not isinstance(entries, list):
        raise ValueError(f"{path} must hold [[deviation]] entries and nothing else")
    found = [_entry(f"{path}, deviation {number}", entry) for number, entry in enumerate(entries, 1)]
    _check_together(str(path), found, today or date.today())
    return found


def stated(deviations: list[Deviation], rule: str) -> dict[str, str]:
    """{check: reason} of the entries for ``rule``, as :func:`~signopt.conformance.check` takes them."""
    return {each.check: each.text for each in deviations if each.rule in (None, rule)}


def as_toml(reports: Sequence[Report], today: date) -> str:
    """A file that states every failed check of these reports, for its author to give the reasons.

    What deviates already keeps the reason that was given. A check that failed in all dtypes is one entry.
    """
    return "\n".join(["# Known deviations: give each its reason, or fix it.", *map(_table, _entries(reports, today))])


def _entries(reports: Sequence[Report], today: date) -> Iterator[dict[str, Any]]:
    for report in reports:
        for identifier in dict.fromkeys(result.id for result in report.checks):
            ran = [result for result in report.checks if result.id == identifier and result.status != "not_applicable"]
            wrong = [result for result in ran if result.status in ("failed", "deviating")]
            alike = len(wrong) == len(ran) and len({_reason(result) for result in wrong}) == 1
            for result in wrong[:1] if alike else wrong:
                name = identifier if alike else f"{identifier}[{result.dtype}]"
                yield {"check": name, "reason": _reason(result), "rule": report.rule, "since": today}


def _reason(result: CheckResult) -> str:
    if result.status == "deviating":
        return result.reason
    message = result.failures[0].message if result.failures else result.reason
    return f"TODO: {message}" if message else "TODO"


def _table(entry: Mapping[str, Any]) -> str:
    lines = [f"{key} = {value if isinstance(value, date) else _quoted(value)}" for key, value in entry.items()]
    return "\n".join(["", "[[deviation]]", *lines, ""])


def _quoted(text: str) -> str:
    """A basic string: TOML escapes like JSON, but has no lone surrogates and wants DEL escaped."""
    clean = "".join("�" if "\ud800" <= c <= "\udfff" else c for c in text)
    return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")


def _entry(where: str, entry: Any) -> Deviation:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} must be a table, got {brief(entry)}")
    unknown = sorted(entry.keys() - {*_TEXTS, *_DATES})
    if unknown:
        raise ValueError(f"{where} has {', '.join(unknown)}; known are {', '.join((*_TEXTS, *_DATES))}")
    missing = [key for key in _REQUIRED if not entry.get(key)]
    if missing:
        raise ValueError(f"{where} needs {' and '.join(missing)}")
    for key, value in entry.items():
        wanted = date if key in _DATES else str
        if type(value) is not wanted:
            raise ValueError(f"{where}: {key} must be a {'date' if wanted is date else 'string'}, got {brief(value)}")
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
            raise ValueError(f"{path}: the deviation {each.check} expired on {each.expires}: fix it or renew it")
