"""Tiger's one trap: a rate of RMS(param)·lr is 0 for a parameter that starts at zero."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from signopt._namespace import Array, namespace_of
from signopt.roles import traits_of

__all__ = ["warn_about_zeros"]


def warn_about_zeros(params: Mapping[str, Array], roles: Mapping[str, str]) -> None:
    """Warn once, naming every parameter of which a part would never move."""
    frozen = [f"{name!r} ({part})" for name, param in params.items() if (part := _frozen_part(param, roles[name]))]
    if frozen:
        warnings.warn(
            f"all zero, so their RMS is 0 and Tiger never moves them: {', '.join(frozen)}. Initialise them with other "
            'values, or give them the role "bias" (roles={name: "bias"}), whose rate is 0.5·lr',
            UserWarning,
            stacklevel=3,
        )


def _frozen_part(param: Array, role: str) -> str:
    over = traits_of(role).rms
    if over is None or 0 in param.shape:
        return ""
    xp = namespace_of(param)
    if over == "tensor" or param.ndim < 2:
        return "" if bool(xp.any(param != 0)) else "whole"
    zero_rows = xp.logical_not(xp.any(param != 0, axis=-1))
    rows = int(xp.sum(xp.astype(zero_rows, xp.int64)))
    return f"{rows} of its rows" if rows else ""
