"""The cases of Tiger. Parameters whose root mean square is a power of two make the exact ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from signopt.conformance.oracle.rules.tiger import TIGER
from signopt.conformance.vectors import shared, tiger_more
from signopt.conformance.vectors.case import Case, Values, ordinary

__all__ = ["cases"]

_WIDE = ("float32", "float64")
_NAN, _INF = float("nan"), float("inf")


def cases() -> Iterator[Case]:
    """Every case of Tiger, in the order of the file."""
    yield from _roles()
    yield from _names()
    yield from _windows()
    yield from _nan_rule()
    yield from _schedules()
    yield from _rounded()
    yield from tiger_more.cases()
    yield from shared.cases(TIGER)


def _hyper(**changed: Any) -> dict[str, Any]:
    return {
        "lr": 2**-4, "beta": 0.5, "weight_decay": 0.0, "accumulation_steps": 1, "shrink": 0.5,
        "schedule": None, "roles": None, **changed,
    }  # fmt: skip


def _one(name: str, comment: str, role: str, p: Values, m: Values, *grads: Values, **options: Any) -> Case:
    hyper = _hyper(**options.pop("hyper", {}), roles={"w": role})
    shapes = {"w": options.pop("shape")} if "shape" in options else {}
    start = {"w": m} if any(m) else {}
    return Case(name, comment, hyper, {"w": p}, [{"w": g} for g in grads], start, shapes=shapes, **options)


def _roles() -> Iterator[Case]:
    yield _one(
        "roles/matrix", "a matrix moves by lr·RMS of the whole tensor, here 2", "matrix",
        [4, 0, 0, 0, -4, 0, 0, 0, 4, 0, 0, 0, -4, 0, 0, 0], [0] * 16, [1, -1] * 8,
        shape=(4, 4), flags=("NoRMS", "Roles"),
    )  # fmt: skip
    yield _one(
        "roles/embedding", "each row of an embedding moves by lr·RMS of that row: 2, 1 and not at all", "embedding",
        [4, 0, 0, 0, 1, -1, 1, -1, 0, 0, 0, 0], [0] * 12, [1, -1] * 6,
        shape=(3, 4), flags=("NoRMS", "Roles"),
    )  # fmt: skip
    yield _one(
        "roles/matrix-decay", "decay is lr·RMS·wd·p", "matrix",
        [4, -4, 4, -4], [0] * 4, [-0.25, 0.25, 0, 0],
        hyper={"weight_decay": 0.5}, flags=("NoRMS", "CoupledDecay", "DecayMissing", "ZeroGradient"),
    )  # fmt: skip
    yield _one(
        "roles/embedding-decay", "decay of a row is scaled by the RMS of that row", "embedding",
        [4, -4, 2, 2], [0] * 4, [-0.25, 0.25, 0, 0], shape=(2, 2),
        hyper={"weight_decay": 0.5}, flags=("NoRMS", "DecayMissing", "ZeroGradient"),
    )  # fmt: skip
    for role in ("bias", "scale"):
        yield _one(
            f"roles/{role}", f"a {role} moves by lr/2 and has no decay", role,
            [4, -4, 0, 1], [0] * 4, [1, -1, -1, 0], hyper={"weight_decay": 0.5}, flags=("Roles", "NoRMS"),
        )  # fmt: skip
    yield _one(
        "roles/zero-matrix", "a matrix of zeros has an RMS of zero and stays; its momentum is written", "matrix",
        [0] * 4, [0] * 4, [1, -1, 2, 0], shape=(2, 2), flags=("NoRMS",),
    )  # fmt: skip
    yield _one("roles/zero-bias", "a bias of zeros moves", "bias", [0] * 4, [0] * 4, [1, -1, 2, 0], flags=("Roles",))


def _names() -> Iterator[Case]:
    """Roles read from names: bias, beta and gamma come first, then embeddings."""
    names = (
        "dense/kernel", "dense/bias", "norm/beta", "norm/gamma", "tok/embeddings",
        "bert/embeddings/LayerNorm/gamma", "bert/embeddings/LayerNorm/beta", "embedding/kernel",
        "gamma/kernel", "bias/embeddings", "Norm/Gamma", "beta_gamma",
    )  # fmt: skip
    params = dict.fromkeys(names, (4, 0, 0, 0, 1, -1, 1, -1))
    yield Case(
        "roles/by-name", "the source reads the role from the name, bias, beta and gamma before embeddings",
        _hyper(weight_decay=0.5), params, [dict.fromkeys(names, (1, -1, 1, -1, 1, -1, 1, -1))],
        flags=("Roles", "NoRMS"), shapes=dict.fromkeys(names, (2, 4)),
        requires={"roles": "names"},
    )  # fmt: skip
    more = ("beta/gamma", "LayerNorm/kernel", "head/weight")
    yield Case(
        "roles/by-name-alone", "gamma wins over beta, and a norm's kernel is a matrix like any other",
        _hyper(weight_decay=0.5), dict.fromkeys(more, params[names[0]]),
        [dict.fromkeys(more, (1, -1, 1, -1, 1, -1, 1, -1))], flags=("Roles", "NoRMS"),
        shapes=dict.fromkeys(more, (2, 4)), requires={"roles": "names"},
    )  # fmt: skip
    given = {
        "a/bias": "matrix", "a/embeddings": "matrix", "a/gamma": "bias", "a/kernel": "scale", "b/kernel": "embedding",
    }  # fmt: skip
    yield Case(
        "roles/against-names", "roles that are given win over what the names say",
        _hyper(weight_decay=0.5, roles=given), dict.fromkeys(given, (4, 0, 0, 0, 1, -1, 1, -1)),
        [dict.fromkeys(given, (1, -1, 1, -1, 1, -1, 1, -1))], flags=("Roles", "NoRMS"),
        shapes=dict.fromkeys(given, (2, 4)),
    )  # fmt: skip


def _windows() -> Iterator[Case]:
    grads = ([4, -4, 8, 0], [-2, 2, 8, 0], [1, 1, -32, 0], [1, -1, 0, 4])
    for k in (1, 2, 4):
        yield _one(
            f"windows/{k}", f"{k} micro-steps are one step on their mean gradient", "bias",
            [1, -1, 2, 0], [0] * 4, *grads, hyper={"accumulation_steps": k}, flags=("Window", "MomentumNotWritten"),
        )  # fmt: skip
    yield _one(
        "windows/matrix", "inside a window a matrix stays, at its end it moves by lr·RMS with decay", "matrix",
        [2, -2, 2, -2], [0] * 4, [1, -1, 4, 0], [-3, 3, -1, 0],
        hyper={"accumulation_steps": 2, "weight_decay": 0.5}, flags=("Window", "NoRMS"),
    )  # fmt: skip
    yield _one(
        "windows/momentum", "beta multiplies the momentum once a window, at its first micro-step", "bias",
        [1, -1], [8, -8], [0, 0], [0, 0], [0, 0], [0, 0], hyper={"accumulation_steps": 2}, flags=("Window",),
    )  # fmt: skip


def _nan_rule() -> Iterator[Case]:
    for place, name in enumerate(("first", "middle", "last")):
        grads = [[4.0, -4.0], [2.0, 2.0], [-8.0, 1.0]]
        grads[place] = [_NAN, 1.0]
        grads = [[value * 3 for value in grad] for grad in grads]
        for role in ("bias", "scale", "matrix"):
            yield _one(
                f"nan/{name}-{role}",
                f"a NaN at a window's {name} micro-step keeps the momentum and shrinks the {role} towards its centre",
                role, [2, -2], [16, -16], *grads[: place + 1],
                hyper={"accumulation_steps": 4}, flags=("NaNRule", "Window", "Roles"),
            )  # fmt: skip
    yield _one(
        "nan/without-window", "one NaN is enough for the whole tensor", "scale",
        [2, -1, 3, 1], [1, -1, 0, 2], [_NAN, 1, -1, 0], flags=("NaNRule", "NaN"),
    )  # fmt: skip
    yield _one(
        "nan/then-on", "a NaN does not touch the momentum: the next step is an ordinary one", "bias",
        [0, 0], [1, -1], [_NAN, 1], [1, -4], flags=("NaNRule",),
    )  # fmt: skip
    yield _one(
        "nan/in-a-window", "the other micro-steps of the window still count as their share of it", "bias",
        [0, 0], [8, -8], [4, -4], [_NAN, 1], [4, 8], [-8, 32], hyper={"accumulation_steps": 4},
        flags=("NaNRule", "Window"),
    )  # fmt: skip
    yield _one(
        "nan/opens-a-window", "a NaN at the first micro-step skips the decay of the momentum for that window", "bias",
        [0, 0], [8, -8], [_NAN, 1], [-4, 4], [1, 1], hyper={"accumulation_steps": 2}, flags=("NaNRule", "Window"),
    )  # fmt: skip
    yield Case(
        "nan/other-tensors", "a NaN in one tensor leaves the others to their step",
        _hyper(roles={"a": "bias", "b": "bias"}), {"a": [1, -1], "b": [2, -2]},
        [{"a": [_NAN, 0], "b": [1, -1]}], {"a": [4, 4], "b": [0, 0]}, flags=("NaNRule", "SeveralTensors"),
    )  # fmt: skip
    yield _one(
        "nan/infinity-is-none", "an infinite gradient is not caught: it steps like any other", "bias",
        [1, -1, 2], [0] * 3, [_INF, -_INF, 1], flags=("NaNRule", "Inf"), requires={"nan": "propagate"},
    )  # fmt: skip
    yield _one(
        "nan/rate-does-not-matter", "shrinking ignores the rate", "matrix",
        [2, -2], [1, 1], [_NAN, 1], hyper={"lr": 0.0}, flags=("NaNRule",),
    )  # fmt: skip


def _schedules() -> Iterator[Case]:
    grads = [[1, -1]] * 7
    yield _one(
        "schedule/warm-up", "(0, 0) stands before a first key that is not 0: the first step moves only the momentum",
        "bias", [1, -1], [0, 0], *grads, hyper={"schedule": {4: 1.0}}, flags=("Schedule",),
    )  # fmt: skip
    yield _one(
        "schedule/between-and-after", "linear between the keys, constant after the last", "bias",
        [1, -1], [0, 0], *grads, hyper={"schedule": {0: 1.0, 2: 2.0, 4: 0.5}}, flags=("Schedule",),
    )  # fmt: skip
    yield _one(
        "schedule/micro-steps", "the schedule counts micro-steps, not windows", "bias",
        [1, -1], [0, 0], *grads, hyper={"schedule": {0: 0.0, 4: 1.0}, "accumulation_steps": 2},
        flags=("Schedule", "Window"),
    )  # fmt: skip


def _rounded() -> Iterator[Case]:
    """Ordinary numbers: here orders differ, and what is expected is a set."""
    shapes = {"matrix": (4, 6), "embedding": (4, 6), "bias": (24,), "scale": (24,)}
    for seed, (role, shape) in enumerate(shapes.items()):
        yield _one(
            f"rounded/{role}", "ordinary numbers under the defaults", role,
            ordinary(24, 2000 + seed), ordinary(24, 2100 + seed, 2**-7), ordinary(24, 2200 + seed, 2**-4), shape=shape,
            hyper={"lr": 1e-3, "beta": 0.965, "weight_decay": 0.01, "shrink": 0.99}, flags=("NoRMS", "Roles"),
        )  # fmt: skip
        yield _one(
            f"rounded/{role}-nan", "a NaN under the default shrink of 0.99", role,
            ordinary(24, 2000 + seed), ordinary(24, 2100 + seed, 2**-7), [*ordinary(23, 2200 + seed), _NAN],
            shape=shape, hyper={"lr": 1e-3, "beta": 0.965, "shrink": 0.99}, flags=("NaNRule", "Roles"),
        )  # fmt: skip
        yield _one(
            f"rounded/{role}-decay", "a large rate and decay", role,
            ordinary(24, 2300 + seed), ordinary(24, 2400 + seed), ordinary(24, 2500 + seed), shape=shape,
            hyper={"lr": 0.1, "beta": 0.945, "weight_decay": 2.0, "shrink": 0.99}, flags=("NoRMS", "Roles"),
            dtypes=_WIDE,
        )  # fmt: skip
    for exponent, name in ((40, "huge"), (-40, "tiny")):
        yield _one(
            f"rounded/{name}", f"{name} gradients and momenta, well inside the range", "bias",
            ordinary(12, 2800), ordinary(12, 2801, 2.0**exponent), ordinary(12, 2802, 2.0**exponent),
            hyper={"lr": 1e-3, "beta": 0.965}, dtypes=_WIDE,
        )  # fmt: skip
    for size in (17, 65, 130):
        yield _one(
            f"rounded/size-{size}", f"all {size} elements move, and each once", "bias",
            ordinary(size, 2900), [0] * size, ordinary(size, 2901), hyper={"lr": 1e-2, "beta": 0.965}, flags=("Tail",),
        )  # fmt: skip
    m = ordinary(24, 2600)
    yield _one(
        "rounded/near-zero", "momentum and gradient nearly cancel, more and more closely", "bias",
        ordinary(24, 2610), m, [-0.965 / 0.035 * value * (1 + (i % 12) * 2.0**-22) for i, value in enumerate(m)],
        hyper={"lr": 1e-3, "beta": 0.965}, flags=("NearZero",), dtypes=_WIDE,
    )  # fmt: skip
    yield _one(
        "rounded/schedule", "a factor of one third is rounded at most a few times", "bias",
        ordinary(6, 2700), [0] * 6, ordinary(6, 2710), hyper={"lr": 1e-3, "schedule": {0: 1 / 3}}, flags=("Schedule",),
    )  # fmt: skip
