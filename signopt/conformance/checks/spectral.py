"""Spectral-norm decay: D against the rational one, or against what makes it a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.inputs import LAYOUTS
from signopt.conformance.errors import PortMisbehaved
from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.spectral import SVD_UNITS, gradient_fault, power_decay
from signopt.conformance.session import Session

Array = np.ndarray[Any, Any]
RULE = ("spectral-decay",)
SHAPES = ((3, 3), (4, 2), (2, 5), (6, 4))


def matrix_of(s: Session, shape: tuple[int, int], values: tuple[float, ...]) -> Array:
    """Given singular values; the first right vector is well away from being orthogonal to the ones."""
    short = min(shape)
    left = np.linalg.qr(s.rng.standard_normal((shape[0], short)))[0]
    start = 0.5 * s.rng.standard_normal((shape[1], short))
    start[:, 0] += 1.0
    right = np.linalg.qr(start)[0]
    return s.array(left * np.resize(values, short) @ right.T)


def _returned(s: Session, matrix: Array) -> Array:
    """What the port makes of a matrix, of which shape and dtype are checked; the matrix must stay as it was."""
    given = matrix.copy(order="K")
    d = s.driver.call("decay", given)
    if not isinstance(d, np.ndarray) or d.shape != matrix.shape or d.dtype != matrix.dtype:
        got = f"{d.dtype}{d.shape}" if isinstance(d, np.ndarray) else type(d).__name__
        raise PortMisbehaved(f"decay() returned {got}, not {matrix.dtype}{matrix.shape}")
    s.expect_equal({"matrix": given}, {"matrix": matrix}, "the port changed the matrix that it was given")
    return d


def _judge(s: Session, matrix: Array) -> None:
    d = _returned(s, matrix)
    wide, shown = matrix.astype(np.float64), d.astype(np.float64)
    unit = float(s.storage.unit)
    if s.habits.method == "svd":
        message = gradient_fault(shown, wide, SVD_UNITS * unit)
        if message:
            s.fail(message)
        return
    exact, radius = power_decay(wide, s.habits.rounds, unit)
    away = float(np.linalg.norm((Block.of(shown) - exact).floats())) if np.isfinite(shown).all() else np.inf
    if not away <= radius:
        s.fail(f"D is off by {away:.3g} in Frobenius norm; legal rounding reaches {radius:.3g}", quantity="param")


@check("spectral/decay", profile="core", rules=RULE, essential=True)
def decay(s: Session) -> None:
    """D = W·x·xᵀ/(xᵀx) with x = (WᵀW)^k·1, or σ₁·u·vᵀ: singular values far apart, near each other, and equal."""
    for shape in SHAPES:
        for values in ((1.0, 0.5, 0.25), (1.0, 0.9, 0.5), (1.0,), (1.0, 0.0)):
            _judge(s, matrix_of(s, shape, values))


@check("spectral/vectors", profile="core", rules=RULE)
def vectors(s: Session) -> None:
    """Of a matrix of one row or column, D is the matrix."""
    for shape in ((1, 1), (1, 4), (5, 1)):
        _judge(s, s.array(1.5 + s.rng.random(shape)))


@check("spectral/zero", profile="core", rules=RULE)
def zero(s: Session) -> None:
    """Of a matrix of zeros, D is zero, and not 0/0."""
    for shape in ((3, 2), (1, 1)):
        _judge(s, np.zeros(shape, s.dtype))


@check("spectral/sizes", rules=RULE)
def sizes(s: Session) -> None:
    """D grows with the matrix: a quarter and four times as large, in float64 a millionth, and more rows and columns."""
    for size in (0.25, 4.0, 1e-6, 1e6) if s.storage.precision > 24 else (0.25, 4.0):
        _judge(s, s.array(size * matrix_of(s, (3, 4), (1.0, 0.6, 0.3)).astype(np.float64)))
    for shape in ((17, 5), (9, 20)):
        _judge(s, matrix_of(s, shape, (1.0, 0.7, 0.5, 0.2)))


@check("spectral/patterns", rules=RULE)
def patterns(s: Session) -> None:
    """Zero rows and columns, symmetric, diagonal, constant and negative matrices are matrices like others."""
    square, tall = matrix_of(s, (4, 4), (1.0, 0.6, 0.3)).astype(np.float64), np.abs(s.rng.standard_normal((5, 3)))
    for matrix in (
        square * [1.0, 0.0, 1.0, 1.0], (square * [1.0, 1.0, 0.0, 1.0]).T, square + square.T, np.diag([0.5, 2.0, 1.0]),
        np.full((2, 3), -0.5), tall, -tall, np.triu(tall),
    ):  # fmt: skip
        _judge(s, s.array(matrix))


@check("spectral/null", rules=RULE)
def null(s: Session) -> None:
    """Where the power iteration comes to zero, since every row sums to zero, D is zero, and not 0/0."""
    for rows in ([[1, -1], [2, -2]], [[1, 1, -2], [2, -1, -1]], [[0.5, -0.5], [1, -1], [-3, 3]]):
        _judge(s, s.array(rows))


@check("spectral/layouts", rules=RULE)
def layouts(s: Session) -> None:
    """Matrices are read by index, whatever their strides."""
    for name, lay in LAYOUTS.items():
        with s.edge(f"a {name} matrix"):
            for shape in ((4, 4), (5, 3)):
                _judge(s, lay(matrix_of(s, shape, (1.0, 0.5, 0.25))))


@check("spectral/not-finite", rules=RULE)
def not_finite(s: Session) -> None:
    """A NaN or an infinity makes all of D NaN, as it makes the norm; a port may refuse it."""
    for value in (np.nan, np.inf, -np.inf):
        for shape in ((3, 3), (4, 2), (2, 4)):
            matrix = matrix_of(s, shape, (1.0, 0.5))
            matrix[1, 1] = value
            with s.edge(f"{value} in a matrix"):
                d = _returned(s, matrix)
                s.expect_equal({"D": d}, {"D": np.full_like(matrix, np.nan)}, f"D of a matrix with {value} is not NaN")
