"""Parallel gradients whose sum turns round: a wrong momentum moves the parameter the other way, in any precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from signopt.conformance.checks.muon.values import Shape, asked, muon_check, settings, spectrum
from signopt.conformance.session import Session

SHAPES: tuple[Shape, ...] = ((2, 2), (4, 2), (2, 4))


def parallel(s: Session, factors: Sequence[float], **wanted: Any) -> None:
    """Steps along c·G for each factor c; G has equal singular values, so that X keeps its size."""
    bases = {f"w{i}": spectrum(s, shape, (1.0,)).astype(float) for i, shape in enumerate(SHAPES)}
    params = {name: s.array(0.5 * s.rng.standard_normal(g.shape)) for name, g in bases.items()}
    run = s.start(params, settings(s, beta=0.95, **wanted))
    for factor in factors:
        run.step({name: s.array(factor * g) for name, g in bases.items()})


@muon_check("turning/look-ahead", "core")
def look_ahead(s: Session) -> None:
    """With look-ahead: gradients G and then −0.7·G, −0.2·G, −0.42·G, −0.3·G, −1.5·G."""
    for factor in (-0.7, -0.2, -0.42, -0.3, -1.5):
        with asked(s):
            parallel(s, (1.0, factor), nesterov=True)


@muon_check("turning/plain")
def plain(s: Session) -> None:
    """Without look-ahead: G and then −0.7·G, −1.2·G."""
    for factor in (-0.7, -1.2):
        with asked(s):
            parallel(s, (1.0, factor), nesterov=False)


@muon_check("turning/longer")
def longer(s: Session) -> None:
    """A sequence in which the sum turns round several times."""
    for nesterov in (True, False):
        with asked(s):
            parallel(s, (1.0, 0.5, -0.8, -0.6, 0.9, -0.25, 1.0, -2.0), nesterov=nesterov)
