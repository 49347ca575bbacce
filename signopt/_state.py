"""The format of an optimizer's state, and the checks on a state that is to be loaded."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from signopt import _checks as checks
from signopt._hyperparameters import Schedule
from signopt._namespace import Array, namespace_of
from signopt.schedules import Cosine

__all__ = [
    "GROUPS",
    "VERSION",
    "apart",
    "apart_in",
    "check",
    "check_groups",
    "check_momentum",
    "checked_rests",
    "copied",
    "labelled",
    "name_difference",
    "plain",
    "plain_hyper",
    "revived_hyper",
]

_CALLABLE = "callable"
_COSINE = "cosine"

VERSION = 1
"""Raised whenever a state written by an older version would be misread."""

GROUPS = "groups"
"""The rule of a state that holds those of several optimizers."""

_KEYS = ("version", "rule", "step", "hyper", "roles", "momentum")
_LATER = {"schedule": None, "seed": 0}
"""Hyperparameters that states of this version may lack, because some rules got them later, and what that means."""


def plain_hyper(hyper: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters as plain numbers, tuples and dicts that JSON can hold."""
    return {name: _plain_schedule(value) if name == "schedule" else value for name, value in hyper.items()}


def revived_hyper(saved: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters from :func:`plain_hyper`, unchecked, and perhaps through JSON.

    Raises
    ------
    ValueError
        For other names than those of ``current``, or a callable schedule that ``current`` does not have.
    """
    given = {name: value for name, value in _LATER.items() if name in current} | dict(saved)
    if given.keys() != current.keys():
        raise ValueError(name_difference("state['hyper']", given, current))
    if "schedule" in current:
        given["schedule"] = _revived_schedule(given["schedule"], current["schedule"])
    return {name: given[name] for name in current}


def _plain_schedule(schedule: Schedule) -> Any:
    """``schedule`` as JSON can hold it. A function's code cannot be saved: it becomes the word ``"callable"``."""
    if isinstance(schedule, Cosine):
        return {_COSINE: asdict(schedule)}
    if callable(schedule):
        return _CALLABLE
    return None if schedule is None else dict(schedule)


def _revived_schedule(value: Any, current: Schedule) -> Any:
    """What :func:`_plain_schedule` returned, perhaps through JSON, as a schedule, of which points are not yet checked.

    ``current`` is the schedule of the optimizer that loads: it serves if the saved one was a function.

    Raises
    ------
    TypeError, ValueError
        For a function that ``current`` is not, or a damaged schedule.
    """
    if isinstance(value, str) and value == _CALLABLE:
        if not callable(current):
            raise ValueError(
                "the state was saved with a callable schedule, which is not stored; pass it to the constructor first"
            )
        return current
    if not isinstance(value, Mapping):
        return value
    if set(value) == {_COSINE}:
        return Cosine(**value[_COSINE])
    points = {int(key) if _is_count(key) else key: factor for key, factor in value.items()}
    if len(points) != len(value):
        raise ValueError(f"the saved schedule names a micro-step twice: {dict(value)!r}")
    return points


def _is_count(key: Any) -> bool:
    """Whether ``key`` is a number of steps as JSON spells it."""
    return isinstance(key, str) and re.fullmatch("0|[1-9][0-9]{0,18}", key) is not None


def check(state: Mapping[str, Any], *, rule: str, names: Collection[str], roles: Mapping[str, str]) -> None:
    """Check that ``state`` was saved by this rule, in this version, for these parameters.

    Raises
    ------
    TypeError, ValueError
        Saying what differs.
    """
    _check_head(state, _KEYS, rule)
    for key in ("hyper", "roles", "momentum"):
        if not isinstance(state[key], Mapping):
            raise TypeError(f"state[{key!r}] must be a mapping, got {type(state[key]).__name__}")
    if state["momentum"].keys() != set(names):
        raise ValueError(name_difference("state['momentum']", state["momentum"], names))
    for name, role in roles.items():
        if state["roles"].get(name) != role:
            raise ValueError(f"the state was saved with role {state['roles'].get(name)!r} for {name!r}, now {role!r}")


def _check_head(state: Any, keys: Sequence[str], rule: str) -> None:
    if not isinstance(state, Mapping):
        raise TypeError(f"a state is a mapping as state_dict() returns it, got {type(state).__name__}")
    if "version" in state and state["version"] != VERSION:
        raise ValueError(f"the state has version {state['version']!r}; this release of signopt reads version {VERSION}")
    if "rule" in state and state["rule"] != rule:
        raise ValueError(f"the state was saved by {state['rule']!r} and cannot be loaded by {rule!r}")
    if missing := [key for key in keys if key not in state]:
        raise ValueError(f"the state lacks {', '.join(map(repr, missing))}: it does not come from state_dict()")


def check_groups(state: Mapping[str, Any], groups: Collection[str]) -> None:
    """Check that ``state`` was saved by these groups, in this version; each group checks its own part.

    Raises
    ------
    TypeError, ValueError
        Saying what differs.
    """
    _check_head(state, ("version", "rule", "step", "groups"), GROUPS)
    if not isinstance(state["groups"], Mapping):
        raise TypeError(f"state['groups'] must be a mapping, got {type(state['groups']).__name__}")
    if state["groups"].keys() != set(groups):
        raise ValueError(name_difference("state['groups']", state["groups"], groups, "groups"))


def check_momentum(saved: Array, current: Array, name: str) -> None:
    """Check that a saved momentum has the namespace, shape, device and dtype of the one it replaces."""
    checks.check_partner(current, saved, f"momentum[{name!r}]", "saved state")
    if saved.dtype != current.dtype:
        raise TypeError(f"the saved momentum of {name!r} has dtype {saved.dtype}, this optimizer keeps {current.dtype}")


def checked_rests(saved: Mapping[str, Array], current: Mapping[str, Array]) -> dict[str, Array]:
    """The saved low halves of split parameters; zeros if the state comes from parameters that were not split.

    Raises
    ------
    TypeError, ValueError
        If they do not fit, or nothing here is split, so that they would be lost.
    """
    if not isinstance(saved, Mapping):
        raise TypeError(f"state['rests'] must be a mapping, got {type(saved).__name__}")
    if saved and not current:
        raise ValueError("the state has low halves of split parameters; make the optimizer with rounding='split'")
    if saved and saved.keys() != current.keys():
        raise ValueError(name_difference("state['rests']", saved, current))
    for name, rest in saved.items():
        if namespace_of(rest) is not namespace_of(current[name]) or rest.dtype != current[name].dtype:
            raise TypeError(f"state['rests'][{name!r}] must be int16 of the parameters' library, got {rest.dtype}")
        if tuple(rest.shape) != tuple(current[name].shape):
            raise ValueError(
                f"state['rests'][{name!r}] has shape {tuple(rest.shape)}, the parameter {tuple(current[name].shape)}"
            )
    zeros = {name: namespace_of(rest).zeros_like(rest) for name, rest in current.items() if not saved}
    return {**zeros, **saved}


def apart(saved: dict[str, Array], current: Mapping[str, Array]) -> dict[str, Array]:
    """``saved``, copied if it shares memory with the arrays of ``current``, which are to be written."""
    try:
        checks.check_disjoint(current, saved)
    except ValueError:
        return {name: copied(array) for name, array in saved.items()}
    return saved


def apart_in(state: Any, current: Mapping[str, Array]) -> Any:
    """``state``, unchecked, with its momenta copied if they share memory with the arrays of ``current``."""
    momentum = state.get("momentum") if isinstance(state, Mapping) else None
    if not isinstance(momentum, Mapping):
        return state
    prefixed = {f"saved {name!r}": array for name, array in momentum.items()}
    kept = apart(prefixed, current)
    return {**state, "momentum": dict(zip(momentum, kept.values(), strict=True))}


def copied(array: Array) -> Array:
    """A copy in memory of its own."""
    return namespace_of(array).asarray(array, copy=True)


def name_difference(what: str, given: Collection[str], wanted: Collection[str], wanted_are: str = "parameters") -> str:
    """A sentence that says which names are missing from ``given`` and which it has too many."""
    missing = ", ".join(repr(name) for name in wanted if name not in given)
    extra = ", ".join(repr(name) for name in given if name not in wanted)
    parts = (f"missing: {missing}" if missing else "", f"not expected: {extra}" if extra else "")
    return f"{what} has other names than the {wanted_are}; " + "; ".join(filter(None, parts))


def labelled(momenta: Mapping[str, Array], rests: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a state under the names that an error calls them by."""
    return {f"momentum of {n}": m for n, m in momenta.items()} | {f"rest of {n}": rest for n, rest in rests.items()}


def plain(value: Any) -> Any:
    """A hyperparameter as it can be pickled: a mapping as a dict."""
    return dict(value) if isinstance(value, Mapping) else value
