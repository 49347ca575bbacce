"""The polynomial by its parts, its coefficients and the number of its applications."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.checks.muon.fixed import with_its_own_coefficients
from signopt.conformance.checks.muon.hybrid import flattens
from signopt.conformance.checks.muon.narrow import digits_beside_ties, same_at_every_step
from signopt.conformance.checks.muon.values import (
    CUBE,
    FIFTH,
    MIX,
    SLOW,
    SPECTRUM,
    TAILED,
    Shape,
    asked,
    coarse,
    muon_check,
    settings,
    spectrum,
    tailed,
    walk,
)
from signopt.conformance.session import Session

LINEAR = (2.0, 0.0, 0.0)
LARGE = ((0.0, 64.0, 2.0**-4), (0.0, 0.0, 64.0))
"""Nearly monomials, beside which little is lost to underflow in float16.

The small coefficient is there for torch, whose `baddbmm` of bfloat16 matrices takes b for 1 on a CPU if c = 0.
"""


@muon_check("polynomial/monomials", "core")
def monomials(s: Session) -> None:
    """Each of X, X·Xᵀ·X and (X·Xᵀ)²·X alone, with a coefficient of one or two."""
    for triple in (LINEAR, CUBE, FIFTH):
        hyper = settings(s, ns_coefficients=triple, ns_steps=1, weight_decay=0.0)
        walk(s, (*MIX, (1, 1), (1, 5)), hyper, theta=0.0)


@muon_check("polynomial/mixed", "core")
def mixed(s: Session) -> None:
    """Other coefficients than the default ones are used as they are given."""
    for triple in ((2.0, -1.5, 0.5), (3.4445, -4.7750, 2.0315), (1.5, -0.5, 0.0)):
        hyper = settings(s, ns_coefficients=triple, ns_steps=1 if triple[2] > 1 else 2, weight_decay=0.0)
        walk(s, MIX, hyper, 1, spectrum, theta=0.0)


@muon_check("polynomial/digits")
def digits(s: Session) -> None:
    """Coefficients count to their last digit, one triple or a list of them, small and large ones."""
    shapes: tuple[Shape, ...] = ((1, 1), (1, 3), (2, 2))
    triples = ((1.23456789, -0.345678912, 0.0456789123), (0.0123456789, 0.00987654321, 8.15655452))
    for triple in triples:
        walk(s, shapes, settings(s, ns_coefficients=triple, ns_steps=1, weight_decay=0.0), 1, spectrum, theta=0.0)
    digits_beside_ties(s, triples[0])
    with s.edge("a list of triples"):
        hyper = settings(s, ns_coefficients=list(triples), ns_steps=1 if coarse(s) else 2, weight_decay=0.0)
        walk(s, shapes, hyper, 1, spectrum, theta=0.0)


@muon_check("polynomial/steps")
def steps(s: Session) -> None:
    """It is applied as often as asked, 1 to 33 times, in the first step and in later ones; 0 may be refused."""
    if coarse(s):
        same_at_every_step(s)
    for count in (1, 2, 3, 4, 5, 6, 8, 10, 11, 12):
        walk(s, ((2, 3), (3, 1)), settings(s, ns_coefficients=SLOW, ns_steps=count), 1, spectrum, theta=0.0)
    hyper = settings(s, ns_coefficients=SLOW, ns_steps=3, weight_decay=0.0)
    walk(s, ((3, 3),), hyper, 12, spectrum, theta=0.0, values=(1.0,))
    for shape in ((1, 2), (2, 1)):
        hyper = settings(s, ns_coefficients=(1.0625, 0.0, 0.0), ns_steps=33, weight_decay=0.0)
        walk(s, (shape,), hyper, theta=0.0)
    with s.edge("ns_steps = 0"):
        walk(s, ((2, 3), (3, 1)), settings(s, ns_steps=0), 2)


@muon_check("polynomial/list")
def triples(s: Session) -> None:
    """A list of triples gives one to each step, from the first on, even if it is longer than needed."""
    given: list[Any] = [(2.0, -1.5, 0.5), (1.25, -0.25, 0.0), (0.75, 0.5, -0.125), (1.5, -0.75, 0.25), (1.0, 0.5, 0.0)]
    for count in (3, 5, 2):
        with s.edge("a list of triples"):
            walk(s, ((2, 3), (3, 2)), settings(s, ns_coefficients=given, ns_steps=count), 2, spectrum, theta=0.0)
    with s.edge("a list of triples"):
        many = [(1 + k / 64, 0.0, 0.0) for k in range(-8, 12)]
        walk(s, ((1, 2), (2, 1)), settings(s, ns_coefficients=many, ns_steps=18), theta=0.0)


@muon_check("polynomial/sides")
def sides(s: Session) -> None:
    """One monomial on sides of 5 to 18, dense: every row and column takes part in every product.

    Then five applications. Multiples of 8 and 16 are among the sides, for which there are kernels of their own.
    """
    if "ns_coefficients" in s.habits.fixed:
        with_its_own_coefficients(s, (5, 6), (9, 9), (12, 18), (18, 12), (20, 18))
        return
    for shape in ((5, 6), (7, 5), (9, 9), (12, 13), (18, 16), (16, 18), (8, 8), (8, 16), (16, 8), (16, 16)):
        for triple in (CUBE, FIFTH):
            walk(s, (shape,), settings(s, ns_coefficients=triple, ns_steps=1, weight_decay=0.0), 1, theta=0.0)
    with asked(s):
        with_its_own_coefficients(s, (12, 18), (20, 18))


@muon_check("polynomial/large-sides")
def large_sides(s: Session) -> None:
    """The same for 32 to 4 200, where matrices are cut into tiles that fit or do not; dense, or two elements a row."""
    if "ns_coefficients" in s.habits.fixed:
        with_its_own_coefficients(s, (66, 68), double_only=True)
        return
    cube, fifth = (settings(s, ns_coefficients=each, ns_steps=1, weight_decay=0.0, lr=64.0) for each in LARGE)
    for shape in ((34, 35), (66, 70), (70, 66), (64, 64)):
        _paired(s, shape, cube)
        _paired(s, shape, fifth)
    _paired(s, (131, 130), fifth)
    hyper = settings(s, ns_coefficients=CUBE, ns_steps=1, weight_decay=0.0)
    walk(s, ((34, 21),), hyper, 1, spectrum, theta=0.0, values=(1.0, 0.5))
    walk(s, ((1, 1100), (4200, 1), (2, 64), (32, 2), (1, 128), (256, 1), (1, 1024)), hyper, theta=0.0)
    walk(s, ((1, 1100), (4200, 1)), hyper, 1, tailed, theta=0.0)


def _paired(s: Session, shape: Shape, hyper: dict[str, Any]) -> None:
    """Gradients with two elements a row; neighbouring rows share a column, so that no product is diagonal.

    In the second the last two rows, and those that they share a column with, are by far the largest: what spoils the
    end of a tile spoils most of X then. If there are more rows than columns, rows are columns and columns rows.
    """
    rows, columns = sorted(shape)
    grad = np.zeros((rows, columns))
    for row in range(rows):
        grad[row, row % columns] = 1 + row % 3
        grad[row, (row + 17) % columns] = -1 - row % 2
    large = np.isin(np.arange(rows), [rows - 1, rows - 2, rows - 18, rows - 19])
    last = np.where(large[:, None], grad, TAILED * grad)
    if shape != (rows, columns):
        grad, last = grad.T, last.T
    run = s.start({name: np.zeros(shape, s.dtype) for name in ("even", "last")}, hyper)
    run.step({"even": s.array(grad), "last": s.array(last)})


@muon_check("polynomial/crossed")
def crossed(s: Session) -> None:
    """Two and three applications, with and without look-ahead, on tall, wide, and four-axis tensors.

    Also of a polynomial that turns the sign of some singular values and keeps that of others.
    """
    shapes: tuple[Shape, ...] = ((6, 2), (2, 5), (1, 4), (4, 1))
    for count in (2, 3):
        for nesterov in (True, False):
            with asked(s):
                hyper = settings(s, ns_coefficients=(2.0, -1.5, 0.5), ns_steps=count, nesterov=nesterov)
                walk(s, shapes, hyper, 2, spectrum, values=SPECTRUM)
    for count in (1, 2):
        with asked(s):
            hyper = settings(s, ns_coefficients=(0.5, -1.5, 0.25), ns_steps=count, weight_decay=0.0)
            walk(s, (*MIX, (1, 4)), hyper, 1, spectrum, theta=0.0, values=SPECTRUM)
    with asked(s), s.edge("four axes"):
        flattens(s)
        hyper = settings(s, ns_coefficients=(2.0, -1.5, 0.5), ns_steps=3, nesterov=False)
        walk(s, ((8, 2, 1, 2), (2, 2, 3, 1)), hyper, 2, spectrum)
