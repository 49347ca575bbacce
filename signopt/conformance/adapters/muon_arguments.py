"""The hyperparameters of Muon as the arguments that published Muons take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["Keywords", "chosen", "listed", "repeated", "triple"]

Keywords = Mapping[str, Any]


def triple(hyper: Keywords) -> tuple[float, ...]:
    """The coefficients if only one triple can be given."""
    given = hyper["ns_coefficients"]
    if np.ndim(given) != 1:
        raise ValueError("one triple of coefficients for all applications")
    return tuple(given)


def listed(hyper: Keywords) -> Any:
    """One triple, or a list of one for each application."""
    given = hyper["ns_coefficients"]
    return tuple(given) if np.ndim(given) == 1 else [tuple(each) for each in given]


def repeated(hyper: Keywords) -> list[tuple[float, ...]]:
    """A triple for each application, where their number is the length of the list."""
    given = np.asarray(hyper["ns_coefficients"])
    every = [given] * hyper["ns_steps"] if given.ndim == 1 else given
    return [tuple(each.tolist()) for each in every[: hyper["ns_steps"]]]


def chosen(hyper: Keywords, original: Any, matched: Any) -> Any:
    """One argument for the scale of Jordan's Muon, another for that of Moonlight's."""
    return original if hyper["adjust_lr_fn"] in ("original", None) else matched
