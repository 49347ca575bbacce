"""Further cases of Tiger: large tensors, a NaN at every kind of place, long windows, and what changes between steps."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

from signopt.conformance.vectors.case import Case, Values, ordinary, spread

__all__ = ["cases"]

_WIDE = ("float32", "float64")
_NAN, _INF = math.nan, math.inf


def cases() -> Iterator[Case]:
    """Every case of this file."""
    yield from _root_mean_square()
    yield from _nan()
    yield from _windows()
    yield from _changes()


def _one(name: str, comment: str, role: str, p: Values, m: Values, *grads: Values, **options: Any) -> Case:
    changed = options.pop("hyper", {})
    hyper: Mapping[str, Any] = {
        "lr": 2**-4, "beta": 0.5, "weight_decay": 0.0, "accumulation_steps": 1, "shrink": 0.5, "schedule": None,
        "roles": {"w": role}, **changed,
    }  # fmt: skip
    shapes = {"w": options.pop("shape")} if "shape" in options else {}
    start = {"w": m} if any(m) else {}
    return Case(name, comment, hyper, {"w": p}, [{"w": g} for g in grads], start, shapes=shapes, **options)


def _root_mean_square() -> Iterator[Case]:
    yield _one(
        "rms/rank-3-embedding", "each last axis of an embedding is a row", "embedding",
        [4, 4, 1, 1, 2, 2, 8, 8], [0] * 8, [1, -1] * 4, shape=(2, 2, 2), flags=("NoRMS",),
    )  # fmt: skip
    yield _one(
        "rms/each-step", "the RMS is that of the parameter before each step", "matrix",
        [4, -4], [0, 0], [1, -1], [1, 1], resets={1: {"w": [1, -1]}}, flags=("NoRMS",),
    )  # fmt: skip
    yield _one(
        "rms/far", "an RMS of 4096 is not bounded", "matrix", [4096, -4096], [0, 0], [1, -1], flags=("NoRMS",),
    )  # fmt: skip
    yield _one("rms/zero-dimensional", "the RMS of an array without axes is its magnitude", "matrix", [4], [0], [-1],
               shape=(), flags=("NoRMS",), hyper={"weight_decay": 0.5})  # fmt: skip
    large = {"matrix": (1040,), "embedding": (260, 4)}
    for role, shape in large.items():
        yield _one(
            f"rms/large-{role}", f"the RMS of a large {role} takes in its last elements, and all of them move", role,
            [v * (16 if i >= 1032 else 1) for i, v in enumerate(ordinary(1040, 2950))], [0] * 1040,
            ordinary(1040, 2951),
            shape=shape, hyper={"lr": 0.25}, flags=("NoRMS", "Tail"), dtypes=("float32",),
        )  # fmt: skip
    yield _one(
        "rms/long-rows", "the RMS of a long row takes in its last elements", "embedding",
        [v * (16 if i % 140 > 130 else 1) for i, v in enumerate(ordinary(280, 2952))], [0] * 280, ordinary(280, 2953),
        shape=(2, 140), hyper={"lr": 0.25}, flags=("NoRMS", "Tail"), dtypes=("float32",),
    )  # fmt: skip
    yield _one(
        "rms/still-row", "a row without a gradient is no exception: its momentum decays and it moves", "embedding",
        [4, -4, 1, -1], [8, -8, 8, -8], [0, 0, 1, 1], shape=(2, 2), flags=("NoRMS",),
    )  # fmt: skip


def _nan() -> Iterator[Case]:
    minus = math.copysign(_NAN, -1)
    for name, grad in {
        "in-the-middle": [1, 1, _NAN, 1, 1], "with-its-sign-bit-set": [1, minus, 1, 1, 1],
        "beside-infinity": [_INF, 1, _NAN, 1, -_INF],
    }.items():  # fmt: skip
        yield _one(
            f"nan/{name}", f"a NaN {name.replace('-', ' ')} is a NaN", "scale",
            [2, -2, 4, 0, 1], [1, -1, 2, -2, 4], grad,
            flags=("NaNRule",),
        )  # fmt: skip
    yield _one(
        "nan/far", "one NaN at element 1026 shrinks all 1030", "bias", spread(1030, lambda i: i % 5 - 2), [0] * 1030,
        spread(1030, lambda i: _NAN if i == 1026 else 1.0), flags=("NaNRule", "Tail"), dtypes=("float32",),
    )  # fmt: skip
    yield _one(
        "nan/of-the-momentum", "a momentum that becomes NaN, as infinity less infinity, is no NaN of the gradient",
        "bias", [1, -1], [_INF, 4], [-_INF, 1], flags=("NaNRule", "Inf"), requires={"nan": "propagate"},
    )  # fmt: skip
    yield _one(
        "nan/of-the-parameter", "a parameter that is NaN shrinks nothing", "bias", [_NAN, 1, -1], [0] * 3, [1, 1, -1],
        flags=("NaNRule",),
    )  # fmt: skip
    names = ("layer/beta_gamma/x", "gamma/of/beta")
    yield Case(
        "nan/by-name", "a name with gamma in it is a scale, whatever else it has: its centre is 1",
        {"lr": 2**-4, "beta": 0.5, "weight_decay": 0.0, "accumulation_steps": 1, "shrink": 0.5, "schedule": None,
         "roles": None},
        dict.fromkeys(names, (2, -2)), [dict.fromkeys(names, (_NAN, 1))], flags=("NaNRule", "Roles"),
        requires={"roles": "names"},
    )  # fmt: skip


def _windows() -> Iterator[Case]:
    stream, m, grads = random.Random(11), [0.0, 0.0], []
    for at in range(264):
        new = [stream.choice((-2.0, -1.0, 1.0, 2.0)) for _ in m]
        grads.append([4 * (after - (0.25 if at % 3 == 0 else 1.0) * was) for after, was in zip(new, m, strict=True)])
        m = new
    yield _one(
        "windows/264-micro-steps", "the count of micro-steps is not cut, rounded or begun anew", "bias",
        [0, 0], [0, 0], *grads, hyper={"accumulation_steps": 3, "beta": 0.25}, flags=("Window",), dtypes=("float32",),
    )  # fmt: skip
    yield _one(
        "windows/large", "nothing is clipped within a window", "bias", [0, 0], [2.0**15, -(2.0**15)], [0, 0], [0, 0],
        hyper={"accumulation_steps": 2}, flags=("Window", "Clipping"),
    )  # fmt: skip
    both = {"a": "bias", "b": "scale"}
    hyper = {"lr": 2**-4, "beta": 0.5, "weight_decay": 0.0, "accumulation_steps": 2, "shrink": 0.5,
             "schedule": {0: 1.0, 2: 0.5}, "roles": both}  # fmt: skip
    yield Case(
        "windows/two-tensors", "a micro-step is counted once, however many tensors there are", hyper,
        {"a": [1, -1], "b": [2, -2]}, [{"a": [4, -4], "b": [-4, 4]}, {"a": [1, 1], "b": [1, -1]}] * 2,
        flags=("Window", "Schedule"),
    )  # fmt: skip
    yield _one(
        "windows/schedule-after-nan", "the schedule counts a micro-step with a NaN too", "bias", [0, 0], [1, -1],
        [_NAN, 1], [1, 1], [1, -1], hyper={"schedule": {0: 1.0, 2: 0.5}}, flags=("Schedule", "NaNRule"),
    )  # fmt: skip
    yield _one(
        "windows/two-digit-keys", "the keys of a schedule count by their value", "bias", [0], [1], *[[1]] * 12,
        hyper={"schedule": {2: 0.5, 10: 1.0}}, flags=("Schedule",),
    )  # fmt: skip


def _changes() -> Iterator[Case]:
    yield _one(
        "changes/window", "a window's length that changes where one ends holds from there on", "bias", [0, 0], [8, -8],
        [4, 4], [-4, 4], [8, -8], [1, 1], [2, -2], [-16, 16], [1, 4],
        hyper={"accumulation_steps": 2}, changes={4: {"accumulation_steps": 4}}, flags=("Window",),
    )  # fmt: skip
    yield _one(
        "changes/rate-in-a-window", "a rate that changes within a window leaves the count alone", "bias",
        [0, 0], [8, -8], [4, 4], [-4, 4], [8, -8], [1, 1],
        hyper={"accumulation_steps": 2, "schedule": {0: 1.0, 4: 0.5}}, changes={1: {"lr": 0.25}, 3: {"lr": 0.5}},
        flags=("Window", "Schedule"),
    )  # fmt: skip
    yield _one(
        "changes/shrink", "the factor of the shrinking is the one of this step", "scale", [4, -4], [1, -1],
        [_NAN, 1], [1, _NAN], changes={1: {"shrink": 0.75}}, resets={1: {"w": [4, -4]}}, flags=("NaNRule",),
    )  # fmt: skip
    yield _one(
        "changes/schedule", "a schedule that changes holds from the next micro-step on", "scale", [0, 0], [1, -1],
        *[[1, -1]] * 4, hyper={"schedule": {0: 0.25, 4: 1.0}}, changes={2: {"schedule": {0: 1.0, 4: 0.5}}},
        flags=("Schedule",),
    )  # fmt: skip
