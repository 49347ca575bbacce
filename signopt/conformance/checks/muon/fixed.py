"""Large matrices with the default coefficients, or those that a port has fixed."""

from __future__ import annotations

from signopt.conformance.checks.muon.values import Shape, coarse, settings, spectrum, walk
from signopt.conformance.session import NotApplicableError, Session

__all__ = ["with_its_own_coefficients"]


def with_its_own_coefficients(s: Session, *shapes: Shape, double_only: bool = False) -> None:
    """One step from zero; ``double_only`` for matrices so large that the radius of float32 is too wide.

    Raises
    ------
    NotApplicableError
        In dtypes whose radius is.
    """
    if coarse(s) or s.storage.precision < 24:
        raise NotApplicableError("in 16 bits five applications have no useful bound here")
    if double_only and s.storage.name != "float64":
        raise NotApplicableError("ns_coefficients is fixed, and without others only float64 has a useful bound here")
    for shape in shapes:
        walk(s, (shape,), settings(s, weight_decay=0.0), 1, spectrum, theta=0.0, values=(1.0, 0.5))
