"""The warning that rounding to nearest would undo the steps of 16-bit parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from signopt.backends._interop import is_plain_tensor
from signopt.optimizer._rounding import warn_about_frozen
from signopt.rules.coefficients import Coefficients
from signopt.torch._state import Group, named

__all__ = ["warn_about_group"]


def warn_about_group(group: Group, roles: list[str], coefficients: Coefficients) -> None:
    """Warn if ``group`` is rounded to nearest and its learning rate is lost on most of it, as `signopt.Lion` does.

    ``roles`` are those of its parameters. Only plain tensors are looked at.
    """
    if group["rounding"] != "nearest":
        return
    rows = [(name, param, role) for (name, param), role in zip(named(group), roles, strict=True)]
    plain = [(name.strip("'"), p.detach(), role) for name, p, role in rows if is_plain_tensor(p) and not p.is_meta]
    moving: Any = {"lr": float(group["lr"])} | ({"moves": True} if hasattr(coefficients, "moves") else {})
    params, by_name = {name: param for name, param, _ in plain}, {name: role for name, _, role in plain}
    warn_about_frozen(params, by_name, replace(coefficients, **moving), moving["lr"], hint="")
