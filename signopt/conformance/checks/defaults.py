"""The defaults of the source."""

from __future__ import annotations

from typing import Any

from signopt.conformance.checks._registry import check
from signopt.conformance.session import NotApplicableError, Session


@check("defaults/source")
def defaults(s: Session) -> None:
    """The defaults that the port declares are those of the source."""
    declared = s.habits.defaults
    if declared is None:
        raise NotApplicableError("the port declares no defaults")
    for key, value in s.rule.defaults.items():
        s.result.judged += 1
        if key in declared and _plain(declared[key]) != _plain(value):
            s.fail(f"the default of {key} is {declared[key]}; the source has {value}", allowed=str(value))


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value
