"""The cases of Signum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from signopt.conformance.oracle.rules.signum import SIGNUM
from signopt.conformance.vectors import shared
from signopt.conformance.vectors.case import Case, Values, ordinary, spread

__all__ = ["cases"]

_SIZES = (1, 3, 16, 17, 33, 65, 130)
_WIDE = ("float32", "float64")


def cases() -> Iterator[Case]:
    """Every case of Signum, in the order of the file."""
    yield from _exact()
    yield from _tensors()
    yield from _special()
    yield from _subnormal()
    yield from _rounded()
    yield from shared.cases(SIGNUM)


def _hyper(lr: float = 2**-6, beta: float = 0.75, weight_decay: float = 0.0) -> dict[str, Any]:
    return {"lr": lr, "beta": beta, "weight_decay": weight_decay}


def _one(name: str, comment: str, p: Values, m: Values, *grads: Values, **options: Any) -> Case:
    hyper = options.pop("hyper", _hyper())
    return Case(name, comment, hyper, {"w": p}, [{"w": g} for g in grads], {"w": m} if any(m) else {}, **options)


def _exact() -> Iterator[Case]:
    yield _one(
        "sign/first-step", "the first step moves by lr against the gradient",
        [1, -1, 0, 2], [0] * 4, [1, 1, -1, -0.5],
    )  # fmt: skip
    yield _one(
        "sign/zero-gradient", "a momentum of zero moves nothing, with either sign of the zero",
        [1, -1, 0, -0.0], [0] * 4, [0, -0.0, 0, -0.0], [-0.0, 0, 0, 0], flags=("ZeroGradient",),
    )  # fmt: skip
    yield _one(
        "sign/sizes", "the step is lr however small or large the momentum is",
        [1] * 10, [0] * 10, [(-1) ** e * 2.0**e for e in (-12, -7, -3, -2, -1, 0, 1, 2, 7, 12)],
        flags=("SmallDirection", "Clipping"),
    )  # fmt: skip
    yield _one(
        "average/new-momentum", "the sign is that of the momentum after its update",
        [1, -1, 1, -1], [1, -1, 1, -1], [-4, 4, -2, 2], flags=("OldMomentum",),
    )  # fmt: skip
    yield _one(
        "average/three-steps", "the momentum is kept from step to step",
        [1, -1, 0.5], [0, 0, 0], [4, -4, 8], [-1, 1, -1], [-1, 2, -2], flags=("MomentumNotWritten",),
    )  # fmt: skip
    yield _one(
        "average/five-steps", "nothing resets the momentum, also not after a few steps",
        [1, -1], [0, 0], *[[8, -8], [-4, 4], [-2, 2], [-1, 1], [2, 2]],
        hyper=_hyper(beta=0.5), flags=("MomentumNotWritten",),
    )  # fmt: skip
    yield _one(
        "average/beta-zero", "beta = 0 is signSGD: the momentum is the gradient",
        [1, -1, 1], [4, -4, 2], [-1, 2, 0], hyper=_hyper(beta=0.0), flags=("SignSGD",),
    )  # fmt: skip
    yield _one(
        "decay/against-the-gradient", "decay pulls the parameter towards zero and has no vote in the sign",
        [4, -4, 4, -4], [0] * 4, [-0.25, 0.25, 0.25, -0.25],
        hyper=_hyper(weight_decay=0.5), flags=("CoupledDecay", "DecayMissing", "DecayWithoutRate"),
    )  # fmt: skip
    yield _one(
        "decay/without-gradient", "with no gradient only decay is left: p·(1 − lr·wd), and a momentum of zero",
        [4, -4, 8, 0], [0] * 4, [0] * 4, [0] * 4,
        hyper=_hyper(lr=2**-2, weight_decay=0.5), flags=("CoupledDecay", "DecayMissing", "DecayWithoutRate"),
    )  # fmt: skip


def _tensors() -> Iterator[Case]:
    for size in _SIZES:
        yield _one(
            f"tensors/size-{size}", f"all {size} elements move, and each once",
            spread(size, lambda i: 1 + (i % 4) / 4), [0] * size,
            spread(size, lambda i: (-1) ** i * (1 + i % 3)), flags=("Tail",),
        )  # fmt: skip
    yield _one("tensors/zero-dimensional", "an array without axes is a parameter too", [1], [0], [-1], shapes={"w": ()})
    yield Case(
        "tensors/same-shape", "two tensors of one shape have their own momenta", _hyper(weight_decay=0.5),
        {"a": [1, 1], "b": [-1, 2]}, [{"a": [4, 4], "b": [-4, 0]}, {"a": [-1, -1], "b": [1, 1]}],
        flags=("SeveralTensors", "MomentumNotWritten"),
    )  # fmt: skip


def _special() -> Iterator[Case]:
    nan, inf = float("nan"), float("inf")
    for policy in ("propagate", "zero"):
        yield _one(
            f"special/nan-{policy}", f"a NaN gradient under nan = {policy!r}; its neighbours are untouched by it",
            [1, -1, 2, 1], [0, 1, 0, 1], [nan, nan, 1, -1],
            flags=("NaN",), requires={"nan": policy}, hyper=_hyper(weight_decay=0.5),
        )  # fmt: skip
    yield _one(
        "special/infinite", "an infinite gradient has a sign",
        [1, -1, 1, -1], [0, 0, 2, -2], [inf, -inf, -inf, inf], flags=("Inf",), requires={"nan": "propagate"},
    )  # fmt: skip


def _subnormal() -> Iterator[Case]:
    yield _one(
        "special/subnormal", "numbers below the normal range keep their sign",
        [1, -1], [0, 0], [2.0**-146, -(2.0**-146)],
        flags=("Subnormal",), requires={"subnormals": "keep"}, dtypes=("float32",),
    )  # fmt: skip


def _rounded() -> Iterator[Case]:
    """Ordinary numbers: here orders differ, and what is expected is a set."""
    for seed, (lr, beta, decay) in enumerate([(1e-4, 0.9, 0.0), (1e-3, 0.99, 0.1), (0.1, 0.5, 3.0), (1e-2, 0.0, 1.0)]):
        p, m, g = ordinary(24, 1000 + seed), ordinary(24, 1100 + seed, 2**-7), ordinary(24, 1200 + seed, 2**-4)
        yield _one(
            f"rounded/ordinary-{seed}", "ordinary numbers under ordinary hyperparameters", p, m, g,
            hyper=_hyper(lr, beta, decay), flags=("CoupledDecay", "DecayMissing"),
        )  # fmt: skip
    for exponent, name in ((60, "huge"), (-60, "tiny")):
        yield _one(
            f"rounded/{name}", f"{name} gradients and momenta, well inside the range",
            ordinary(12, 1330), ordinary(12, 1331, 2.0**exponent), ordinary(12, 1332, 2.0**exponent),
            hyper=_hyper(1e-3, 0.9, 0.1), flags=("Clipping", "SmallDirection"), dtypes=_WIDE,
        )  # fmt: skip
    m = ordinary(24, 1300)
    yield _one(
        "rounded/near-zero", "momentum and gradient nearly cancel, more and more closely",
        ordinary(24, 1310), m, [-9 * value * (1 + (i % 12) * 2.0**-22) for i, value in enumerate(m)],
        hyper=_hyper(1e-3, 0.9, 0.1), flags=("NearZero",),
    )  # fmt: skip
