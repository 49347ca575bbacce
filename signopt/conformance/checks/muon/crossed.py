"""Settings crossed, from a momentum that is not zero: what only goes wrong in company."""

from __future__ import annotations

from itertools import product

from signopt.conformance.checks.muon.hybrid import flattens
from signopt.conformance.checks.muon.values import Shape, asked, bare, muon_check, settings, spectrum, walk
from signopt.conformance.session import Session

SHAPES: tuple[Shape, ...] = ((6, 2), (1, 5), (5, 1), (2, 3))


@muon_check("crossed/identity")
def identity(s: Session) -> None:
    """Look-ahead, scale and ε against tall matrices, rows, columns: two steps from a momentum, small gradients."""
    for nesterov, adjust, eps in product((True, False), ("original", "match_rms_adamw"), (0.25, 1e-7)):
        with asked(s):
            hyper = bare(s, nesterov=nesterov, adjust_lr_fn=adjust, eps=eps)
            walk(s, SHAPES, hyper, 2, theta=0.5, momentum=0.05, size=0.05)


@muon_check("crossed/axes")
def axes(s: Session) -> None:
    """The same on tensors of three and four axes."""
    flattens(s)
    for nesterov, adjust in product((True, False), ("original", "match_rms_adamw")):
        with asked(s), s.edge("more than two axes"):
            hyper = bare(s, nesterov=nesterov, adjust_lr_fn=adjust, eps=0.25)
            walk(s, ((9, 2, 2), (8, 2, 1, 2), (2, 3, 1, 2)), hyper, 2, theta=0.5, momentum=0.05, size=0.05)


@muon_check("crossed/default")
def default(s: Session) -> None:
    """Look-ahead and scale with the default coefficients, from a momentum."""
    for nesterov, adjust in product((True, False), ("original", "match_rms_adamw")):
        with asked(s):
            hyper = settings(s, nesterov=nesterov, adjust_lr_fn=adjust)
            walk(s, ((6, 2), (1, 4), (4, 1)), hyper, 2, spectrum, theta=0.5, momentum=0.25)
