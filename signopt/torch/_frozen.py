"""Which elements the next step cannot move, and the warning that rounding to nearest undoes most steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch import Tensor

from signopt.backends._interop import is_plain_tensor
from signopt.backends._storage import Storage
from signopt.backends._stored import Stored
from signopt.optimizer._rounding import frozen_elements, warn_about_frozen
from signopt.rules.coefficients import Coefficients
from signopt.torch._state import Group, named

__all__ = ["frozen_of", "warn_about_group"]


def warn_about_group(group: Group, roles: list[str], coefficients: Coefficients) -> None:
    """Warn if ``group`` is rounded to nearest and its learning rate is lost on most of it, as `signopt.Lion` does.

    ``roles`` are those of its parameters. Only plain tensors are looked at.
    """
    if group["rounding"] != "nearest":
        return
    plain = [(name.strip("'"), param.detach(), role) for name, param, role in _plain(group, roles)]
    params, by_name = {name: param for name, param, _ in plain}, {name: role for name, _, role in plain}
    warn_about_frozen(params, by_name, _moving(group, coefficients), float(group["lr"]), hint="")


def frozen_of(group: Group, roles: list[str], coefficients: Coefficients, state: Any) -> tuple[int, int]:
    """How many elements of the plain tensors of ``group`` the next step cannot move, and how many there are."""
    frozen = elements = 0
    moving = _moving(group, coefficients)
    for _, param, role in _plain(group, roles):
        if param.numel():
            storage = Storage(group["rounding"], [0], [state.get(param, {}).get("rest")])
            elements += param.numel()
            frozen += frozen_elements(Stored(param.detach(), 0, storage), moving, role)
    return frozen, elements


def _plain(group: Group, roles: list[str]) -> Iterator[tuple[str, Tensor, str]]:
    for (name, param), role in zip(named(group), roles, strict=True):
        if is_plain_tensor(param) and not param.is_meta:
            yield name, param, role


def _moving(group: Group, coefficients: Coefficients) -> Any:
    """``coefficients`` of a step that moves parameters by the group's rate."""
    moving: Any = {"lr": float(group["lr"])} | ({"moves": True} if hasattr(coefficients, "moves") else {})
    return replace(coefficients, **moving)
