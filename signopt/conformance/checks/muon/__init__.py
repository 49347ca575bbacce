"""The checks of Muon: what a step is made of, laid bare by the identity polynomial, and then the whole of it."""

from signopt.conformance.checks.muon import (
    crossed,
    identity,
    inputs,
    iteration,
    nonfinite,
    orthogonalizer,
    polynomial,
    spectral,
    state,
    strict,
    tensors,
    trajectory,
    turning,
    values,
)

__all__ = [
    "crossed", "identity", "inputs", "iteration", "nonfinite", "orthogonalizer", "polynomial", "spectral", "state",
    "strict", "tensors", "trajectory", "turning", "values",
]  # fmt: skip
