"""What an optimizer keeps of each parameter, and the checks on a state that is to be loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from signopt import _checks as checks
from signopt._namespace import dtype_name
from signopt.backends._storage import ROUNDINGS, Storage

__all__ = ["Group", "check_rounding", "checked_state", "fresh_slots", "is_split", "is_whole", "name_of", "named"]

Group: TypeAlias = dict[str, Any]

SLOTS = ("momentum", "rest")
"""What is kept of a parameter element by element."""


def named(group: Group) -> Iterator[tuple[str, Tensor]]:
    """The parameters of a group, with the names that errors call them by."""
    for index, param in enumerate(group["params"]):
        yield name_of(group, index), param


def name_of(group: Group, index: int) -> str:
    """What errors call a parameter of a group."""
    names = group.get("param_names")
    return repr(names[index]) if names else f"parameter {index} of its group"


def check_rounding(group: Group) -> None:
    """Raise ValueError or TypeError if there is no such rounding, or if it does not serve a parameter's dtype."""
    if group["rounding"] == "nearest":
        return
    if group["rounding"] not in ROUNDINGS:
        raise ValueError(f"rounding must be one of {', '.join(ROUNDINGS)}; got {group['rounding']!r}")
    for name, param in named(group):
        if group["rounding"] == "split" and param.dtype == torch.float16:
            raise TypeError(
                f"rounding='split' serves bfloat16, the upper half of float32, and {name} is float16; use "
                "rounding='stochastic', or bfloat16 parameters"
            )


def is_split(param: Tensor, group: Group) -> bool:
    """Whether a parameter of ``group`` has low halves."""
    return group["rounding"] == "split" and Storage("split").of(param) == "split"


def is_whole(state: Group, param: Tensor, group: Group, *, counted: bool) -> bool:
    """Whether ``state`` lacks no slot and has none that it should not, all on the device of ``param``."""
    momentum, rest = state.get("momentum"), state.get("rest")
    if momentum is None or momentum.device != param.device or (counted and "step" not in state):
        return False
    return (rest is None or rest.device == param.device) and (rest is not None) == is_split(param, group)


def fresh_slots(state: Group, param: Tensor, group: Group, *, counted: bool) -> Group:
    """The slots that ``state`` lacks, or that are zeros on another device than ``param`` is by now."""
    wanted = {"momentum": group["momentum_dtype"] or param.dtype}
    if is_split(param, group):
        wanted["rest"] = torch.int16
    fresh: Group = {
        name: torch.zeros_like(param, dtype=dtype, requires_grad=False)
        for name, dtype in wanted.items()
        if name not in state or (state[name].device != param.device and not state[name].any())
    }
    if counted and "step" not in state:
        fresh["step"] = torch.zeros((), dtype=torch.int64)
    return fresh


def checked_state(
    params: Sequence[Sequence[tuple[str, Tensor]]], state_dict: Mapping[str, Any]
) -> list[tuple[Tensor, str, Tensor]]:
    """Each parameter with the name of a slot and a copy of it. Groups of other lengths are torch's to refuse.

    ``params`` holds the named parameters of each group.

    Raises
    ------
    TypeError, ValueError
        For the state of another optimizer, or of parameters of another shape or dtype.
    """
    slots = []
    for mine, theirs in zip(params, state_dict["param_groups"], strict=False):
        for (name, param), key in zip(mine, theirs["params"], strict=False):
            state = state_dict["state"].get(key)
            if not state:
                continue
            if "momentum" not in state:
                raise ValueError(
                    f"the saved state of {name} has no momentum, but {', '.join(map(repr, state))}; it comes from "
                    "another optimizer"
                )
            for slot in (slot for slot in SLOTS if slot in state):
                _check_slot(slot, state[slot], param, name)
                slots.append((param, slot, state[slot].detach().to(device=param.device, copy=True)))
            if "step" in state:  # a live state's own counter would go on for both
                slots.append((param, "step", torch.tensor(int(state["step"]))))
    return slots


def _check_slot(slot: str, saved: Tensor, param: Tensor, name: str) -> None:
    if saved.shape != param.shape:
        shapes = tuple(saved.shape), tuple(param.shape)
        raise ValueError(f"the saved {slot} of {name} has shape {shapes[0]}, but {name} has shape {shapes[1]}")
    if slot == "rest" and saved.dtype != torch.int16:
        raise TypeError(f"the saved rest of {name} must be int16, as split parameters have it, got {saved.dtype}")
    if slot == "momentum":
        checks.check_dtype(saved, f"the saved momentum of {name}")
        checks.check_momentum_dtype(dtype_name(param), dtype_name(saved), name)
