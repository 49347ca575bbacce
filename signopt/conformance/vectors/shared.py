"""Cases that every sign rule has: sizes, names, extreme hyperparameters, long runs and changes between steps."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from signopt.conformance.oracle.rules import SignRule
from signopt.conformance.vectors.case import Case, Values, ordinary, spread

__all__ = ["cases"]

_WIDE = ("float32", "float64")
_NAMES = ("norm/gamma", "norm.weight", "LayerNorm_0/scale", "ln_1", "token_embeddings", "bias", "b", "head/kernel", "0")


def cases(rule: SignRule) -> Iterator[Case]:
    """Every shared case for one rule."""
    maker = _Maker(rule)
    yield from _tensors(maker)
    yield from _hyper(maker)
    yield from _values(maker)
    yield from _runs(maker)
    yield from _changes(maker)


class _Maker:
    """Cases under one rule; if it knows roles every tensor has the same one, a bias unless decay is to be seen."""

    def __init__(self, rule: SignRule) -> None:
        self.rule = rule
        self.roles = any(each.name == "roles" for each in rule.hyper)

    def hyper(
        self, names: Sequence[str], lr: float = 2**-6, weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.5, 0.75), role: str = "bias",
    ) -> dict[str, Any]:  # fmt: skip
        """Hyperparameters for tensors of these names."""
        own = {"roles": dict.fromkeys(names, role)} if self.roles else {}
        return self.rule.settings(lr, betas, weight_decay, **own)

    def case(
        self, name: str, comment: str, p: Mapping[str, Values], m: Mapping[str, Values],
        *grads: Mapping[str, Values], hyper: Mapping[str, Any] | None = None, **options: Any,
    ) -> Case:  # fmt: skip
        """A case on several tensors."""
        return Case(name, comment, self.hyper(list(p), **(hyper or {})), p, list(grads), m, **options)

    def one(self, name: str, comment: str, p: Values, m: Values, *grads: Values, **options: Any) -> Case:
        """A case on one tensor."""
        each = [{"w": grad} for grad in grads]
        return self.case(name, comment, {"w": p}, {"w": m} if any(m) else {}, *each, **options)

    def gradient_to(self, new: float, old: float) -> float:
        """The gradient that takes the momentum from ``old`` to ``new`` under the betas 1/2 and 3/4."""
        _, (b, a) = self.rule.averages(self.hyper(["w"]), 0)
        return (new - float(b) * old) / float(a)


def _tensors(make: _Maker) -> Iterator[Case]:
    for size in (29, 4097):
        yield make.one(
            f"tail/size-{size}", f"all {size} elements move, and each once",
            spread(size, lambda i: i % 7 - 3), [0] * size, spread(size, lambda i: (-1) ** (i // 3)),
            flags=("Tail",), dtypes=("float32",) if size > 1000 else _WIDE,
        )  # fmt: skip
    yield make.one(
        "shape/rank-3", "elements keep their places in three dimensions",
        spread(12, lambda i: i / 4), [0] * 12, spread(12, lambda i: (-1) ** (i // 2)), shapes={"w": (2, 2, 3)},
    )  # fmt: skip
    g = [1, 2, 3, 4, 5, -6, 7, -8, 9]
    yield make.one(
        "shape/square", "a square matrix and its momentum are read and written the right way round",
        [1] * 9, [0] * 9, g, [-value for value in g[::-1]], [0.125 * value for value in g], shapes={"w": (3, 3)},
    )  # fmt: skip
    many = {f"t{i}": [(-1) ** i] for i in range(33)}
    yield make.case(
        "tensors/thirty-three", "33 tensors are all updated", many, {},
        {name: [2.0 * (i % 5 - 2)] for i, name in enumerate(many)}, flags=("SeveralTensors",),
    )  # fmt: skip
    yield make.case(
        "tensors/empty-first", "a tensor without elements disturbs none after it", {"a": [], "b": [1, -1]}, {},
        {"a": [], "b": [1, 1]}, shapes={"a": (0,)}, flags=("SeveralTensors",),
    )  # fmt: skip
    yield make.case(
        "tensors/order", "gradients belong to parameters by name, in whatever order they come",
        {"w10": [0, 0], "w9": [0, 0], "a": [0, 0], "Z": [0, 0]}, {},
        {"Z": [1, 1], "a": [-1, 1], "w9": [1, -1], "w10": [-1, -1]}, flags=("SeveralTensors",),
    )  # fmt: skip
    yield make.case(
        "tensors/same-last-part", "a/w and b/w have momenta of their own", {"a/w": [0, 0], "b/w": [0, 0]}, {},
        {"a/w": [4, 4], "b/w": [-4, -4]}, {"a/w": [0, 1], "b/w": [0, -1]},
        flags=("SeveralTensors", "MomentumNotWritten"),
    )  # fmt: skip
    if make.rule.elementwise:
        yield make.case(
            "tensors/every-name", "what a tensor is called changes nothing: all decay",
            dict.fromkeys(_NAMES, (4, -4, 2)), {}, dict.fromkeys(_NAMES, (1, -1, 0)),
            hyper={"weight_decay": 0.5}, flags=("DecayMissing",),
        )  # fmt: skip


def _hyper(make: _Maker) -> Iterator[Case]:
    for lr, name in ((8.0, "large"), (2.0**-40, "tiny")):
        yield make.one(
            f"hyper/rate-{name}", f"a {name} rate is not bounded", [0, 0, 0], [0] * 3, [1, -1, 0],
            hyper={"lr": lr}, dtypes=_WIDE,
        )  # fmt: skip
    yield make.one(
        "hyper/rate-zero", "a rate of zero is a rate: only the momentum moves", [1, -1, 0], [0] * 3,
        [4, -4, 1], [-1, 1, 0], hyper={"lr": 0.0},
    )  # fmt: skip
    for lr, decay, name in ((2.0**-6, 16.0, "large"), (1.0, 2.0**-14, "tiny"), (1.0, 0.1, "ordinary")):
        yield make.one(
            f"hyper/decay-{name}", f"a {name} decay is the one given", [1, -1, 1, -1], [0] * 4, [0] * 4,
            hyper={"lr": lr, "weight_decay": decay, "role": "matrix"}, flags=("DecayMissing",), dtypes=_WIDE,
        )  # fmt: skip
    yield make.one(
        "hyper/betas-zero", "a beta of zero forgets everything at once", [0, 0, 0], [8, -8, 8], [-1, 1, 0], [1, 1, -1],
        hyper={"betas": (0.0, 0.0)},
    )  # fmt: skip
    m = ordinary(16, 410)
    for betas in ((0.9995, 0.9999), (0.9999, 0.9995)):
        yield make.one(
            f"hyper/betas-{'rising' if betas[0] < betas[1] else 'falling'}", "betas near 1 keep their distance to it",
            ordinary(16, 411), m, [-betas[0] / (1 - betas[0]) * v * (1 + (-1) ** i * 2.0**-9) for i, v in enumerate(m)],
            hyper={"betas": betas}, flags=("NearZero",), dtypes=_WIDE,
        )  # fmt: skip


def _values(make: _Maker) -> Iterator[Case]:
    m = [(2.0**21 + 3 * i + 1) * (-1) ** i for i in range(10)]
    g = [-value + (-1) ** (i // 2) * (1, 2, 3, 5, 8)[i % 5] for i, value in enumerate(m)]
    yield make.one(
        "values/few-ulp", "a direction of a few ulp of its terms still has its sign", [0] * 10, m, g,
        hyper={"betas": (0.5, 0.5)}, flags=("NearZero",), dtypes=_WIDE,
    )  # fmt: skip
    yield make.one(
        "values/far", "no square and no epsilon: the sign is the sign at 2^100 and at 2^-100", [0] * 4, [0] * 4,
        [2.0**100, -(2.0**100), 2.0**-100, -(2.0**-100)], flags=("SmallDirection",), dtypes=_WIDE,
    )  # fmt: skip
    yield make.one(
        "values/subnormal-gradient", "subnormal gradients have their sign and arrive in the momentum", [1, -1, 0],
        [0] * 3, [2.0**-140, -(2.0**-140), 2.0**-146], flags=("Subnormal",), requires={"subnormals": "keep"},
        dtypes=("float32",),
    )  # fmt: skip
    yield make.one(
        "values/subnormal-parameter", "a subnormal parameter without a gradient stays what it is",
        [2.0**-140, -(2.0**-149), 3 * 2.0**-149], [0] * 3, [0, -0.0, 0], flags=("Subnormal",),
        requires={"subnormals": "keep"}, dtypes=("float32",),
    )  # fmt: skip


def _runs(make: _Maker) -> Iterator[Case]:
    stream = random.Random(7)
    momenta = [[stream.choice((-2.0, -1.0, 1.0, 2.0)) for _ in range(2)] for _ in range(130)]
    before = [[0.0] * 2, *momenta]
    grads = [
        [make.gradient_to(new, old) for new, old in zip(after, was, strict=True)]
        for after, was in zip(momenta, before, strict=False)
    ]
    yield make.one(
        "runs/130-steps", "the rule of the first step is that of the 130th", [0] * 2, [0] * 2, *grads,
        flags=("MomentumNotWritten",), dtypes=("float32",),
    )  # fmt: skip


def _changes(make: _Maker) -> Iterator[Case]:
    p, grads = [0, 0, 0], [[4, -4, 1], [1, 1, -1], [-8, 8, 2], [2, -2, -1]]
    yield make.one(
        "changes/rate", "a rate that changes between steps holds from the next step on", p, [0] * 3, *grads,
        changes={1: {"lr": 2.0**-4}, 3: {"lr": 2.0**-8}},
    )  # fmt: skip
    yield make.one(
        "changes/betas", "betas that change hold from the next step on, and the momentum goes on",
        p, [8, -8, 4], *grads,
        changes={1: make.rule.of_betas((0.25, 0.5)), 3: make.rule.of_betas((0.75, 0.25))},
    )  # fmt: skip
    start = [1.0, -1.0, 1.0, -1.0]
    yield make.one(
        "changes/decay", "a decay that changes holds from the next step on", start, [0] * 4,
        *[[0] * 4] * 3, hyper={"weight_decay": 0.5, "role": "matrix", "lr": 2.0**-4},
        changes={1: {"weight_decay": 2.0}, 2: {"weight_decay": 0.0}}, resets={1: {"w": start}, 2: {"w": start}},
        flags=("DecayMissing",),
    )  # fmt: skip
    yield make.one(
        "changes/parameter", "a parameter that is set between steps is stepped from where it is", [1, -1, 2], [0] * 3,
        [4, -4, 1], [1, 1, -1], resets={1: {"w": [8, 8, -8]}},
    )  # fmt: skip
