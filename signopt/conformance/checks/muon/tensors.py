"""Many tensors, names and dtypes together, and what is no matrix."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks.muon.hybrid import by_another_rule, flattens, only_matrices
from signopt.conformance.checks.muon.values import (
    MIX,
    Array,
    Shape,
    asked,
    bare,
    muon_check,
    normal,
    settings,
    spectrum,
    tensors,
    walk,
)
from signopt.conformance.errors import PortRaised
from signopt.conformance.oracle.formats import FORMATS
from signopt.conformance.session import NotApplicableError, Run, Session

NAMES = (
    "w10", "w9", "a.bias", "Z.embedding.weight", "lm_head.weight", "norm.scale", "blocks.1.embed", "enc/w", "dec/w",
    "W9", "a_bias",
)  # fmt: skip


def _named(s: Session, shapes: dict[str, Shape]) -> dict[str, Array]:
    return {name: spectrum(s, shape) for name, shape in shapes.items()}


@muon_check("matrices/twins", essential=True)
def twins(s: Session) -> None:
    """Each tensor has its own momentum, also among others of the same shape and with equal gradients."""
    shapes: dict[str, Shape] = {"a": (3, 2), "b": (3, 2), "c": (2, 3), "d": (3, 2)}
    run = s.start(_named(s, shapes), settings(s))
    for _ in range(3):
        run.step(_named(s, shapes))
    grad = spectrum(s, (3, 2))
    run.step(_named(s, shapes) | {"a": grad, "d": grad}, as_given=True)
    run = s.start(_named(s, shapes), settings(s))
    run.step(_named(s, shapes) | {"a": grad, "d": grad.copy()})
    run.step(_named(s, shapes))
    run = s.start(_named(s, shapes), settings(s))
    run.step(
        _named(s, shapes) | {"a": grad, "b": -grad, "c": grad.reshape(2, 3), "d": np.ascontiguousarray(grad[::-1])}
    )
    _alike_as_matrices(s)


def _alike_as_matrices(s: Session) -> None:
    """Tensors of two, three and four axes that are matrices of one shape."""
    with asked(s), s.edge("more than two axes"):
        flattens(s)
        shapes: dict[str, Shape] = {"a": (3, 4), "b": (3, 2, 2), "c": (3, 4, 1), "d": (3, 1, 2, 2)}
        run = s.start(_named(s, shapes), settings(s))
        for _ in range(2):
            run.step(_named(s, shapes))


@muon_check("matrices/names")
def names(s: Session) -> None:
    """Gradients and momenta belong to parameters by name, in whatever order; no name has a meaning of its own."""
    shapes: dict[str, Shape] = dict.fromkeys(NAMES, (2, 2))
    run = s.start(_named(s, shapes), settings(s))
    run.step(_named(s, shapes))
    for _ in range(2):
        run.step(dict(reversed(_named(s, shapes).items())))
    momenta = _named(s, shapes)
    for given in (momenta, dict(reversed(momenta.items()))):
        with asked(s):
            run = s.start(_named(s, shapes), settings(s), given)
            run.step(_named(s, shapes))


@muon_check("matrices/eleven")
def eleven(s: Session) -> None:
    """Three and eleven tensors, of several shapes and several of one, are all stepped."""
    for count in (3, 11):
        shapes: dict[str, Shape] = {f"t{i}": ((2, 2), (3, 2), (2, 3), (1, 4))[i % 4] for i in range(count)}
        run = s.start(_named(s, shapes), settings(s))
        for _ in range(2):
            run.step(_named(s, shapes))


@muon_check("matrices/forty")
def forty(s: Session) -> None:
    """Forty small tensors, and 130, are all stepped: tables of tensors have an end."""
    for count, steps in ((40, 2), (130, 1)):
        shapes: dict[str, Shape] = {f"t{i}": (1 + i % 2, 2) for i in range(count)}
        with asked(s):
            run = s.start(_named(s, shapes), bare(s))
            for _ in range(steps):
                run.step(_named(s, shapes))


@muon_check("matrices/absent")
def absent(s: Session) -> None:
    """A tensor without a gradient is left as it is, without decay, and goes on later; a port may refuse that.

    It may be the first of three of one shape, and lack its gradient in the first step.
    """
    shapes: dict[str, Shape] = {"a": (3, 2), "b": (2, 2), "c": (3, 2)}
    run = s.start(_named(s, shapes), settings(s))
    run.step(_named(s, shapes))
    with s.edge("a tensor without a gradient"):
        _step_without(s, run, "b", "", "a")
        run = s.start(_named(s, dict.fromkeys(shapes, (3, 2))), settings(s))
        _step_without(s, run, "a", "b", "", "a", "")


def _step_without(s: Session, run: Run, *absent: str) -> None:
    """A step for each name, without the gradient of that name."""
    for name in absent:
        run.step({other: spectrum(s, p.shape) for other, p in run.param.items() if other != name})


@muon_check("matrices/two-dtypes")
def two_dtypes(s: Session) -> None:
    """float32 and float64 tensors side by side, either first, each in its own arithmetic."""
    if not {"float32", "float64"} <= set(s.declared.dtypes) or s.storage.name not in ("float32", "float64"):
        raise NotApplicableError("the port does not declare both")
    own, other = s.dtype, FORMATS["float64" if s.storage.name == "float32" else "float32"].dtype
    kinds = {"a": own, "b": other, "c": own}
    with s.edge("tensors of two dtypes"):
        run = s.start({name: normal(s, (3, 2)).astype(kind) for name, kind in kinds.items()}, settings(s))
        for _ in range(2):
            run.step({name: spectrum(s, (3, 2)).astype(kind) for name, kind in kinds.items()})


@muon_check("matrices/empty")
def empty(s: Session) -> None:
    """A tensor without elements goes through, beside one that has some; it may be refused."""
    for shape in ((0, 3), (3, 0)):
        with s.edge(f"a tensor of shape {shape}"):
            run = s.start({"a": np.zeros(shape, s.dtype), "b": normal(s, (3, 2))}, settings(s))
            for _ in range(2):
                run.step({"a": np.zeros(shape, s.dtype), "b": spectrum(s, (3, 2))})


@muon_check("matrices/no-matrix")
def no_matrix(s: Session) -> None:
    """A tensor of no or one axis is no matrix: it is refused, or stepped by AdamW or another rule, as documented."""
    if only_matrices(s, "vectors"):
        raise NotApplicableError("the port declares that such tensors are stepped by another rule")
    for shape in ((4,), ()):
        s.result.judged += 1
        try:
            s.driver.init({"a": normal(s, shape), "b": normal(s, (3, 2))}, settings(s))
            s.driver.step({"a": normal(s, shape), "b": normal(s, (3, 2))})
        except PortRaised:
            continue
        if by_another_rule(s, (4,)):
            s.result.notes.append("tensors of one axis move as AdamW or Lion moves them: another rule, not judged here")
            return
        s.fail(
            f"a tensor of shape {shape} is no matrix, and was stepped all the same; if another rule is documented "
            'for it, declare other_rule: ["vectors"]'
        )


@muon_check("matrices/square")
def square(s: Session) -> None:
    """Square matrices are neither transposed nor symmetrised, whatever the order of the products."""
    walk(s, ((4, 4), (3, 3), (2, 2)), settings(s), 2, spectrum, values=(1.0, 0.8, 0.6, 0.4))
    with asked(s):
        walk(s, MIX, bare(s), 2, momentum=0.5)


@muon_check("matrices/stacked")
def stacked(s: Session) -> None:
    """Matrices that would fit into one batch are not mixed: each alone gives what it gives among others."""
    shapes: dict[str, Shape] = {f"t{i}": (3, 2) for i in range(4)}
    hyper, params, grads = settings(s), _named(s, shapes), _named(s, shapes)
    together = s.start(params, hyper)
    together.step(grads)
    for name in shapes:
        alone = s.start({name: params[name]}, hyper)
        alone.step({name: grads[name]})
    lone = tensors(s, ((3, 2),))
    s.start(lone, hyper).step(tensors(s, ((3, 2),), spectrum))
