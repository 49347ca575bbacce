"""Tiger's one trap: a rate of RMS(param)·lr is 0 for a parameter that starts at zero."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from array_api_compat import is_cupy_array

from signopt._namespace import Array, namespace_of
from signopt.roles import traits_of

__all__ = ["warn_about_zeros"]


def warn_about_zeros(
    params: Mapping[str, Array],
    roles: Mapping[str, str],
    *,
    remedy: str = 'give them the role "bias" (roles={name: "bias"})',
) -> None:
    """Warn once, naming every parameter of which a part would never move."""
    frozen = [f"{name!r} ({part})" for name, param in params.items() if (part := _frozen_part(param, roles[name]))]
    if frozen:
        warnings.warn(
            f"all zero, so their RMS is 0 and Tiger never moves them: {', '.join(frozen)}. Initialise them with other "
            f"values, or {remedy}, whose rate is 0.5·lr",
            UserWarning,
            stacklevel=3,
        )


def _frozen_part(param: Array, role: str) -> str:
    over = traits_of(role).rms
    if over is None or 0 in param.shape:
        return ""
    by_row = over == "row" and param.ndim > 1
    if _all_move(param[..., 0] if by_row else param[(0,) * param.ndim]):
        return ""
    xp = namespace_of(param)
    if not by_row:
        return "" if bool(xp.any(param != 0)) else "whole"
    zero_rows = xp.logical_not(xp.any(param != 0, axis=-1))
    rows = int(xp.sum(xp.astype(zero_rows, xp.int64)))
    return f"{rows} of its rows" if rows else ""


def _all_move(firsts: Array) -> bool:
    """Whether the first elements, of the array or of each row, are enough to tell: none of them is zero.

    On the host, so that arrays on a device are not read as a whole.
    """
    values = firsts.get() if is_cupy_array(firsts) else firsts
    return bool(namespace_of(values).all(values != 0))
