"""Every check of the suite: a file for each group of ids, and folders for what only Tiger and only Muon have."""

from signopt.conformance.checks import (
    betas,
    changes,
    decay,
    defaults,
    inputs,
    magnitude,
    meta,
    momentum,
    muon,
    nonfinite,
    rounding,
    rounding_words,
    sizes,
    spectral,
    state,
    step,
    storage,
    strict,
    subnormal,
    tensors,
    zero,
)
from signopt.conformance.checks._registry import PROFILES, REGISTRY, Check, check
from signopt.conformance.checks.tiger import changes as tiger_changes
from signopt.conformance.checks.tiger import everything, nan, rms, roles, schedule, window

__all__ = [
    "ORDER", "PROFILES", "REGISTRY", "Check",
    "betas", "changes", "check", "decay", "defaults", "everything", "inputs", "magnitude", "meta", "momentum", "muon",
    "nan", "nonfinite", "rms", "roles", "rounding", "rounding_words", "schedule", "sizes", "spectral", "state", "step",
    "storage", "strict", "subnormal", "tensors", "tiger_changes", "window", "zero",
]  # fmt: skip

ORDER = (
    "step", "zero", "betas", "momentum", "decay", "roles", "rms", "window", "nan", "shrink", "schedule", "magnitude",
    "subnormal", "nonfinite", "storage", "sizes", "tensors", "inputs", "state", "changes", "meta", "tiger", "identity",
    "polynomial", "iteration", "decaying", "trajectory", "orthogonalizer", "turning", "crossed", "matrices", "handed",
    "carried", "changed", "spreading", "spectral", "defaults", "strict", "rounding",
)  # fmt: skip
"""The groups from simple to composed: within a profile, checks run and are reported in this order.

The checks of "core" that come before "decay" give no weight decay: a wrong decay first fails a check that says so.
"""
