"""What the CPU backends learn of a shard from the facts of its tensor, as :func:`signopt.tiger_facts` gives them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from signopt.roles import RoleTraits

__all__ = ["root_of", "tells_nan", "tells_rms"]

Floats: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def tells_rms(facts: Floats, ndim: int, traits: RoleTraits) -> bool:
    """Whether the RMS comes from ``facts``; one triple of an embedding describes a shard whose rows are whole."""
    return traits.rms is not None and not (traits.rms == "row" and facts.ndim < ndim)


def tells_nan(facts: Floats) -> bool:
    """Whether any element of the gradient is NaN."""
    return bool((facts[..., 2] != 0).any())


def root_of(facts: Floats, compute: str) -> Any:
    """The RMS of the tensor, or of each of its rows, rounded once to the compute dtype."""
    with np.errstate(all="ignore"):
        return np.sqrt(facts[..., 0] / np.where(facts[..., 1] > 1, facts[..., 1], 1.0)).astype(compute)
