"""The whole step with the coefficients that everyone uses: what a port with fixed coefficients can be asked, too."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.checks.muon.hybrid import flattens
from signopt.conformance.checks.muon.values import (
    MIX,
    Shape,
    asked,
    coarse,
    double_range,
    muon_check,
    normal,
    settings,
    small_range,
    spectrum,
    tensors,
    walk,
)
from signopt.conformance.session import NotApplicableError, Session

AXES: tuple[tuple[Shape, ...], ...] = (
    ((7, 2, 3), (12, 2, 2)),
    ((8, 2, 1, 3), (8, 1, 2, 1), (2, 4, 1, 1), (2, 3, 2, 2), (1, 2, 3, 2)),
    ((3, 2, 1, 2, 2),),
    ((1, 3, 2),),
    ((16, 1, 1), (1, 16, 1)),
    ((16, 1, 1, 1), (1, 1, 9, 1)),
)
"""In groups of as many axes; the last are vectors, whose scale shows best if the iteration has 16 bits."""


@muon_check("iteration/default", "core", essential=True)
def default(s: Session) -> None:
    """With the default coefficients, steps from zero on square, tall and wide matrices are those of the rule."""
    walk(s, MIX, settings(s), 2, spectrum)
    walk(s, ((2, 2), (3, 1), (1, 3)), settings(s), 2, spectrum, theta=0.25)


@muon_check("iteration/vectors", "core")
def vectors(s: Session) -> None:
    """A matrix of one row or column has the singular value 1 after the norm: X is that of the polynomial there."""
    walk(s, ((1, 1), (1, 5), (5, 1)), settings(s, weight_decay=0.0), 1, theta=0.0)
    walk(s, ((1, 70), (20, 1), (40, 1)), settings(s, weight_decay=0.0), 1, theta=0.0)


@muon_check("iteration/one-step", "core")
def one_step(s: Session) -> None:
    """One and two applications with the default coefficients."""
    for count in (1, 2):
        walk(s, (*MIX, (1, 4)), settings(s, ns_steps=count, weight_decay=0.0), 1, spectrum, theta=0.0)


@muon_check("iteration/plain")
def plain(s: Session) -> None:
    """The same without look-ahead."""
    walk(s, MIX, settings(s, nesterov=False), 3, spectrum)


@muon_check("iteration/several")
def several(s: Session) -> None:
    """Sixteen steps on 2 × 2, or forty if the iteration has more than 16 bits, and five on others."""
    walk(s, ((2, 2),), settings(s), 16 if coarse(s) else 40, spectrum)
    walk(s, ((3, 2), (2, 3), (1, 4)), settings(s), 5, spectrum)


@muon_check("iteration/scale")
def scale(s: Session) -> None:
    """The scale by rows and columns, with either choice; 2, 3, 4, 6 and 16 times as many of one as of the other."""
    shapes: tuple[Shape, ...] = (
        (8, 1), (1, 8), (12, 2), (2, 12), (9, 3), (3, 9), (32, 2), (33, 1), (6, 2), (2, 6), (8, 2), (2, 8), (3, 6),
    )  # fmt: skip
    for adjust in ("original", "match_rms_adamw"):
        with asked(s):
            walk(s, shapes, settings(s, adjust_lr_fn=adjust), 1, spectrum, theta=0.3, values=(1.0,))
    with s.edge("adjust_lr_fn = None"), asked(s):
        walk(s, ((8, 1), (1, 8)), settings(s, adjust_lr_fn=None), 1, spectrum, theta=0.3, values=(1.0,))


@muon_check("iteration/axes")
def axes(s: Session) -> None:
    """Tensors of three, four and five axes as matrices; they may be refused."""
    flattens(s)
    for shapes in AXES:
        with s.edge(f"{len(shapes[0])} axes"):
            walk(s, shapes, settings(s), 2, spectrum, values=(1.0, 0.8, 0.9, 0.7))


@muon_check("iteration/spectra")
def spectra(s: Session) -> None:
    """Equal singular values, one alone, a diagonal matrix, a matrix with a row of zeros."""
    walk(s, ((3, 3), (6, 3), (3, 6)), settings(s), 1, spectrum, values=(1.0,))
    walk(s, ((3, 3), (2, 4)), settings(s), 1, spectrum, values=(1.0, 0.0, 0.0))
    run = walk(s, ((3, 3), (4, 2)), settings(s), 0, theta=0.25)
    striped = np.array([[1.0, 0.5], [0.0, 0.0], [-0.75, 1.0], [0.25, 0.5]])
    run.step({"w0": s.array(np.diag([1.0, -0.75, 0.5])), "w1": s.array(striped)})


@muon_check("iteration/patterns")
def patterns(s: Session) -> None:
    """Matrices with a pattern are matrices: zeros in columns or in a triangle, symmetric, constant, permuted, signs."""
    grads = {f"w{i}": s.array(each) for i, each in enumerate(_patterns(s.rng))}
    run = s.start({name: normal(s, g.shape, 0.25) for name, g in grads.items()}, settings(s))
    run.step(grads)


def _patterns(rng: np.random.Generator) -> list[Any]:
    square, tall = rng.standard_normal((3, 3)), rng.standard_normal((4, 3))
    signs = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0]])
    alone = np.zeros((3, 2))
    alone[1, 1] = -0.75
    return [
        square + square.T, square - square.T, np.triu(square), np.tril(square, -1), np.abs(tall), -np.abs(tall),
        tall * [1.0, 0.0, 1.0], tall.T * [0.0, 1.0, 1.0, 1.0], np.full((2, 3), 0.5), np.eye(4)[[2, 0, 3, 1]], signs,
        alone,
    ]  # fmt: skip


@muon_check("iteration/small-values")
def small_values(s: Session) -> None:
    """Singular values of a thousandth and, in float64, a millionth of the largest grow as the polynomial says."""
    for least in (1e-3, 1e-6) if s.storage.name == "float64" else (1e-2,):
        walk(s, ((3, 3), (4, 2)), settings(s), 1, spectrum, theta=0.0, values=(1.0, 0.5, least))


@muon_check("iteration/epsilon")
def epsilon(s: Session) -> None:
    """ε at norms of its own size, 1e-7 by default, and far above gradients whose step is small but there."""
    if small_range(s):
        raise NotApplicableError("float16 has no room beside 1e-7")
    for size in (1e-7, 3e-8, 2e-6, 1e-13):
        walk(s, ((2, 2), (1, 3)), settings(s, eps=1e-7, weight_decay=0.0), 1, spectrum, theta=0.0, size=size)


@muon_check("iteration/zero", essential=True)
def zero(s: Session) -> None:
    """A gradient of zero, at first: the parameter only decays. Later: the step is that of the momentum."""
    run = walk(s, MIX, settings(s), 0)
    run.step({name: np.zeros_like(p) for name, p in run.param.items()})
    run.step(tensors(s, MIX, spectrum))
    run.step({name: np.zeros_like(p) for name, p in run.param.items()})
    run.step(tensors(s, MIX, spectrum))


@muon_check("iteration/zero-without-epsilon")
def zero_without_epsilon(s: Session) -> None:
    """A gradient of zero with ε = 0: the parameter only decays, or is NaN, which is what the formula's 0/0 gives.

    The rule guards, but no source with a settable ε promises to, so either is legal; ε = 0 may be refused, too. What
    the port does is noted.
    """
    with s.edge("eps = 0"):
        run = walk(s, MIX, settings(s, eps=0.0), 0)
        run.step({name: np.zeros_like(p) for name, p in run.param.items()})
        if any(np.isnan(p).any() for p in run.param.values()):
            s.result.notes.append("with eps = 0 a gradient of zero makes a matrix NaN: 0/0 is not guarded against")


@muon_check("iteration/zero-rows")
def zero_rows(s: Session) -> None:
    """A row of the gradient that is zero, with a momentum in it; a tensor whose gradient is zero among others."""
    shapes = ((4, 2), (3, 3))
    run = walk(s, shapes, settings(s), 1, spectrum)
    grads = tensors(s, shapes, spectrum)
    grads["w0"][1] = 0
    grads["w1"][...] = 0
    run.step(grads)
    run.step(tensors(s, shapes, spectrum))


@muon_check("iteration/falsy")
def falsy(s: Session) -> None:
    """0 is 0: no decay with λ = 0, no step at all with a rate of 0, which may be refused."""
    walk(s, ((3, 2),), settings(s, weight_decay=0.0), 2, spectrum, theta=8.0)
    with s.edge("lr = 0"), asked(s):
        walk(s, ((3, 2),), settings(s, lr=0.0), 2, spectrum)
    with s.edge("beta = 0"), asked(s):
        walk(s, ((3, 2),), settings(s, beta=0.0), 2, spectrum)
    with asked(s):
        walk(s, ((3, 2),), settings(s, nesterov=False, weight_decay=0.0), 2, spectrum, theta=8.0)


@muon_check("iteration/digits")
def digits(s: Session) -> None:
    """The coefficients to their last digit: wide matrices of one row, where the radius is smallest."""
    shapes: tuple[Shape, ...] = ((1, 1), (1, 2), (1, 3))
    for count in (1, 2, 4, 5, 6):
        with asked(s):
            hyper = settings(s, ns_steps=count, weight_decay=0.0, lr=1.0)
            walk(s, shapes, hyper, 1, theta=0.0)


@muon_check("iteration/many-applications")
def many_applications(s: Session) -> None:
    """Eight and twelve applications of the default polynomial."""
    if coarse(s):
        raise NotApplicableError("no radius is known for so many applications in 16 bits")
    for count in (8, 12):
        walk(s, ((1, 3), (2, 2)), settings(s, ns_steps=count, weight_decay=0.0), 1, spectrum, theta=0.0, values=(1.0,))


@muon_check("iteration/range")
def sizes_of_gradients(s: Session) -> None:
    """Gradients of any size within the range of the arithmetic give the same step."""
    small, large = (1e-60, 1e60) if double_range(s) else (1e-3, 1e9)
    if small_range(s) or s.habits.ns_dtype:
        small, large = 1e-2, 50.0
    for size in (small, large):
        walk(s, ((2, 2), (3, 1)), settings(s, weight_decay=0.0), 2, spectrum, theta=0.25, size=size)


@muon_check("iteration/scaled-range")
def scaled_range(s: Session) -> None:
    """If the port declares range "scaled": also if the sum of squares overflows or underflows."""
    if s.habits.range != "scaled" or s.habits.ns_dtype or small_range(s):
        raise NotApplicableError('the port does not declare range "scaled"')
    for size in (1e200, 1e-200) if double_range(s) else (1e30, 1e-30):
        hyper: dict[str, Any] = settings(s, weight_decay=0.0)
        walk(s, ((2, 2), (3, 1)), hyper, 2, spectrum, theta=0.25, size=size)


@muon_check("iteration/crossed-decay")
def crossed_decay(s: Session) -> None:
    """Large parameters, strong decay, a tall matrix and either scale: the decay knows nothing of the scale."""
    for adjust in ("original", "match_rms_adamw"):
        with asked(s):
            hyper = settings(s, weight_decay=1.0, adjust_lr_fn=adjust)
            walk(s, ((2, 2), (8, 1)), hyper, 2, spectrum, theta=4.0, values=(1.0,))
    with asked(s):
        run = walk(s, ((3, 2),), settings(s, lr=0.9, weight_decay=20.0), 1, spectrum, theta=4.0)
        run.step({"w0": normal(s, (3, 2))})
