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
    "ORDER", "PROFILES", "REGISTRY", "Check",
    "changes", "check", "corners", "decay", "momentum", "special", "step", "strict", "tensors", "tiger",
    "tiger_changes", "tiger_tensors",
]  # fmt: skip

ORDER = (
    "step", "zero", "betas", "momentum", "decay", "roles", "rms", "window", "nan", "shrink", "schedule", "magnitude",
    "subnormal", "nonfinite", "storage", "sizes", "tensors", "inputs", "state", "changes", "meta", "tiger", "defaults",
    "strict",
)  # fmt: skip
"""The groups from simple to composed: within a profile, checks run and are reported in this order."""
