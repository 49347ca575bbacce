"""Ports that orthogonalise in another way than by the polynomial: by what all ways have in common."""

from __future__ import annotations

from signopt.conformance.checks.muon.values import MIX, muon_check, settings, spectrum, walk
from signopt.conformance.session import NotApplicableError, Session


@muon_check("orthogonalizer/range", "core")
def declared_range(s: Session) -> None:
    """X has the singular vectors of u, and singular values in the declared range."""
    if s.habits.orthogonalizer is None:
        raise NotApplicableError("the port declares no orthogonalizer of its own")
    for values in ((1.0, 0.7, 0.4), (1.0, 0.25, 0.0625), (1.0,)):
        walk(s, (*MIX, (5, 3), (1, 4), (1, 1)), settings(s), 2, spectrum, theta=0.25, values=values)
