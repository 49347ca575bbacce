"""Tensors of every size and rank."""

from __future__ import annotations

import math

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, probe, random, sized, uneven
from signopt.conformance.session import Session

SMALL = (1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1023, 1024, 1025)

EVERY = (*range(1, 17), *range(65, 129), *range(1026, 1042))
"""Fewer would miss a remainder; more cost compilers that make code for each size, such as JAX's, minutes."""

LARGE = (4095, 4096, 4097, 65_537, 131_077)


@check("sizes/small", profile="core")
def small(s: Session) -> None:
    """Every element of tensors of 1 to 1025 elements is updated once: no tail is skipped or done twice."""
    for size in SMALL if s.sign_rule.elementwise else SMALL[:12] + SMALL[-3:]:
        _two_steps(s, (size,))


@check("sizes/every")
def every(s: Session) -> None:
    """The same for 1 to 16, 65 to 128 and 1026 to 1041 elements: whatever is left over from a block of up to 64."""
    for start in range(8):
        shapes = {f"t{size}/bias": (size,) for size in EVERY[start::8]}
        run = s.start(random(s, shapes), s.hyper(weight_decay=0.25))
        run.step(random(s, shapes))
        probe(s, run)


@check("sizes/large")
def large(s: Session) -> None:
    """The same for 4095 to 131 077 elements, where implementations cut into blocks."""
    for size in LARGE:
        _two_steps(s, (size,))


@check("sizes/matrices")
def matrices(s: Session) -> None:
    """The same for matrices with odd sides, rows and columns of one, and higher ranks."""
    for shape in ((17, 5), (1, 33), (33, 1), (3, 5, 7), (2, 1, 3, 1, 2)):
        _two_steps(s, shape)


@check("sizes/empty")
def empty(s: Session) -> None:
    """A tensor without elements goes through, beside one that has some."""
    for shape in ((0,), (0, 3)):
        with s.edge(f"a tensor of shape {shape}"):
            params = {"a/bias": s.array(np.zeros(shape)), "b/bias": s.array(sized(s, 5))}
            run = s.start(params, s.hyper(weight_decay=0.5))
            run.step({"a/bias": s.array(np.zeros(shape)), "b/bias": s.array(sized(s, 5))})


@check("sizes/scalar")
def scalar(s: Session) -> None:
    """A 0-d parameter is updated like any other and stays 0-d."""
    with s.edge("a 0-d parameter"):
        run = s.start({"a/bias": s.array(1.5), "b/bias": s.array(sized(s, 3))}, s.hyper(weight_decay=0.5))
        for _ in range(3):
            run.step({"a/bias": s.array(s.rng.standard_normal()), "b/bias": s.array(sized(s, 3))})


def _two_steps(s: Session, shape: tuple[int, ...]) -> None:
    """Two steps at one shape; under Tiger a bias, whose bounds do not depend on the size, and up to 300 a matrix."""
    matrix = not s.sign_rule.elementwise and math.prod(shape) <= 300
    names = ("w/bias", "w/kernel") if matrix else ("w/bias",)
    run = s.start(random(s, dict.fromkeys(names, shape)), s.hyper(weight_decay=0.25))
    run.step(random(s, dict.fromkeys(names, shape)))
    probe(s, run)


@check("sizes/square")
def square(s: Session) -> None:
    """Square matrices are read and written the right way round, and so is their momentum."""
    shapes = dict.fromkeys(("a/kernel", "b/kernel"), (4, 4))
    run = s.start(uneven(s, shapes), s.hyper(weight_decay=0.25))
    for _ in range(2):
        run.step(uneven(s, shapes))
    run.step(run.near_zero(graded(s, 16, 1).reshape(4, 4)))
