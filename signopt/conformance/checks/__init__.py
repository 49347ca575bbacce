"""Every check of the suite, by what it proves."""

from signopt.conformance.checks import (
    changes,
    corners,
    decay,
    momentum,
    special,
    step,
    strict,
    tensors,
    tiger,
    tiger_changes,
    tiger_tensors,
)
from signopt.conformance.checks._registry import PROFILES, REGISTRY, Check, check

__all__ = [
    "PROFILES", "REGISTRY", "Check",
    "changes", "check", "corners", "decay", "momentum", "special", "step", "strict", "tensors", "tiger",
    "tiger_changes", "tiger_tensors",
]  # fmt: skip
