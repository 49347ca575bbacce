"""What all exchanges share: states by group, and momenta that fit their parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from signopt._host import from_host
from signopt._namespace import Array

__all__ = ["State", "each_state", "fitting", "names_of", "replaced", "state_of_lion", "unlike"]

State: TypeAlias = dict[str, Any]


def each_state(state: State, change: Callable[[State], State]) -> State:
    """``state`` with ``change`` applied to it or, if it is that of groups, to the state of each."""
    if "groups" not in state:
        return change(state)
    return {**state, "groups": {name: each_state(part, change) for name, part in state["groups"].items()}}


def state_of_lion(optimizer: Any, theirs: str) -> State:
    """The state of ``optimizer``, which must be a Lion.

    Raises
    ------
    TypeError
        If it is not.
    """
    state: State = optimizer.state_dict()
    if state["rule"] != "lion":
        raise TypeError(f"the state of {theirs} is that of a signopt.Lion, got the rule {state['rule']!r}")
    return state


def names_of(names: Sequence[str] | None, own: Sequence[str], count: int) -> list[str]:
    """The names of their ``count`` parameters: as given, else the optimizer's own in its order.

    Raises
    ------
    ValueError
        For another number of names than of parameters, a name given twice, or names that are not the optimizer's.
    """
    ordered = list(own if names is None else names)
    if len(ordered) != count:
        raise ValueError(f"their state is that of {count} parameters, and there are {len(ordered)} names")
    if sorted(ordered) != sorted(own):
        raise ValueError(f"the names {', '.join(ordered)} are not those of the optimizer: {', '.join(own)}")
    return ordered


def replaced(state: State, momentum: Mapping[str, Array], hyper: Mapping[str, Any], steps: int | None) -> State:
    """``state`` with these momenta, these hyperparameters in place of its own, and this number of steps if any."""
    return {
        **state,
        "momentum": dict(momentum),
        "hyper": {**state["hyper"], **hyper},
        "step": state["step"] if steps is None else steps,
    }


def fitting(values: np.ndarray[Any, Any], like: Array, name: str) -> Array:
    """``values`` as a new momentum in the place of ``like``.

    Raises
    ------
    ValueError
        For another shape.
    TypeError
        For another dtype: to convert would change bits.
    """
    array = from_host(values, like)
    if tuple(array.shape) != tuple(like.shape):
        raise ValueError(f"their momentum of {name!r} has shape {tuple(array.shape)}, ours {tuple(like.shape)}")
    if array.dtype != like.dtype:
        raise TypeError(
            f"their momentum of {name!r} has dtype {array.dtype}, ours {like.dtype}; set momentum_dtype= of ours"
        )
    return array


def unlike(values: Mapping[str, Any]) -> str:
    """A sentence with a few values by name, for the error that they are not all the same."""
    return "; ".join(f"{name}: {value}" for name, value in list(values.items())[:4])
