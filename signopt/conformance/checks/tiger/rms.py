"""The RMS of a matrix, and of each row of an embedding."""

from __future__ import annotations

import math

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.tiger._shapes import TIGER
from signopt.conformance.checks.values import Floats, graded, random, random_like, sized, uneven
from signopt.conformance.session import Session


@check("rms/matrix", rules=TIGER, essential=True)
def rms_matrix(s: Session) -> None:
    """RMS is sqrt(mean(p²)) of p before the step over the whole tensor, of any rank, without ε."""
    shapes = {f"w{i}/kernel": shape for i, shape in enumerate([(7,), (5, 4), (1, 9), (9, 1), (2, 3, 4), (1,)])}
    far = () if s.storage.name == "float16" else (2.0**-18, 2.0**12)
    for scale in (1.0, 2.0**-7, 2.0**5, *far):
        params = {name: s.array(p.astype(np.float64) * scale) for name, p in uneven(s, shapes).items()}
        run = s.start(params, s.hyper(lr=0.25, weight_decay=0.25))
        run.step(random_like(s, params))
        run.step(random_like(s, params))


@check("rms/embedding", rules=TIGER, essential=True)
def rms_embedding(s: Session) -> None:
    """An embedding's RMS is that of each row, along the last axis, of any rank."""
    shapes = {f"e{i}/embeddings": shape for i, shape in enumerate([(6, 4), (4, 1), (1, 5), (3, 2, 4), (5,)])}
    params = uneven(s, shapes)
    run = s.start(params, s.hyper(lr=0.25, weight_decay=0.25))
    run.step(random_like(s, params))
    run.step(random_like(s, params))


@check("rms/zero", rules=TIGER)
def rms_zero(s: Session) -> None:
    """A matrix, or a row of an embedding, that is all zero never moves; a single small element makes it move."""
    rows = sized(s, 12).reshape(4, 3)
    rows[1], rows[3] = 0.0, [0.0, 2.0**-6, 0.0]
    params = {"a/kernel": s.array(np.zeros((3, 3))), "b/embeddings": s.array(rows), "c/kernel": s.array(rows)}
    run = s.start(params, s.hyper(lr=0.25, weight_decay=0.5))
    for _ in range(2):
        run.step(random_like(s, params))


def _heavy_ends(s: Session, shape: tuple[int, ...]) -> Floats:
    """Numbers of which the last of each row, and most of all the last row, decide the RMS."""
    values = sized(s, math.prod(shape), -1, 1).reshape(shape)
    values[..., -1] *= 32
    values[-1] *= 8
    return values


@check("rms/large", rules=TIGER)
def rms_large(s: Session) -> None:
    """The RMS of a large matrix takes in its last elements, and all of them make their step."""
    for shape in ((257,), (1025,), (65, 64), (65_537,)):
        run = s.start({"w/kernel": s.array(_heavy_ends(s, shape))}, s.hyper(lr=0.25, weight_decay=0.25))
        run.step(random(s, {"w/kernel": shape}))


@check("rms/rows", rules=TIGER)
def rms_rows(s: Session) -> None:
    """An embedding with many rows, or long ones, has the RMS of each whole row, and all rows make their step."""
    for shape in ((300, 3), (3, 1030), (17, 33), (2, 9, 130)):
        run = s.start({"w/embeddings": s.array(_heavy_ends(s, shape))}, s.hyper(lr=0.25, weight_decay=0.25))
        run.step(random(s, {"w/embeddings": shape}))


@check("rms/still-rows", rules=TIGER)
def rms_still_rows(s: Session) -> None:
    """Rows of an embedding without a gradient are no exception: momentum, step and decay go on as in all others."""
    for k in (1, 2):
        params = random(s, {"w/embeddings": (6, 5), "v/embeddings": (2, 3, 4)})
        run = s.start(params, s.hyper(weight_decay=0.5, accumulation_steps=k))
        for turn in range(3 * k):
            grads = random(s, {name: p.shape for name, p in params.items()})
            for grad in grads.values():
                grad[:: 1 + turn] = 0.0 if turn else grad
            run.step(grads)
        for _ in range(k):
            run.step(run.near_zero({name: graded(s, p.size).reshape(p.shape) for name, p in params.items()}))


@check("rms/square-embedding", rules=TIGER)
def square_embedding(s: Session) -> None:
    """In a square embedding each row has its own rate, not each column."""
    run = s.start(uneven(s, {"a/embeddings": (4, 4)}), s.hyper(lr=0.25, weight_decay=0.25))
    for _ in range(2):
        run.step(uneven(s, {"a/embeddings": (4, 4)}))
