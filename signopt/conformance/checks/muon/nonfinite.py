"""NaN and infinity: Muon spreads them over a matrix, and over no other."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks.muon.hybrid import flattens
from signopt.conformance.checks.muon.values import asked, muon_check, settings, spectrum, tensors, walk
from signopt.conformance.session import Session

SHAPES = ((3, 2), (2, 2))


def _with(s: Session, value: float) -> dict[str, np.ndarray]:
    grads = tensors(s, SHAPES, spectrum)
    grads["w0"][1, 1] = s.array(value)
    return grads


@muon_check("spreading/nan-gradient")
def nan_gradient(s: Session) -> None:
    """A NaN in a gradient makes all of its matrix NaN, of whatever shape, and its momentum there and nowhere else.

    Other tensors are stepped as ever.
    """
    with s.edge("a NaN in a gradient"):
        run = walk(s, SHAPES, settings(s), 1, spectrum)
        run.step(_with(s, np.nan))
        run.step(tensors(s, SHAPES, spectrum))
    with s.edge("a NaN in a gradient"):
        walk(s, SHAPES, settings(s), 0).step(_with(s, np.nan))
    for shape in ((2, 4), (3, 3), (1, 3), (4, 1), (1, 1), (2, 3, 2)):
        with s.edge(f"a NaN in a gradient of shape {shape}"), asked(s):
            if len(shape) > 2:
                flattens(s)
            run = walk(s, (shape,), settings(s), 1, spectrum)
            grad = spectrum(s, shape)
            grad.flat[-1] = np.nan
            run.step({"w0": grad})


@muon_check("spreading/inf-gradient")
def inf_gradient(s: Session) -> None:
    """An infinity in a gradient makes all of its matrix NaN, at once and in the step after."""
    for value in (np.inf, -np.inf):
        with s.edge("an infinity in a gradient"):
            run = walk(s, SHAPES, settings(s), 1, spectrum)
            run.step(_with(s, value))
            run.step(tensors(s, SHAPES, spectrum))


@muon_check("spreading/parameter")
def parameter(s: Session) -> None:
    """A parameter that is NaN or infinite stays so, or becomes NaN, and changes no other element."""
    for value in (np.nan, np.inf):
        params = tensors(s, SHAPES)
        params["w0"][0, 1] = value
        run = s.start(params, settings(s))
        for _ in range(2):
            run.step(tensors(s, SHAPES, spectrum))


@muon_check("spreading/momentum")
def momentum(s: Session) -> None:
    """A NaN in the momentum that is given makes all of its matrix NaN."""
    given = tensors(s, SHAPES)
    given["w0"][2, 0] = np.nan
    with s.edge("a NaN in a momentum"):
        run = s.start(tensors(s, SHAPES), settings(s), given)
        run.step(tensors(s, SHAPES, spectrum))
