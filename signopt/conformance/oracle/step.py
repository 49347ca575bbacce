"""One step of a port as a rule's judge sees it, and what the judge says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from signopt.conformance.oracle.momentum import Momentum

__all__ = ["Arrays", "Fault", "Judge", "Judged", "Step"]

Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Step:
    """What the port had, what it was given, and what it shows afterwards.

    Attributes
    ----------
    index : int
        0 for the first step of a life.
    hyper : mapping
        The hyperparameters of this step.
    params, grads : mapping of name to array
        The parameters before the step, as the port last showed them, and the gradients.
    memory : mapping of name to Momentum
        What is known of the momenta before the step.
    new_params : mapping of name to array
        The parameters after it.
    new_momenta : mapping of name to array, or None
        The momenta after it, if the port shows them.
    """

    index: int
    hyper: Mapping[str, Any]
    params: Arrays
    grads: Arrays
    memory: Mapping[str, Momentum]
    new_params: Arrays
    new_momenta: Arrays | None


@dataclass(frozen=True)
class Fault:
    """One element that is not legal, in the words of the report (see `signopt.conformance.report.Failure`)."""

    tensor: str
    index: tuple[int, ...]
    quantity: str
    allowed: str
    got: str
    message: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    direction: str = ""
    region: str = ""


@dataclass(frozen=True)
class Judged:
    """The verdict on one step: its faults, and what is known of the momenta after it.

    ``by`` says how many elements of parameters were judged by what, if the rule has more than one way.
    """

    faults: list[Fault]
    memory: Mapping[str, Momentum]
    by: Mapping[str, int] = field(default_factory=dict)


Judge = Callable[[Step], Judged]
"""Judges the steps of one life of a port in turn; it may keep what it learns from one step for the next."""
