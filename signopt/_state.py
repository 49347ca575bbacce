"""The format of an optimizer's state, and the checks on a state that is to be loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from signopt import _checks as checks
from signopt._namespace import Array

__all__ = ["VERSION", "check", "check_momentum", "name_difference", "plain_hyper", "revived_hyper"]

VERSION = 1
"""Raised whenever a state written by an older version would be misread."""

CALLABLE = "callable"
_KEYS = ("version", "rule", "step", "hyper", "roles", "momentum")


def plain_hyper(hyper: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters as plain numbers, tuples and dicts; a callable becomes the word ``"callable"``."""
    return {name: _plain(value) for name, value in hyper.items()}


def _plain(value: Any) -> Any:
    if callable(value):
        return CALLABLE
    return dict(value) if isinstance(value, Mapping) else value


def revived_hyper(saved: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """Saved hyperparameters, with the optimizer's own callable where the saved one was a callable.

    Raises
    ------
    ValueError
        For other names than this rule's, or a callable that the optimizer does not have.
    """
    if saved.keys() != current.keys():
        raise ValueError(name_difference("state['hyper']", saved, current))
    for name, value in saved.items():
        if value == CALLABLE and not callable(current[name]):
            raise ValueError(
                f"the state was saved with a callable {name}, which is not stored; pass it to the constructor first"
            )
    return {name: current[name] if value == CALLABLE else value for name, value in saved.items()}


def check(state: Mapping[str, Any], *, rule: str, names: Collection[str], roles: Mapping[str, str]) -> None:
    """Check that ``state`` was saved by this rule, in this version, for these parameters.

    Raises
    ------
    TypeError, ValueError
        Saying what differs.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"a state is a mapping as state_dict() returns it, got {type(state).__name__}")
    if missing := [key for key in _KEYS if key not in state]:
        raise ValueError(f"the state lacks {', '.join(map(repr, missing))}: it does not come from state_dict()")
    if state["version"] != VERSION:
        raise ValueError(f"the state has version {state['version']!r}; this release of signopt reads version {VERSION}")
    if state["rule"] != rule:
        raise ValueError(f"the state was saved by {state['rule']!r} and cannot be loaded by {rule!r}")
    for key in ("hyper", "roles", "momentum"):
        if not isinstance(state[key], Mapping):
            raise TypeError(f"state[{key!r}] must be a mapping, got {type(state[key]).__name__}")
    if state["momentum"].keys() != set(names):
        raise ValueError(name_difference("state['momentum']", state["momentum"], names))
    for name, role in roles.items():
        if state["roles"].get(name) != role:
            raise ValueError(f"the state was saved with role {state['roles'].get(name)!r} for {name!r}, now {role!r}")


def check_momentum(saved: Array, current: Array, name: str) -> None:
    """Check that a saved momentum has the namespace, shape, device and dtype of the one it replaces."""
    checks.check_partner(current, saved, f"momentum[{name!r}]", "saved state")
    if saved.dtype != current.dtype:
        raise TypeError(f"the saved momentum of {name!r} has dtype {saved.dtype}, this optimizer keeps {current.dtype}")


def name_difference(what: str, given: Collection[str], wanted: Collection[str]) -> str:
    """A sentence that says which names are missing from ``given`` and which it has too many."""
    missing = ", ".join(repr(name) for name in wanted if name not in given)
    extra = ", ".join(repr(name) for name in given if name not in wanted)
    parts = (f"missing: {missing}" if missing else "", f"not expected: {extra}" if extra else "")
    return f"{what} has other names than the parameters; " + "; ".join(filter(None, parts))
