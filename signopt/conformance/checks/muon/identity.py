"""With (1, 0, 0) and one step X is u/(‖u‖ + ε): all but the polynomial, to a few units of rounding."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks.muon.endurance import endures
from signopt.conformance.checks.muon.fixed import with_its_own_coefficients
from signopt.conformance.checks.muon.hybrid import flattens
from signopt.conformance.checks.muon.narrow import small_decays_beside_ties
from signopt.conformance.checks.muon.values import (
    MIX,
    Shape,
    asked,
    bare,
    muon_check,
    normal,
    settings,
    small_range,
    spectrum,
    tailed,
    tensors,
    walk,
)
from signopt.conformance.session import NotApplicableError, Session

AXES: tuple[tuple[Shape, ...], ...] = (
    ((12, 2, 3), (2, 3, 4)), ((8, 2, 1, 3), (2, 3, 2, 2), (8, 1, 2, 1), (2, 4, 1, 1)), ((3, 2, 1, 2, 2),), ((1, 3, 2),),
)  # fmt: skip
TALL: tuple[Shape, ...] = ((8, 1), (1, 8), (12, 2), (2, 12), (36, 2), (9, 3), (33, 2))


SIZES: tuple[Shape, ...] = (
    (1, 70), (70, 1), (17, 5), (5, 33), (31, 2), (66, 3), (3, 130), (1, 29), (13, 1), (1, 1025), (2, 700),
)  # fmt: skip
LONG: tuple[Shape, ...] = ((70, 2), (2, 130), (1, 1025), (1030, 1))


@muon_check("identity/norm", "core")
def norm(s: Session) -> None:
    """From zero, the first step moves the parameter along the gradient, divided by its Frobenius norm."""
    for size in (1.0, 2.0**-6, 2.0**6):
        walk(s, MIX, bare(s, nesterov=False, weight_decay=0.0), theta=0.25, size=size)


@muon_check("identity/momentum", "core")
def momentum(s: Session) -> None:
    """Without look-ahead what is normalised is the new momentum: an average, or a sum, that decays by β."""
    for beta in (0.9, 0.5):
        walk(s, MIX, bare(s, nesterov=False, beta=beta, weight_decay=0.0), 4)


@muon_check("identity/look-ahead", "core")
def look_ahead(s: Session) -> None:
    """With look-ahead it is the same average of the new momentum and the gradient once more."""
    for beta in (0.9, 0.5):
        walk(s, MIX, bare(s, nesterov=True, beta=beta, weight_decay=0.0), 4)


@muon_check("identity/epsilon", "core")
def epsilon(s: Session) -> None:
    """ε is added to the norm, or is the least that the norm is taken for: one of the two, in every step."""
    for size in (0.05, 1.0, 0.005):
        walk(s, MIX, bare(s, eps=0.25, weight_decay=0.0), 2, theta=0.25, size=size)


@muon_check("identity/decay", "core")
def decay(s: Session) -> None:
    """The old parameter decays by η·λ, beside the step and with the rate as it was given."""
    for weight_decay in (0.3, 1.0, 0.0):
        for adjust in ("original", "match_rms_adamw"):
            with asked(s):
                hyper = bare(s, weight_decay=weight_decay, adjust_lr_fn=adjust)
                walk(s, ((3, 3), (8, 1)), hyper, 2, theta=4.0)


@muon_check("identity/scale", "core")
def scale(s: Session) -> None:
    """The step is scaled by √max(1, rows/columns), or by 0.2·√max(rows, columns)."""
    for adjust in ("original", "match_rms_adamw"):
        with asked(s):
            walk(s, TALL, bare(s, adjust_lr_fn=adjust, weight_decay=0.0), theta=0.25)


@muon_check("identity/rate", "core")
def rate(s: Session) -> None:
    """The step is in proportion to the rate."""
    for lr in (1e-4, 0.02, 1.0):
        walk(s, ((3, 2),), bare(s, lr=lr, weight_decay=0.0), 2, theta=0.0)


@muon_check("identity/axes")
def axes(s: Session) -> None:
    """A tensor of three or more axes is a matrix, the first axis by all others in C order; it may be refused."""
    flattens(s)
    for shapes in AXES:
        with s.edge(f"{len(shapes[0])} axes"):
            walk(s, shapes, bare(s), 2)
            walk(s, shapes, bare(s, adjust_lr_fn="match_rms_adamw", nesterov=False), 2)


@muon_check("identity/many-steps")
def many_steps(s: Session) -> None:
    """After 26, 130 and 1 030 steps the rule is the same: nothing is reset, warmed up or worn out."""
    endures(s)
    with asked(s):
        walk(s, ((2, 1),), bare(s), 130)
    for nesterov in (True, False):
        with asked(s):
            walk(s, ((3, 2), (2, 3)), bare(s, nesterov=nesterov), 26)


@muon_check("identity/jumps")
def jumps(s: Session) -> None:
    """Gradients that jump in size are no outliers: neither their own step nor those after them are damped."""
    far = 32.0 if small_range(s) else 4096.0
    run = walk(s, ((3, 2), (2, 3)), bare(s, beta=0.5), 2)
    for size in (far, 1.0, 1.0, 1 / far, 1.0):
        run.step(tensors(s, ((3, 2), (2, 3)), size=size))


@muon_check("identity/betas")
def betas(s: Session) -> None:
    """β from near 0 to near 1 is taken as it is given, to its last digit."""
    for beta in (0.0, 0.1, 0.75, 0.9375, 0.999):
        for nesterov in (True, False):
            with asked(s), s.edge(f"beta = {beta}"):
                walk(s, ((3, 2),), bare(s, beta=beta, nesterov=nesterov, weight_decay=0.0), 3, theta=0.0)


@muon_check("identity/digits")
def digits(s: Session) -> None:
    """Rate and decay are taken as they are given, to their last digit; also if η·λ is below 1e-4 or above 1."""
    least = 3.3e-7 if small_range(s) else 7e-13
    for lr, weight_decay in ((1.23456789e-4, 0.0), (3.3e-7, 0.0), (least, 0.0), (0.987654321, 0.0)):
        with asked(s):
            walk(s, ((3, 2), (2, 1)), bare(s, lr=lr, weight_decay=weight_decay), theta=0.0)
    for lr, weight_decay in ((0.03, 0.0123456789), (0.9, 30.0), (1.5, 1.75), (1e-3, 0.02), (0.5, 5e-5)):
        with asked(s):
            hyper = bare(s, lr=lr, weight_decay=weight_decay)
            run = walk(s, ((3, 2), (2, 1)), hyper, 0, theta=3.0)
            run.step({name: np.zeros_like(p) for name, p in run.param.items()})
            run.step(tensors(s, ((3, 2), (2, 1))))


@muon_check("identity/epsilons")
def epsilons(s: Session) -> None:
    """ε as it is given: 1e-3 to 10, beside norms of its own size; 0 if it is not refused."""
    for eps in (1e-3, 1.0, 10.0):
        for size in (eps, eps / 16):
            walk(s, ((3, 2), (1, 4)), bare(s, eps=eps, weight_decay=0.0), 2, theta=0.0, size=size)
    with s.edge("eps = 0"):
        walk(s, ((3, 2), (1, 4)), bare(s, eps=0.0), 2)
    if not small_range(s) or s.storage.name == "float16":
        size = 2.0**-12 if small_range(s) else 1e-14
        with s.edge("eps = 0"):
            walk(s, ((3, 2), (1, 4)), bare(s, eps=0.0, weight_decay=0.0), 2, theta=0.0, size=size)


@muon_check("identity/sizes")
def sizes(s: Session) -> None:
    """Every element of long and of wide matrices is stepped, by either scale, which has no limit."""
    for shape in SIZES:
        walk(s, (shape,), bare(s), 2, theta=0.25)
    with asked(s):
        walk(s, LONG, bare(s, adjust_lr_fn="original", weight_decay=0.0), theta=0.25)
        walk(s, LONG, bare(s, adjust_lr_fn="match_rms_adamw", weight_decay=0.0), theta=0.25)


@muon_check("identity/large")
def large(s: Session) -> None:
    """The same for 1 024 to 65 792 elements, where implementations cut into blocks that fit or do not."""
    if "ns_coefficients" in s.habits.fixed:
        with_its_own_coefficients(s, (1, 4200))
        with asked(s):
            with_its_own_coefficients(s, (1, 65792), double_only=True)
        return
    for shape, steps in (((32, 32), 1), ((64, 64), 1), ((64, 65), 2), ((257, 256), 1)):
        walk(s, (shape,), bare(s), steps, theta=0.25)
    for shape, last in (((64, 65), 64), ((257, 256), 256)):
        walk(s, (shape,), bare(s, weight_decay=0.0), 1, tailed, theta=0.0, last=last)


@muon_check("identity/unequal")
def unequal(s: Session) -> None:
    """Elements of very different size keep their ratio: one large among small ones, small ones among zeros."""
    for shape in ((3, 3), (2, 4)):
        run = walk(s, (shape,), bare(s, weight_decay=0.0), 0, theta=0.0)
        grad = s.rng.standard_normal(shape)
        grad.flat[4] = 1e3 if small_range(s) else 1e6
        grad.flat[5] = 0.0
        run.step({"w0": s.array(grad)})
        grad.flat[4] *= -0.5
        run.step({"w0": s.array(grad)})


@muon_check("identity/spectra")
def spectra(s: Session) -> None:
    """The norm is that of the matrix and not its largest singular value, whatever the rank."""
    for values in ((1.0,), (1.0, 0.0, 0.0), (1.0, 1e-3, 1e-3)):
        walk(s, MIX, bare(s), 1, spectrum, theta=0.25, values=values)


@muon_check("identity/smallest-decay")
def smallest_decay(s: Session) -> None:
    """With no gradient at all the parameter shrinks by η·λ·p, down to 64 units of rounding of it."""
    if s.storage.precision < 24:
        small_decays_beside_ties(s)
        return
    unit = s.habits.precision(s.storage, s.storage).elementwise
    for product in (p for p in (1e-5, 1e-6, 1e-8, 1e-10, 1e-12, 1e-14) if p >= 64 * unit):
        for lr in (1.0, 1e-3):
            with asked(s):
                run = walk(s, ((3, 2),), settings(s, lr=lr, weight_decay=product / lr), 0)
                run.step({name: np.zeros_like(p) for name, p in run.param.items()})


@muon_check("identity/ties")
def ties(s: Session) -> None:
    """A parameter of 16 bits that comes to lie half-way between two goes to the even one."""
    if s.storage.precision >= 24:
        raise NotApplicableError("the parameter has no 16 bits")
    if s.habits.decay_form != "plain":
        raise NotApplicableError("what decays is not λ·p, and no sum of products meets the middle")
    odd = 2.0 ** (s.storage.precision - 1) + np.arange(1, 49, 2).reshape(6, 4)
    given = s.array(odd * np.where(s.rng.random(odd.shape) < 0.5, -1, 1))
    run = s.start({"w": given}, settings(s, lr=0.5, weight_decay=0.5))
    run.step({"w": np.zeros_like(given)})
    s.expect_equal(
        run.param, {"w": s.array(0.75 * given.astype(np.float64))}, "three quarters of p are not the nearest"
    )


@muon_check("identity/clipping")
def clipping(s: Session) -> None:
    """Nothing is clipped: gradients, momenta, parameters and steps of hundreds, and of a hundred thousand."""
    for size in (30.0,) if small_range(s) else (300.0, 1e5):
        walk(s, ((2, 3),), bare(s), 3, theta=size, size=size)
    walk(s, ((2, 3),), bare(s, lr=50.0, weight_decay=0.01), 2, size=30.0)
    run = walk(s, ((2, 3),), bare(s, lr=0.02, weight_decay=20.0), 1, theta=3.0)
    run.step({"w0": normal(s, (2, 3), 1e-3)})


@muon_check("identity/subnormal")
def subnormal(s: Session) -> None:
    """Parameters, rates, gradients and momenta below the normal range are kept, unless "flush" is declared."""
    if s.habits.subnormals == "flush" or small_range(s) or s.storage.precision < 24:
        raise NotApplicableError("subnormals may become zero, or there are too few of them")
    least = float(s.storage.smallest_normal) / 16
    if s.storage.precision == 24 or s.habits.hyper == "double":
        walk(s, ((3, 2),), bare(s, lr=least, weight_decay=0.0), 2, theta=least)
    walk(s, ((3, 2),), bare(s), 2, theta=0.25, size=least)
    walk(s, ((3, 2),), bare(s), 1, theta=0.25, momentum=least)
