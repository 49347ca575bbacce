"""Large matrices for ports that have their coefficients fixed."""

from __future__ import annotations

from signopt.conformance.checks.muon.values import Shape, coarse, settings, spectrum, walk
from signopt.conformance.session import NotApplicableError, Session

__all__ = ["with_its_own_coefficients"]


def with_its_own_coefficients(s: Session, *shapes: Shape) -> None:
    """One step from zero, in float64: in float32 the radius is too wide for matrices so large.

    Raises
    ------
    NotApplicableError
        In other dtypes.
    """
    if s.storage.name != "float64" or coarse(s):
        raise NotApplicableError("ns_coefficients is fixed, and without others only float64 has a useful bound here")
    for shape in shapes:
        walk(s, (shape,), settings(s, weight_decay=0.0), 1, spectrum, theta=0.0, values=(1.0, 0.5))
