"""One application judged by what came before it: the proof that a 16-bit iteration leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.exact import Triple, iterates
from signopt.conformance.oracle.muon.radius import local_error
from signopt.conformance.oracle.muon.units import Precision

__all__ = ["follows"]

Array = np.ndarray[Any, Any]


def follows(before: Array, after: Array, triple: Triple, precision: Precision) -> bool:
    """Whether ``after`` is within the bound of one application of what the polynomial makes of ``before``."""
    if not np.isfinite(after).all() or not np.isfinite(before).all():
        return False
    exact = iterates(Block.of(before), [triple])[-1].floats()
    return bool(np.linalg.norm(after - exact) <= local_error(before, 0.0, triple, precision))
