"""What hides below the spacing of a 16-bit parameter: results so near to half way that it decides how they are rounded.

The matrices are 1 × 1, where X is ±p(1), so that a rate or a coefficient can be chosen for a result a little to one
side of the middle between two numbers. What a port leaves out brings it to the other side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.checks.muon.values import Array, asked, settings, tensors
from signopt.conformance.oracle.formats import format_of
from signopt.conformance.oracle.muon.exact import Triple
from signopt.conformance.session import NotApplicableError, Session

__all__ = ["digits_beside_ties", "same_at_every_step", "small_decays_beside_ties"]

LARGE = 64.0
"""A gradient beside which the default ε is below the roundings of float32."""
AWAY = 1.5e-5
"""How far from half way, in proportion: 250 roundings of float32, of which the momentum's take some hundred."""
SMALL_DECAY = 8e-6


def _parameter_alone(s: Session) -> bool:
    """Whether the parameter has 16 bits, and what it is computed from more."""
    precision = s.habits.precision(s.storage, s.storage)
    return bool(precision.storage_rounding) and not precision.accumulates_wider and s.habits.orthogonalizer is None


def _step(s: Session, theta: float, hyper: dict[str, Any]) -> None:
    run = s.start({"w": s.array([[theta]])}, hyper)
    run.step({"w": s.array([[LARGE]])})


def digits_beside_ties(s: Session, triple: Triple) -> None:
    """From zero, −η·p(1) beside the middle between 1 and the next number."""
    if not _parameter_alone(s):
        return
    middle = 1 + 2.0**-s.storage.precision
    for side in (-1, 1):
        with asked(s):
            rate = middle * (1 + side * AWAY) / sum(triple)
            _step(s, 0.0, settings(s, lr=rate, weight_decay=0.0, ns_coefficients=triple, ns_steps=1))


def small_decays_beside_ties(s: Session) -> None:
    """From 1, a step that ends just above the middle below 1, and a decay that takes it across.

    Raises
    ------
    NotApplicableError
        If the parameter has more bits, or what it is computed from no more.
    """
    if not _parameter_alone(s):
        raise NotApplicableError("such a decay is below the rounding of 16 bits")
    down = 2.0 ** -(s.storage.precision + 1) - SMALL_DECAY / 2
    for lr in (1.0, 1e-3):
        hyper = {"lr": lr, "weight_decay": SMALL_DECAY / lr, "ns_coefficients": (down / lr, 0.0, 0.0), "ns_steps": 1}
        with asked(s):
            _step(s, 1.0, settings(s, **hyper))


def same_at_every_step(s: Session) -> None:
    """A gradient and its negative in turn, with β = 0, move the parameter by one X, to and fro, in every step.

    That holds for any number of applications, also in 16 bits, where several have no small radius: rounding to nearest
    knows no sign. An iteration that rounds at random may differ by what twins in one step differ by, four times.
    """
    wanted = {} if "ns_steps" in s.habits.fixed else {"ns_steps": 3}
    with asked(s), s.edge("beta = 0"):
        hyper = settings(s, beta=0.0, weight_decay=0.0, lr=1.0, **wanted)
        grads = tensors(s, ((2, 3), (3, 1)))
        for name, away in _beyond_rounding(s, grads, hyper).items():
            if not away <= 4 * _between_twins(s, grads[name], hyper):
                s.fail("equal gradients move the parameter differently from step to step", tensor=name)


def _beyond_rounding(s: Session, grads: dict[str, Array], hyper: dict[str, Any]) -> dict[str, float]:
    """By how much the steps to and fro differ, of each tensor of which they differ by more than it rounds."""
    run = s.start({name: np.zeros_like(g) for name, g in grads.items()}, hyper)
    first: dict[str, Array] = {}
    beyond: dict[str, float] = {}
    for count in range(12):
        before = {name: p.astype(np.float64) for name, p in run.param.items()}
        run.step({name: (-g if count % 2 else g) for name, g in grads.items()})
        for name, old in before.items():
            moved = (run.param[name].astype(np.float64) - old) * (-1) ** count
            slack = 8 * float(format_of(run.param[name].dtype).unit) * (np.abs(moved).max() + np.abs(old).max())
            away = float(np.abs(moved - first.setdefault(name, moved)).max())
            if not away <= slack:
                beyond[name] = np.fmax(beyond.get(name, 0.0), away - slack) if np.isfinite(away) else np.inf
    return beyond


def _between_twins(s: Session, grad: Array, hyper: dict[str, Any]) -> float:
    """How far apart one step from zero takes eight tensors with one gradient: no way, unless it rounds at random."""
    grads = {f"twin{i}": grad.copy() for i in range(8)}
    run = s.start({name: np.zeros_like(grad) for name in grads}, hyper)
    run.step(grads)
    moved = np.stack([p.astype(np.float64) for p in run.param.values()])
    return float(np.ptp(moved, axis=0).max())
