"""The interface between the suite and an implementation under test.

A *port* is one implementation of one rule. Anything with these five methods is one; nothing needs to be inherited, and
an adapter for a framework is usually under thirty lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

__all__ = ["Arrays", "Port"]

Arrays = Mapping[str, np.ndarray]


@runtime_checkable
class Port(Protocol):
    """One implementation of one rule, driven by the suite on NumPy arrays."""

    def describe(self) -> Mapping[str, Any]:
        """Say what this port is. ``"name"`` and ``"rule"`` are required; every other key is a declaration."""
        ...

    def init(self, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        """Start afresh from ``params``, and from ``momentum`` if it is given (else zeros).

        Raises
        ------
        NotImplementedError
            If ``momentum`` is given and the port has no way to set it.
        """
        ...

    def step(self, grads: Arrays) -> None:
        """Apply one update with these gradients."""
        ...

    def params(self) -> Arrays:
        """The parameters as they are now."""
        ...

    def momentum(self) -> Arrays | None:
        """The momentum as it is now, or None if the port does not expose it."""
        ...
