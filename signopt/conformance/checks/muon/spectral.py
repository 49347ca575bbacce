"""Muon that declares spectral decay: D in the company of X, and alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.checks.muon.hybrid import flattens
from signopt.conformance.checks.muon.values import Array, asked, muon_check, settings, spectrum
from signopt.conformance.checks.spectral import matrix_of
from signopt.conformance.session import NotApplicableError, Session

SHAPES = ((3, 3), (4, 2), (2, 5), (6, 4))
SPECTRA = ((1.0, 0.5, 0.25), (1.0, 0.9, 0.5), (1.0, 0.0))


def _declared(s: Session) -> dict[str, Any]:
    if s.habits.decay_form == "plain":
        raise NotApplicableError("the port does not declare spectral decay")
    return settings(s, weight_decay=1.0)


def _decayed(s: Session, params: dict[str, Array], hyper: dict[str, Any], *, still: bool) -> None:
    run = s.start(params, hyper)
    for _ in range(2):
        run.step({name: np.zeros_like(p) if still else spectrum(s, p.shape) for name, p in run.param.items()})


@muon_check("decaying/alone", "core")
def alone(s: Session) -> None:
    """With gradients of zero the parameter loses η·λ·D: singular values far apart, near each other, and one alone."""
    hyper = _declared(s)
    for values in SPECTRA:
        _decayed(s, {f"w{i}": matrix_of(s, shape, values) for i, shape in enumerate(SHAPES)}, hyper, still=True)


@muon_check("decaying/beside")
def beside(s: Session) -> None:
    """The same beside a step, of the parameter as it was before, and for matrices of one row or column and of zeros."""
    hyper = _declared(s)
    for values in SPECTRA:
        _decayed(s, {f"w{i}": matrix_of(s, shape, values) for i, shape in enumerate(SHAPES)}, hyper, still=False)
    shapes = ((1, 1), (1, 4), (5, 1))
    _decayed(s, {f"w{i}": s.array(1.5 + s.rng.random(shape)) for i, shape in enumerate(shapes)}, hyper, still=True)
    _decayed(s, {"w": np.zeros((3, 2), s.dtype)}, hyper, still=True)


@muon_check("decaying/axes")
def axes(s: Session) -> None:
    """D is that of the matrix which X is made of, also of three and four axes; they may be refused."""
    hyper = _declared(s)
    with asked(s), s.edge("more than two axes"):
        flattens(s)
        for shape in ((3, 2, 3), (4, 2, 3), (3, 2, 1, 3)):
            flat = matrix_of(s, (shape[0], int(np.prod(shape[1:]))), (1.0, 0.6, 0.3))
            _decayed(s, {"w": flat.reshape(shape)}, hyper, still=True)
