"""The checks on a state that is to be loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

__all__ = ["checked_state"]


def checked_state(
    params: Sequence[Sequence[tuple[str, Tensor]]], state_dict: Mapping[str, Any]
) -> list[tuple[Tensor, Tensor]]:
    """Each parameter that has a saved momentum, with it. Groups of other lengths are left for torch to refuse.

    ``params`` holds the named parameters of each group.

    Raises
    ------
    ValueError
        For the state of another optimizer, or of parameters of another shape.
    """
    momenta = []
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
            if state["momentum"].shape != param.shape:
                saved, shape = tuple(state["momentum"].shape), tuple(param.shape)
                raise ValueError(f"the saved momentum of {name} has shape {saved}, but {name} has shape {shape}")
            momenta.append((param, state["momentum"]))
    return momenta
