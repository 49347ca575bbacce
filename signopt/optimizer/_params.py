"""The arrays of an optimizer: parameters by name, and a momentum of zeros for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from signopt import _checks as checks
from signopt._namespace import Array, cast, dtype_name, namespace_of
from signopt.backends import adopt

__all__ = ["Arrays", "named", "zeros_for"]

Arrays: TypeAlias = Mapping[str, Array] | Sequence[Array]
"""Arrays by name, or in an order."""


def named(params: Arrays) -> dict[str, Array]:
    if isinstance(params, Mapping):
        named = dict(params)
    elif isinstance(params, (list, tuple)):
        named = {str(index): param for index, param in enumerate(params)}
    else:
        raise TypeError(
            f"params must be a mapping {{name: array}} or a sequence of arrays, got {type(params).__name__}"
        )
    if not named:
        raise ValueError("params is empty: there is nothing to optimize")
    for name in named:
        if not isinstance(name, str):
            raise TypeError(f"the names of parameters must be strings, got {name!r}")
    return {name: adopt(param, f"params[{name!r}]", written=True) for name, param in named.items()}


def zeros_for(param: Array, momentum_dtype: Any, name: str) -> Array:
    xp = namespace_of(param)
    zeros = xp.zeros_like(param)
    if momentum_dtype is None:
        return zeros
    wanted = getattr(xp, momentum_dtype, momentum_dtype) if isinstance(momentum_dtype, str) else momentum_dtype
    zeros = cast(xp, zeros, wanted)
    checks.check_dtype(zeros, f"the momentum of params[{name!r}]")
    checks.check_momentum_dtype(dtype_name(param), dtype_name(zeros), f"params[{name!r}]")
    return zeros
