"""Ports that step only matrices by Muon, and other tensors by another rule: which tensors are none of Muon's."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks.muon.values import Shape, settings
from signopt.conformance.errors import PortRaised
from signopt.conformance.session import NotApplicableError, Session

__all__ = ["by_another_rule", "flattens", "only_matrices"]

_EQUALLY_FAR = 1.02
_MUCH_LESS = 1 / 64
_PROBED: Shape = (3, 2, 2)


def by_another_rule(s: Session, shape: Shape) -> bool:
    """Whether the first step from zero moves all elements of a tensor equally far, whatever their gradients.

    AdamW, NAdamW and Lion do so, by which the published hybrids step what is no matrix; Muon's X and a gradient do not.
    """
    return _equally_far(s, shape, 1)


def _by_sign(s: Session, shape: Shape) -> bool:
    """Whether the second step does so too, when half of the gradients have become much smaller: AdamW's does not."""
    return _equally_far(s, shape, 2)


def _equally_far(s: Session, shape: Shape, steps: int) -> bool:
    """Whether the last of one or two steps from zero moves all elements equally far."""
    sign = np.where(s.rng.random(shape) < 0.5, -1.0, 1.0)
    wide = sign * np.geomspace(0.25, 4.0, int(np.prod(shape))).reshape(shape)
    uneven = np.resize((1.0, _MUCH_LESS), shape)
    before, after = np.zeros(shape), np.zeros(shape)
    s.driver.init({"a": np.zeros(shape, s.dtype)}, settings(s))
    for factor in (1.0, uneven)[:steps]:
        grad = s.array(wide * factor)
        s.driver.step({"a": grad})
        before, after = after, s.driver.params({"a": grad})["a"].astype(np.float64)
    moved = np.abs(after - before)
    return bool(0 < moved.max() <= _EQUALLY_FAR * moved.min())


def only_matrices(s: Session, kind: str) -> bool:
    """Whether the port declares that tensors of this kind, "vectors" or "axes", are stepped by another rule."""
    return kind in s.habits.other_rule


def flattens(s: Session) -> None:
    """Let a check of three and more axes go on.

    Raises
    ------
    NotApplicableError
        If the port does not take such tensors for matrices, or does not say which axes make the rows.
    """
    if s.habits.layout != "out_in":
        raise NotApplicableError("inputs first: which axes are flattened is not declared")
    if only_matrices(s, "axes"):
        raise NotApplicableError("the port declares that such tensors are stepped by another rule")
    try:
        other = by_another_rule(s, _PROBED) and not (_by_sign(s, _PROBED) and not _vectors_by_sign(s))
    except PortRaised:
        return
    if other:
        raise NotApplicableError(
            "tensors of three axes move as AdamW or Lion moves them: another rule, not judged here"
        )


def _vectors_by_sign(s: Session) -> bool:
    """Whether vectors are stepped by a sign as well, as by a hybrid with Lion: of three axes alone it is a fault."""
    try:
        return _by_sign(s, (4,))
    except PortRaised:
        return False
