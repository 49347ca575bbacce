"""The cases of Lion. Where the betas are 1/2 and 3/4 and the numbers short, every legal order gives the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from signopt.conformance.oracle.rules.lion import LION
from signopt.conformance.vectors import shared
from signopt.conformance.vectors.case import Case, Values, ordinary, spread

__all__ = ["cases"]

_WIDE = ("float32", "float64")
_SIZES = (1, 2, 3, 15, 16, 17, 31, 32, 33, 64, 65, 130)


def cases() -> Iterator[Case]:
    """Every case of Lion, in the order of the file."""
    yield from _signs()
    yield from _averages()
    yield from _decay()
    yield from _tensors()
    yield from _special()
    yield from _rounded()
    yield from shared.cases(LION)


def _hyper(lr: float = 2**-6, betas: tuple[float, float] = (0.5, 0.75), weight_decay: float = 0.0) -> dict[str, Any]:
    return {"lr": lr, "betas": betas, "weight_decay": weight_decay}


def _one(name: str, comment: str, p: Values, m: Values, *grads: Values, **options: Any) -> Case:
    hyper = options.pop("hyper", _hyper())
    return Case(name, comment, hyper, {"w": p}, [{"w": g} for g in grads], {"w": m} if any(m) else {}, **options)


def _signs() -> Iterator[Case]:
    yield _one(
        "sign/first-step", "the first step moves by lr against the gradient",
        [1, -1, 0, 2], [0] * 4, [1, 1, -1, -0.5],
    )  # fmt: skip
    yield _one(
        "sign/zero-gradient", "a direction of zero moves nothing, with either sign of the zero",
        [1, -1, 0, -0.0], [0] * 4, [0, -0.0, 0, -0.0], [-0.0, 0, 0, 0], flags=("ZeroGradient",),
    )  # fmt: skip
    yield _one(
        "sign/cancelling", "momentum and gradient that cancel exactly give a direction of zero",
        [1, -1, 0.5, 2], [1, -2, 0.25, 4], [-1, 2, -0.25, -4], flags=("ZeroGradient",),
    )  # fmt: skip
    sizes = [2.0**e for e in (-12, -6, -3, -2, -1, 0, 1, 2, 3, 6, 9, 12)]
    for sign, name in ((1, "positive"), (-1, "negative")):
        yield _one(
            f"sign/{name}-sizes", "the step is lr however small or large the direction is",
            [1] * 12, [0] * 12, [sign * size for size in sizes], flags=("SmallDirection", "Clipping"),
        )  # fmt: skip


def _averages() -> Iterator[Case]:
    yield _one(
        "average/momentum-wins", "the direction is beta1·m + (1 − beta1)·g, not the gradient",
        [1, 1, -1, -1], [4, -4, 4, -4], [-1, 1, -1, 1], flags=("BetasSwapped", "CautiousByDefault"),
    )  # fmt: skip
    yield _one(
        "average/between-the-betas", "beta1 weighs the direction and beta2 the momentum: here they disagree in sign",
        [1, -1, 1, -1], [1, -1, 2, -2], [-2, 2, -4, 4], flags=("BetasSwapped", "OldMomentum"),
    )  # fmt: skip
    yield _one(
        "average/old-momentum", "the direction is made from the momentum before its update",
        [1, 1], [-3, 3], [4, -4], flags=("OldMomentum",), hyper=_hyper(betas=(0.5, 0.25)),
    )  # fmt: skip
    yield _one(
        "average/three-steps", "the momentum is kept from step to step",
        [1, -1, 0.5], [0, 0, 0], [4, -4, 8], [-1, 1, -1], [-1, 2, -2],
        flags=("MomentumNotWritten", "BetasSwapped"),
    )  # fmt: skip
    yield _one(
        "average/five-steps", "nothing resets the momentum, also not after a few steps",
        [1, -1], [0, 0], *[[8, -8], [-4, 4], [-2, 2], [-1, 1], [2, 2]],
        hyper=_hyper(betas=(0.5, 0.5)), flags=("MomentumNotWritten",),
    )  # fmt: skip
    yield _one(
        "average/memory-alone", "with no gradient the momentum decays by beta2 and still moves the parameter",
        [1, -1], [4, -8], [0, 0], [0, 0], flags=("MomentumNotWritten",),
    )  # fmt: skip
    yield _one(
        "average/large-gradient", "a gradient enters the momentum at its full size",
        [1, -1, 1], [0, 0, 0], [1024, -2048, 0.0078125], flags=("Clipping",),
    )  # fmt: skip
    yield _one(
        "average/beta-zero", "beta1 = beta2 = 0: the sign of the gradient, and a momentum that is the gradient",
        [1, -1, 1], [4, -4, 2], [-1, 2, 0], hyper=_hyper(betas=(0.0, 0.0)), flags=("BetasSwapped",),
    )  # fmt: skip


def _decay() -> Iterator[Case]:
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
    yield _one(
        "decay/larger-than-one", "a weight decay of 2 is no special case",
        [2, -2, 1], [0] * 3, [1, 1, -1], hyper=_hyper(lr=2**-3, weight_decay=2.0), flags=("DecayWithoutRate",),
    )  # fmt: skip
    yield _one(
        "decay/old-parameter", "decay is a share of the parameter before the step",
        [0, 0, 0.5], [0] * 3, [1, -1, 1], hyper=_hyper(lr=0.5, weight_decay=0.5), flags=("DecayWithoutRate",),
    )  # fmt: skip


def _tensors() -> Iterator[Case]:
    for size in _SIZES:
        yield _one(
            f"tensors/size-{size}", f"all {size} elements move, and each once",
            spread(size, lambda i: 1 + (i % 4) / 4), [0] * size,
            spread(size, lambda i: (-1) ** i * (1 + i % 3)), flags=("Tail", "SmallDirection"),
        )  # fmt: skip
    yield _one("tensors/zero-dimensional", "an array without axes is a parameter too", [1], [0], [-1], shapes={"w": ()})
    yield _one("tensors/empty", "an array without elements is left alone", [], [], [], shapes={"w": (0, 3)})
    yield Case(
        "tensors/matrix", "elements keep their places in a matrix", _hyper(),
        {"w": spread(12, lambda i: i / 4)}, [{"w": spread(12, lambda i: (-1) ** (i // 2))}],
        flags=("Tail",), shapes={"w": (3, 4)},
    )  # fmt: skip
    yield Case(
        "tensors/same-shape", "two tensors of one shape have their own momenta", _hyper(weight_decay=0.5),
        {"a": [1, 1], "b": [-1, 2]}, [{"a": [4, 4], "b": [-4, 0]}, {"a": [-1, -1], "b": [1, 1]}],
        flags=("SeveralTensors", "MomentumNotWritten"),
    )  # fmt: skip
    yield Case(
        "tensors/three-sizes", "tensors of different sizes are all updated", _hyper(),
        {"a": [1], "b": [1, -1, 2], "c": [0, 0.5]}, [{"a": [1], "b": [-1, 1, 0], "c": [2, -2]}],
        flags=("SeveralTensors", "Tail"),
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
    yield _one(
        "special/subnormal", "numbers below the normal range keep their sign",
        [1, -1], [0, 0], [2.0**-146, -(2.0**-146)],
        flags=("Subnormal",), requires={"subnormals": "keep"}, dtypes=("float32",),
    )  # fmt: skip
    yield _one(
        "special/rate-zero", "lr = 0 leaves the parameter and updates the momentum",
        [1, -1], [0, 0], [1, -1], hyper=_hyper(lr=0.0, weight_decay=0.5),
    )  # fmt: skip


def _rounded() -> Iterator[Case]:
    """Ordinary numbers: here orders differ, and what is expected is a set."""
    for seed, (lr, betas, decay) in enumerate(_ORDINARY):
        p, m, g = ordinary(24, seed), ordinary(24, 100 + seed, 2**-7), ordinary(24, 200 + seed, 2**-4)
        yield _one(
            f"rounded/ordinary-{seed}", "ordinary numbers under ordinary hyperparameters", p, m, g,
            hyper=_hyper(lr, betas, decay), flags=("BetasSwapped", "CoupledDecay", "DecayMissing"),
        )  # fmt: skip
    for seed, betas in enumerate([(0.9, 0.99), (0.95, 0.98)]):
        m = ordinary(24, 300 + seed)
        g = [-betas[0] / (1 - betas[0]) * value * (1 + _gap(i)) for i, value in enumerate(m)]
        yield _one(
            f"rounded/near-zero-{seed}", "momentum and gradient nearly cancel, more and more closely",
            ordinary(24, 310), m, g, hyper=_hyper(1e-3, betas, 0.1), flags=("NearZero", "BetasSwapped"),
        )  # fmt: skip
    yield _one(
        "rounded/faint-decay", "a decay that one step cannot show in a narrow type does show in these parameters",
        ordinary(16, 320, 2**-20), [0] * 16, [0] * 16,
        hyper=_hyper(2**-10, (0.9, 0.99), 2**-3), flags=("DecayUnderflow",), dtypes=_WIDE,
    )  # fmt: skip
    for exponent, name in ((60, "huge"), (-60, "tiny")):
        yield _one(
            f"rounded/{name}", f"{name} gradients and momenta, well inside the range",
            ordinary(12, 330), ordinary(12, 331, 2.0**exponent), ordinary(12, 332, 2.0**exponent),
            hyper=_hyper(1e-3, (0.9, 0.99), 0.1), flags=("Clipping", "SmallDirection"), dtypes=_WIDE,
        )  # fmt: skip


_ORDINARY = [
    (1e-4, (0.9, 0.99), 0.0),
    (1e-3, (0.9, 0.99), 0.1),
    (3e-5, (0.95, 0.98), 1.0),
    (0.1, (0.99, 0.9), 3.0),
    (1.0, (0.999, 0.5), 0.01),
    (1e-2, (0.0, 0.999), 10.0),
]


def _gap(index: int) -> float:
    """0, then ±2^-23, ±2^-21, … ±2^-3 and again."""
    step = index % 12
    return (-1) ** index * 2.0 ** (2 * step - 25) if step else 0.0
