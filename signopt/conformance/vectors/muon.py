"""The cases of Muon: one step each, from numbers for which the radius is small."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from signopt.conformance.vectors.case import BINARY_DTYPES, Case, Values, ordinary

__all__ = ["cases"]

_IDENTITY, _CUBE, _FIFTH = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_JORDAN = (3.4445, -4.7750, 2.0315)
_WIDE = ("float32", "float64")
_EMA = {"momentum_form": "ema", "eps_form": "add"}


def cases() -> Iterator[Case]:
    """Every case of Muon, in the order of the file."""
    yield from _identity()
    yield from _polynomial()
    yield from _whole()
    yield from _forms()


def _hyper(**changes: Any) -> dict[str, Any]:
    usual = {
        "lr": 0.25, "beta": 0.75, "weight_decay": 0.0, "nesterov": True, "ns_coefficients": _IDENTITY, "ns_steps": 1,
        "eps": 2.0**-10, "adjust_lr_fn": "original",
    }  # fmt: skip
    return {**usual, **changes}


def _one(
    name: str, comment: str, shape: tuple[int, ...], p: Values, g: Values, m: Values = (), *,
    requires: dict[str, str] = _EMA, dtypes: tuple[str, ...] = _WIDE, **changes: Any,
) -> Case:  # fmt: skip
    momentum = {"w": m} if len(m) else {}
    return Case(name, comment, _hyper(**changes), {"w": p}, [{"w": g}], momentum, shapes={"w": shape},
                requires=requires, dtypes=dtypes)  # fmt: skip


def _identity() -> Iterator[Case]:
    p, g, m, none = ordinary(6, 1), ordinary(6, 2), ordinary(6, 3), [0.0] * 6
    every = BINARY_DTYPES
    yield _one("identity/first-step", "θ − η·u/(‖u‖ + ε) from zero", (2, 3), p, g, nesterov=False, dtypes=every)
    yield _one("identity/momentum", "u is the new momentum", (2, 3), p, g, m, nesterov=False, dtypes=every)
    yield _one("identity/look-ahead", "u is the average of the new momentum and the gradient", (2, 3), p, g, m)
    yield _one("identity/epsilon", "ε is added to the norm, not below a root", (2, 3), p, g, m, eps=0.5)
    yield _one("identity/decay", "the old parameter decays by ηλ, beside the step", (2, 3), p, g, m, weight_decay=0.5)
    yield _one("identity/zero", "nothing but decay", (2, 3), p, none, weight_decay=0.5, dtypes=every)
    for shape in ((6, 1), (1, 6), (3, 2)):
        for adjust in ("original", "match_rms_adamw"):
            name = f"identity/{shape[0]}x{shape[1]}-{adjust.replace('_', '-')}"
            yield _one(name, "the scale by rows and columns", shape, p, g, m, adjust_lr_fn=adjust)
    yield _one("identity/three-axes", "the first axis by all others", (3, 2, 2), ordinary(12, 4), ordinary(12, 5))


def _polynomial() -> Iterator[Case]:
    zero, g = [0.0] * 6, ordinary(6, 7)
    for name, triple in (("linear", (2.0, 0.0, 0.0)), ("cube", _CUBE), ("fifth", _FIFTH), ("mixed", (2.0, -1.5, 0.5))):
        yield _one(f"polynomial/{name}", "one application", (2, 3), zero, g, ns_coefficients=triple)
    yield _one("polynomial/tall", "a tall matrix", (3, 2), zero, g, ns_coefficients=_CUBE)
    slow = (1.25, -0.3125, 0.0625)
    for count in (2, 3, 5, 8):
        name = f"polynomial/{count}-steps"
        yield _one(name, f"{count} applications", (2, 3), zero, g, ns_coefficients=slow, ns_steps=count)
    triples = [(2.0, -1.5, 0.5), slow, (1.5, -0.5, 0.0)]
    yield _one("polynomial/list", "a triple for each application", (2, 3), zero, g, ns_coefficients=triples, ns_steps=2)


def _whole() -> Iterator[Case]:
    whole: dict[str, Any] = {
        "ns_coefficients": _JORDAN,
        "ns_steps": 5,
        "eps": 1e-7,
        "beta": 0.95,
        "weight_decay": 0.125,
    }
    yield _one("default/1x1", "σ = 1: X is the polynomial there", (1, 1), [0.5], [0.75], **whole)
    yield _one("default/row", "a row", (1, 4), ordinary(4, 8), ordinary(4, 9), **whole)
    yield _one("default/column", "a column, with its scale", (4, 1), ordinary(4, 10), ordinary(4, 11), **whole)
    square = [1.0, 0.25, -0.25, 0.75]
    yield _one("default/square", "a square", (2, 2), ordinary(4, 12), square, **whole)
    wide = [1.0, 0.25, 0.5, -0.25, 0.75, 0.0]
    yield _one(
        "default/wide", "a wide matrix from a momentum", (2, 3), ordinary(6, 13), wide, ordinary(6, 14, 0.125), **whole
    )
    yield _one(
        "default/tall", "a tall matrix without look-ahead", (3, 2), ordinary(6, 15), wide, nesterov=False, **whole
    )


def _forms() -> Iterator[Case]:
    p, g, m = ordinary(6, 1), ordinary(6, 2), ordinary(6, 3)
    for momentum in ("ema", "sum"):
        for eps in ("add", "max"):
            requires = {"momentum_form": momentum, "eps_form": eps}
            name = f"forms/{momentum}-{eps}"
            yield _one(name, "this form of momentum and ε", (2, 3), p, g, m, requires=requires, eps=0.5)
