"""The defaults of the source."""

from __future__ import annotations

from typing import Any

from signopt.conformance.checks._registry import check
from signopt.conformance.session import NotApplicableError, Session


@check("defaults/source")
def defaults(s: Session) -> None:
    """The defaults that the port declares are those of the source; what it does not declare is not judged.

    ``defaults`` is a claim to have the source's. What an adapter reads out of a constructor, under the library's own
    names, is ``constructor_defaults``: it is shown and never judged, since a library may choose its own.
    """
    declared = s.habits.defaults
    if declared is None:
        raise NotApplicableError("the port declares no defaults")
    known = {key: value for key, value in s.rule.defaults.items() if key in declared}
    if not known:
        raise NotApplicableError(f"of {', '.join(s.rule.defaults)} the port declares no default")
    for key, value in known.items():
        s.result.judged += 1
        if _plain(declared[key]) != _plain(value):
            s.fail(f"the default of {key} is {declared[key]}; the source has {value}", allowed=str(value))


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value
