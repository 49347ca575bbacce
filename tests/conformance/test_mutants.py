"""Every mutant is wrong somewhere in its rule's domain, and no right port is: judged without the suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import RIGHT_PORTS, Variant
from signopt.conformance.oracle.rules import SIGN_RULES

FIELD = {
    "lion": {
        "sign-mask-minus-one",
        "sign-copysign",
        "sign-not-positive-is-minus",
        "optimisers-jl",
        "decay-coupled",
    }
    | {"decay-lr-over-lr0", "decay-without-lr", "first-step-repeated", "cautious", "betas-beta2-999"},
    "signum": {"momentum-reset", "decay-missing", "beta-zero"},
    "tiger": {"signum", "signsgd", "rms-everywhere", "nan-by-element", "no-op", "role-bias-as-matrix"},
}
BETAS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "lion": ({"betas": (0.9, 0.99)}, {"betas": (0.8125, 0.9531)}, {"betas": (0.5, 0.75)}),
    "signum": ({"beta": 0.9}, {"beta": 0.7}, {"beta": 0.5}),
    "tiger": ({"beta": 0.965}, {"beta": 0.8}, {"beta": 0.5}),
}
WINDOWS: tuple[dict[str, Any], ...] = (
    {"accumulation_steps": 1, "shrink": 0.99, "schedule": None},
    {"accumulation_steps": 3, "shrink": 0.9, "schedule": {4: 1.0, 5: 0.25, 7: 2.0}},
    {"accumulation_steps": 2, "shrink": 0.5, "schedule": {0: 0.5, 4: 1.0}},
)


ROLES = {"t1": "bias", "t2": "embedding"}


@dataclass(frozen=True)
class Scene:
    """A short run: parameters, and for each step its hyperparameters and gradients."""

    params: dict[str, np.ndarray]
    momentum: dict[str, np.ndarray] | None
    steps: tuple[tuple[dict[str, Any], dict[str, np.ndarray]], ...]


SHAPES: Mapping[str, tuple[int, ...]] = {
    "w10": (3, 5),
    "w2": (4, 4),
    "layer/bias": (6,),
    "layer/kernel": (5,),
    "norm/gamma": (7,),
    "norm/beta": (3,),
    "norm/Beta": (4, 2),
    "tok/embeddings": (4, 3),
    "embeddings/LayerNorm/gamma": (5,),
    "beta_net/embedding/kernel": (2, 3),
    "word/embedding/kernel": (3, 2),
    "scalar": (),
    "single": (1,),
    "hole": (0,),
    **{f"t{i}": (5,) for i in range(11)},
}
ODD: Mapping[str, tuple[int, ...]] = {
    "a/w": (2, 3),
    "b/w": (2, 3),
    "square/embeddings": (3, 3),
    "deep/embeddings": (2, 3, 2),
    "cube": (2, 2, 2),
}
AGAINST: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "a/bias": ("matrix", (4, 3)),
    "a/embeddings": ("matrix", (4, 3)),
    "a/gamma": ("bias", (4,)),
    "a/kernel": ("scale", (3,)),
}
NAMED: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "beta/gamma": ("scale", (4,)),
    "LayerNorm/kernel": ("matrix", (4, 3)),
}
PLACED: Mapping[str, tuple[int, ...]] = dict.fromkeys(("a/kernel", "b/embeddings", "c/bias", "d/gamma"), (42, 25))
BLOCKS: Mapping[str, tuple[int, ...]] = {"a/kernel": (2, 550), "a/embeddings": (300, 3), "b/embeddings": (2, 140)}
LONG: Mapping[str, tuple[int, ...]] = {"a/bias": (3,)}
MANY: Mapping[str, tuple[int, ...]] = {f"w{i}": (2,) for i in range(40)}
SIZES: Mapping[str, tuple[int, ...]] = {"odd": (31,), "rest": (45,), "block": (1043,), "large": (65_539,)}


def hyper_of(rule: str, i: int, lr: float, wd: float) -> dict[str, Any]:
    hyper = {"lr": lr, "weight_decay": wd, **BETAS[rule][i]}
    return {**hyper, **WINDOWS[i], "roles": ROLES} if rule == "tiger" else hyper


def tensors(rng: np.random.Generator, shapes: Mapping[str, tuple[int, ...]], dtype: str) -> dict[str, np.ndarray]:
    return {name: np.asarray(3 * rng.standard_normal(shape), dtype) for name, shape in shapes.items()}


def strided(grads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same gradients, as every second element of a wider array, or in Fortran order."""
    wide = {name: np.repeat(g[..., None], 2, axis=-1) for name, g in grads.items()}
    for spare in wide.values():
        spare[..., 1] = -7
    return {name: np.asfortranarray(g) if g.shape == (3, 5) else wide[name][..., 0] for name, g in grads.items()}


def odd_hyper(rule: str) -> dict[str, Any]:
    hyper = hyper_of(rule, 0, 0.02, 0.3)
    return {**hyper, "roles": None, "schedule": {10: 0.25, 0: 0.5, 9: 2.0}} if rule == "tiger" else hyper


def backwards(rng: np.random.Generator, dtype: str) -> dict[str, np.ndarray]:
    return dict(reversed(tensors(rng, ODD, dtype).items()))


def with_specials(grads: dict[str, np.ndarray], t: int) -> dict[str, np.ndarray]:
    """The same gradients with a NaN here, infinities there, zeros and subnormals."""
    grads = {name: g.copy() for name, g in grads.items()}
    tiny = np.finfo(grads["t0"].dtype).smallest_subnormal
    if t in (1, 3, 4, 8):
        grads["t3"][2] = grads["w10"][1, 2] = grads["norm/gamma"][3] = grads["layer/bias"][0] = np.nan
        grads["t4"][:] = np.nan
    grads["t5"][:2] = np.inf, -np.inf
    grads["w2"][0, 0] = np.inf
    grads["t6"][:3] = 0.0, -0.0, 100 * tiny
    grads["t7"][:] = 5e4
    return grads


@cache
def scenes(rule: str, dtype: str) -> tuple[Scene, ...]:
    return tuple(_scenes(rule, dtype))


def _scenes(rule: str, dtype: str) -> Iterator[Scene]:
    rng = np.random.default_rng(7)
    for i, (lr, wd) in enumerate(((0.02, 0.3), (0.0123, 3.1), (0.3, 0.0))):
        params = tensors(rng, SHAPES, dtype)
        for name in ("t8", "t9", "norm/beta"):
            params[name][:] = 0
        params["t10"][:] = 1e-9
        hyper = hyper_of(rule, i, lr, wd)
        later = {**hyper, "lr": 3 * lr, "weight_decay": 2 * wd, **BETAS[rule][(i + 1) % 3]}
        grads = [tensors(rng, SHAPES, dtype) for _ in range(9)]
        momentum = tensors(rng, SHAPES, dtype)
        hypers = [hyper] * 5 + [later] * 4
        yield Scene(params, None, tuple(zip(hypers, grads, strict=True)))
        yield Scene(params, momentum, tuple(zip(hypers, map(strided, grads), strict=True)))
        special = (with_specials(g, t) for t, g in enumerate(grads))
        yield Scene(params, momentum, tuple(zip(hypers, special, strict=True)))
    small = {name: value * np.finfo(dtype).tiny * 0.01 for name, value in tensors(rng, SHAPES, dtype).items()}
    null = {name: np.zeros_like(value) for name, value in small.items()}
    yield Scene(small, null, ((hyper_of(rule, 0, 1e-40 if dtype == "float32" else 1e-310, 0.0), small),))
    yield Scene(null, null, ((hyper_of(rule, 0, 0.01, 0.1), small),) * 2)
    yield Scene(null, null, ((hyper_of(rule, 0, 0.01, 0.1), null),) * 2)
    yield Scene(
        null,
        {name: value * 1e-12 for name, value in momentum.items()},
        ((hyper_of(rule, 0, 0.01, 0.1), null),) * 3,
    )
    yield Scene(params, None, ((hyper_of(rule, 0, 0.01, 0.1), null),) * 3)
    yield Scene(tensors(rng, ODD, dtype), None, tuple((odd_hyper(rule), backwards(rng, dtype)) for _ in range(12)))
    zero = {"betas": (0.0, 0.0)} if rule == "lion" else {"beta": 0.0}
    yield Scene(
        tensors(rng, ODD, dtype), None, tuple((odd_hyper(rule) | zero, backwards(rng, dtype)) for _ in range(2))
    )
    yield Scene(params, momentum, ((hyper_of(rule, 0, 0.0, 0.1), grads[0]),) * 3)
    for lr, wd in ((3.0, 20.0), (0.7, 5e-5)):
        yield Scene(params, momentum, ((hyper_of(rule, 0, lr, wd), grads[0]),))
    near = {"t0": np.asarray(2.0 ** (np.finfo(dtype).nmant - 1) + np.arange(5), dtype)}
    yield Scene(near, near, ((hyper_of(rule, 2, 0.5, 0.0), {"t0": 1 - near["t0"]}),))
    yield Scene(tensors(rng, MANY, dtype), None, ((hyper_of(rule, 0, 0.02, 0.3), tensors(rng, MANY, dtype)),) * 2)
    yield _outlier(rule, dtype)
    if rule == "tiger":
        yield from _tiger_scenes(rng, dtype)
    minus = {name: np.full_like(value, -0.0) for name, value in params.items()}
    yield Scene(params, minus, ((hyper_of(rule, 0, 0.01, 0.1), minus),))
    sized = tensors(rng, SIZES, dtype)
    yield Scene(sized, tensors(rng, SIZES, dtype), ((hyper_of(rule, 0, 0.02, 0.3), tensors(rng, SIZES, dtype)),))


def _outlier(rule: str, dtype: str) -> Scene:
    """500 steps alike, one with a gradient 50 times as large, and some more."""
    params = {"t1": np.asarray([1.0, -2.0], dtype)}
    scales = [1.0] * 502 + [50.0] + [1.0] * 5
    hyper = hyper_of(rule, 0, 0.01, 0.0)
    return Scene(params, None, tuple((hyper, {"t1": np.asarray([scale, scale], dtype)}) for scale in scales))


def _tiger_scenes(rng: np.random.Generator, dtype: str) -> Iterator[Scene]:
    """Roles against names, hyperparameters that change, rows, places, and sizes where blocks end."""
    hyper = hyper_of("tiger", 0, 0.02, 0.3) | {"roles": None}
    for shapes, given in ((AGAINST, {name: role for name, (role, _) in AGAINST.items()}), (NAMED, None)):
        params = {name: tensors(rng, {name: shape}, dtype)[name] for name, (_, shape) in shapes.items()}
        grads = {name: np.ones_like(p) for name, p in params.items()}
        broken = {name: np.full_like(p, np.nan) for name, p in params.items()}
        yield Scene(params, None, tuple((hyper | {"roles": given}, each) for each in (grads, broken)))
    params = tensors(rng, PLACED, dtype)
    params["b/embeddings"] = np.asfortranarray(params["b/embeddings"])
    yield Scene(params, None, tuple(_changing(rng, hyper, dtype)))
    yield Scene(params, None, tuple(_placed(rng, hyper, dtype)))
    params = {name: p * 1e4 for name, p in params.items()}
    params["c/bias"][3] = np.nan
    grads = tensors(rng, PLACED, dtype)
    for grad in grads.values():
        grad[::2, 1:] = np.inf
    grads["b/embeddings"][1] = 0
    opposed = {name: -grad for name, grad in grads.items()}
    yield Scene(params, tensors(rng, PLACED, dtype), tuple((hyper | {"lr": 1e-5}, each) for each in (grads, opposed)))
    long = hyper | {"accumulation_steps": 3}
    pushes = [{name: 1e5 * g for name, g in tensors(rng, LONG, dtype).items()} for _ in range(258)]
    yield Scene(tensors(rng, LONG, dtype), None, tuple((long, grads) for grads in pushes))
    params = tensors(rng, BLOCKS, dtype)
    for p in params.values():
        p[:, -1:] *= 8
    yield Scene(params, None, ((hyper, tensors(rng, BLOCKS, dtype)),))


def _changing(rng: np.random.Generator, hyper: dict[str, Any], dtype: str) -> Iterator[tuple[dict[str, Any], Any]]:
    for change in (
        {"accumulation_steps": 2},
        {"accumulation_steps": 3, "lr": 0.3},
        {"schedule": {0: 0.5, 9: 2.0}, "lr": 0.1},
        {"schedule": {20: 1.0}, "shrink": 0.5},
    ):
        hyper = hyper | change
        for turn in range(3):
            grads = tensors(rng, PLACED, dtype)
            if turn == 1 and "shrink" in change:
                grads["a/kernel"][2, 2] = np.nan
            yield hyper, grads


def _placed(rng: np.random.Generator, hyper: dict[str, Any], dtype: str) -> Iterator[tuple[dict[str, Any], Any]]:
    hyper = hyper | {"accumulation_steps": 2, "schedule": {9: 1.0}}
    for place, value in ((40, np.nan), (41, -np.nan), (31, np.nan), (1030, -np.nan), (64, np.nan)):
        grads = tensors(rng, PLACED, dtype)
        for grad in grads.values():
            grad.reshape(-1)[place] = value
            if place == 31:
                grad[0, 0] = np.inf
        yield hyper, grads
        yield hyper, {name: np.asfortranarray(grad) for name, grad in tensors(rng, PLACED, dtype).items()}


def run(port: Any, scene: Scene) -> Iterator[np.ndarray]:
    """All that the port shows after each step, flat: gradients changed or not, parameters, momentum."""
    last = scene.steps[0][0]
    port.init(scene.params, last, scene.momentum)
    for hyper, grads in scene.steps:
        if hyper is not last:
            port.configure(hyper)
        last = hyper
        handed = {name: g.copy(order="K") if g.flags.c_contiguous else g for name, g in grads.items()}
        before = flat(handed)
        port.step(handed)
        changed = not np.array_equal(before, flat(handed), equal_nan=True)
        yield np.concatenate([[float(changed)], flat(port.params()), flat(port.momentum() or {})])


def flat(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(np.ravel(value).astype(np.float64) for value in arrays.values())])


@cache
def truths(rule: str, dtype: str) -> list[list[list[np.ndarray]]]:
    """For each scene what several right ports give."""
    ids = {"plain", "decay-first", "lerp", "difference", "no-decay-branch"}
    ports = [right for right in RIGHT_PORTS[rule] if right.id in ids]
    return [[list(run(port(), scene)) for port in ports] for scene in scenes(rule, dtype)]


@cache
def slacks(rule: str, dtype: str) -> list[list[np.ndarray]]:
    """For each scene and step 64 units of rounding of every number."""
    return [
        [_slack(scene, t, dtype, truth[0][t]) for t in range(len(scene.steps))]
        for scene, truth in zip(scenes(rule, dtype), truths(rule, dtype), strict=True)
    ]


def _slack(scene: Scene, t: int, dtype: str, plain: np.ndarray) -> np.ndarray:
    p = np.abs(flat(scene.params))
    p = p + sum(hyper["lr"] for hyper, _ in scene.steps[: t + 1]) * (1 + scene.steps[-1][0]["weight_decay"] * p)
    m = sum(np.abs(np.nan_to_num(flat(grads), posinf=0, neginf=0)) for _, grads in scene.steps[: t + 1])
    m = m + np.abs(flat(scene.momentum)) if scene.momentum else m
    info = np.finfo(dtype)
    slack = 64 * info.eps * np.concatenate([[0.0], p, m]) + 4 * float(info.smallest_subnormal)
    return np.where(plain == 0, 0.0, slack) if t == 0 else slack


def departs(got: np.ndarray, right: np.ndarray, slack: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return ~((np.abs(got - right) <= slack) | (got == right) | (np.isnan(got) & np.isnan(right)))


def is_wrong(rule: str, dtype: str, i: int, port: Any) -> bool:
    """Whether in scene ``i`` some number is far, in units of rounding, from what every right port gives."""
    right, scene = truths(rule, dtype)[i], scenes(rule, dtype)[i]
    if i in (0, 6):  # a second life of the port, after a first
        list(run(port, scene))
    for t, got in enumerate(run(port, scene)):
        n = len(got)
        if np.any(np.all([departs(got, truth[t][:n], slacks(rule, dtype)[i][t][:n]) for truth in right], axis=0)):
            return True
    return False


def is_wrong_somewhere(variant: Variant, dtype: str) -> bool:
    return any(is_wrong(variant.rule, dtype, i, variant()) for i in range(len(scenes(variant.rule, dtype))))


def of_signs(table: Mapping[str, tuple[Variant, ...]]) -> dict[str, tuple[Variant, ...]]:
    """The sign rules of a table: the scenes are theirs. Those of Muon are tried in test_muon.py."""
    return {rule: table[rule] for rule in SIGN_RULES}


SOME = 12
"""Every so many-th mutant is tried in each run of the tests, and twice as many right ports; -m thorough has all."""


def variants(table: Mapping[str, tuple[Variant, ...]], some: int = 1, most: int = 2) -> list[Any]:
    """Every variant in the first ``most`` of its dtypes; all but one of ``some`` in one dtype are thorough."""
    return [
        pytest.param(
            variant, dtype, id=f"{rule}-{variant.id}-{dtype}", marks=pytest.mark.thorough if at % some or i else []
        )
        for rule, all_ in table.items()
        for at, variant in enumerate(all_)
        for i, dtype in enumerate(variant.dtypes[:most])
        if dtype in ("float32", "float64")
    ]


@pytest.mark.parametrize(("variant", "dtype"), variants(of_signs(MUTANTS), SOME, 1))
@pytest.mark.one_in(4)
def test_every_mutant_is_wrong_somewhere(variant: Variant, dtype: str) -> None:
    if variant.id in {"tensor-by-position", "tensor-by-given-order"}:
        with pytest.raises(ValueError, match="shape"):
            is_wrong_somewhere(variant, dtype)
    else:
        assert is_wrong_somewhere(variant, dtype)


@pytest.mark.parametrize(("variant", "dtype"), variants(of_signs(RIGHT_PORTS), SOME // 2))
@pytest.mark.one_in(4)
def test_no_right_port_is_wrong(variant: Variant, dtype: str) -> None:
    declares = {"hyper", "momentum_dtype", "roles"} & set(variant.pieces.get("declared", ()))
    if (
        declares
        or variant.id in {"refuses-edges", "subnormals-flushed", "sign-nan-zero", "momentum-narrow-hidden"}
        or "unsettable" in variant.id
    ):
        pytest.skip("declares or refuses what these scenes contain")
    long = len(scenes(variant.rule, dtype)) - 1
    few = range(long if variant.id == "rms-in-dtype" else long + 1)
    assert not [i for i in few if is_wrong(variant.rule, dtype, i, variant())]


@pytest.mark.parametrize("rule", MUTANTS)
def test_there_are_enough_and_their_names_are_unique(rule: str) -> None:
    mutants, right = MUTANTS[rule], RIGHT_PORTS[rule]
    assert len(mutants) >= 60
    assert len(right) >= 15
    assert len({m.id for m in mutants}) == len(mutants)
    assert len({r.id for r in right}) == len(right)


@pytest.mark.parametrize("rule", FIELD)
def test_the_bugs_of_real_ports_are_among_them(rule: str) -> None:
    assert FIELD[rule] <= {m.id for m in MUTANTS[rule]}
