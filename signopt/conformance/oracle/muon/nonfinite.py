"""What is asked of a tensor in which something is NaN or infinite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.exact import remembered
from signopt.conformance.oracle.muon.law import Expected, Forms, Known, momentum_slack
from signopt.conformance.oracle.muon.tensor import Tensor, distant_fault, outside, plain_fault
from signopt.conformance.oracle.muon.units import Precision
from signopt.conformance.oracle.step import Fault

__all__ = ["finite_momentum_faults", "not_finite_faults", "spread_faults"]

Array = np.ndarray[Any, Any]


def spread_faults(tensor: Tensor, finite: Array, expected: Expected, others: bool) -> Iterator[Fault]:
    """A parameter that is not finite stays so; with ``others``, those of its tensor go their own way."""
    exact = expected.param.floats()
    far = np.abs(tensor.new_p - exact)
    inside = far <= expected.param_slack + 4 * np.spacing(np.abs(exact))
    if others and np.isfinite(expected.param_norm) and not inside[finite].all():
        at = int(np.flatnonzero(finite.ravel() & ~inside.ravel())[0])
        message = "a parameter that is not finite changes others of its tensor"
        yield distant_fault(tensor, "param", at, tensor.new_p, exact, expected.param_slack, message)
    if np.isfinite(tensor.new_p[~finite]).any():
        at = int(np.flatnonzero(~finite.ravel() & np.isfinite(tensor.new_p).ravel())[0])
        yield plain_fault(
            tensor, "param", at, tensor.new_p, "not finite", "a parameter that is not finite became finite"
        )


def finite_momentum_faults(
    tensor: Tensor, hyper: Mapping[str, Any], forms: Forms, precision: Precision
) -> list[Fault]:  # fmt: skip
    """Where neither gradient nor momentum is NaN or Inf the momentum goes its way, whatever else is in its tensor."""
    if tensor.old_m is None or tensor.new_m is None:
        return []
    fine = np.isfinite(tensor.old_m) & np.isfinite(tensor.g)
    known, g = Known.shown(np.where(fine, tensor.old_m, 0.0)), np.where(fine, tensor.g, 0.0)
    beta = float(hyper["beta"])
    exact = remembered(known.value, Block.of(g), beta, forms.momentum).floats()
    far = np.where(fine, np.abs(tensor.new_m - exact), 0.0)
    slack = momentum_slack(known, g, beta, precision) + 4 * np.spacing(np.abs(exact))
    return list(outside(tensor, "momentum", tensor.new_m, exact, far, slack))


def not_finite_faults(tensor: Tensor, hyper: Mapping[str, Any]) -> Iterator[Fault]:
    """NaN or Inf in the gradient or the momentum: all of the parameter is NaN, and the momentum not finite there."""
    bad = ~np.isfinite(tensor.g)
    if tensor.new_m is not None and np.isfinite(tensor.new_m[bad]).any():
        at = int(np.flatnonzero(bad.ravel() & np.isfinite(tensor.new_m).ravel())[0])
        message = "the gradient is not finite here, so the momentum must not be either"
        yield plain_fault(tensor, "momentum", at, tensor.new_m, "not finite", message)
    if hyper["lr"] and not np.isnan(tensor.new_p).all():
        at = int(np.flatnonzero(~np.isnan(tensor.new_p).ravel())[0])
        message = "the norm is NaN or infinite, so all of the parameter must become NaN"
        yield plain_fault(tensor, "param", at, tensor.new_p, "nan", message)
