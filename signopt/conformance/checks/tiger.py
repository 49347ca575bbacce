"""What makes Tiger: roles, RMS, windows, the NaN rule, the schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import graded, signs, sized
from signopt.conformance.driver import Tensors
from signopt.conformance.session import NotApplicableError, Run, Session

TIGER = ("tiger",)
SHAPES = {
    "dense/kernel": (4, 3),
    "token/embeddings": (5, 3),
    "dense/bias": (6,),
    "norm/beta": (4,),
    "norm/gamma": (4,),
    "conv/kernel": (2, 3, 2),
}
NAMED = {
    "bert/embeddings/LayerNorm/gamma": (3,),
    "bert/embeddings/LayerNorm/beta": (3,),
    "bert/embeddings/word": (4, 3),
    "word_embeddings": (3, 4),
    "embedding/table": (4, 3),
    "beta_head/kernel": (2, 3),
    "gamma_gate/kernel": (2, 3),
    "debiased/kernel": (2, 3),
    "head/Bias": (2, 3),
    "bias/gamma": (3,),
    "gamma/bias": (3,),
    "beta/embeddings": (3,),
    "Dense/Bias": (2, 3),
    "Norm/GAMMA": (3,),
    "Token/Embeddings": (3, 2),
    "encoder/kernel": (3, 3),
    "scale": (4,),
    "beta/gamma": (3,),
    "encoder/LayerNorm/kernel": (2, 3),
    "encoder/LayerNorm/bias": (3,),
    "conv/gamma": (2, 3),
    "conv/bias": (2, 3),
}
GIVEN = {
    "x1": ("matrix", (3, 4)),
    "x2": ("embedding", (3, 4)),
    "x3": ("bias", (3, 4)),
    "x4": ("scale", (3, 4)),
    "dense/kernel": ("embedding", (4, 3)),
    "token/embeddings": ("matrix", (5, 3)),
    "dense/bias": ("matrix", (6,)),
    "norm/beta": ("scale", (4,)),
    "norm/gamma": ("bias", (4,)),
    "conv/kernel": ("scale", (2, 3, 2)),
    "word_embeddings": ("bias", (4, 3)),
    "conv/bias": ("embedding", (3, 4)),
    "conv/gamma": ("matrix", (3, 4)),
}


def _params(s: Session, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> Tensors:
    """Rows of very different sizes, so that the RMS of a row, of the tensor and of an element are far apart."""
    params = {}
    for name, shape in shapes.items():
        values = sized(s, int(np.prod(shape)), -1, 1).reshape(shape)
        rows = 4.0 ** np.resize([0, 1, -1], shape[0]).reshape(-1, *[1] * (len(shape) - 1))
        params[name] = s.array(values * rows)
    return params


def _grads(s: Session, like: Tensors) -> Tensors:
    return {name: s.array(sized(s, p.size).reshape(p.shape)) for name, p in like.items()}


def _probe(s: Session, run: Run) -> None:
    run.step(run.near_zero({name: graded(s, p.size, 1).reshape(p.shape) for name, p in run.param.items()}))


def _with_nan(grads: Tensors, names: Any) -> Tensors:
    for name in names:
        grads[name].reshape(-1)[-1] = np.nan
    return grads


@check("roles/rate", rules=TIGER, profile="core", essential=True)
def roles_rate(s: Session) -> None:
    """The rate is lr·RMS of the tensor for a matrix, lr·RMS of the row for an embedding, lr/2 for a bias or scale."""
    params = _params(s)
    run = s.start(params, s.hyper())
    run.step(_grads(s, params))
    run.step(_grads(s, params))


@check("roles/decay", rules=TIGER, profile="core", essential=True)
def roles_decay(s: Session) -> None:
    """Matrices and embeddings decay by their own rate times λ; biases and scales do not decay at all."""
    params = _params(s)
    run = s.start(params, s.hyper(weight_decay=0.5))
    run.step({name: s.array(signs(s, p.size).reshape(p.shape) * 0.0) for name, p in params.items()})
    run.step(_grads(s, params))


@check("roles/given", rules=TIGER)
def roles_given(s: Session) -> None:
    """Roles that are given decide, whatever the names say and whatever role a name had in an earlier life."""
    if "given" not in s.habits.roles:
        raise NotApplicableError("the port declares that it reads roles from names alone")
    _role_run(s, {name: shape for name, (_, shape) in GIVEN.items()}, {name: role for name, (role, _) in GIVEN.items()})


@check("roles/names", rules=TIGER)
def roles_names(s: Session) -> None:
    """Without given roles the names decide by substring: bias, beta, gamma first, then embeddings, else a matrix."""
    if "names" not in s.habits.roles:
        raise NotApplicableError("the port declares that it takes given roles alone")
    _role_run(s, NAMED, None)


def _role_run(s: Session, shapes: Mapping[str, tuple[int, ...]], roles: Mapping[str, str] | None) -> None:
    params = _params(s, shapes)
    run = s.start(params, s.hyper(weight_decay=0.5, roles=roles, shrink=0.75))
    run.step(_grads(s, params))
    run.step(_with_nan(_grads(s, params), params))
    run.step(_grads(s, params))


@check("rms/matrix", rules=TIGER, essential=True)
def rms_matrix(s: Session) -> None:
    """RMS is sqrt(mean(p²)) of p before the step over the whole tensor, of any rank, without ε."""
    shapes = {f"w{i}/kernel": shape for i, shape in enumerate([(7,), (5, 4), (1, 9), (9, 1), (2, 3, 4), (1,)])}
    far = () if s.storage.name == "float16" else (2.0**-18, 2.0**12)
    for scale in (1.0, 2.0**-7, 2.0**5, *far):
        params = {name: s.array(p.astype(np.float64) * scale) for name, p in _params(s, shapes).items()}
        run = s.start(params, s.hyper(lr=0.25, weight_decay=0.25))
        run.step(_grads(s, params))
        run.step(_grads(s, params))


@check("rms/embedding", rules=TIGER, essential=True)
def rms_embedding(s: Session) -> None:
    """An embedding's RMS is that of each row, along the last axis, of any rank."""
    shapes = {f"e{i}/embeddings": shape for i, shape in enumerate([(6, 4), (4, 1), (1, 5), (3, 2, 4), (5,)])}
    params = _params(s, shapes)
    run = s.start(params, s.hyper(lr=0.25, weight_decay=0.25))
    run.step(_grads(s, params))
    run.step(_grads(s, params))


@check("rms/zero", rules=TIGER)
def rms_zero(s: Session) -> None:
    """A matrix, or a row of an embedding, that is all zero never moves; a single small element makes it move."""
    rows = sized(s, 12).reshape(4, 3)
    rows[1], rows[3] = 0.0, [0.0, 2.0**-6, 0.0]
    params = {"a/kernel": s.array(np.zeros((3, 3))), "b/embeddings": s.array(rows), "c/kernel": s.array(rows)}
    run = s.start(params, s.hyper(lr=0.25, weight_decay=0.5))
    for _ in range(2):
        run.step(_grads(s, params))


@check("window/steps", rules=TIGER, essential=True)
def window_steps(s: Session) -> None:
    """With k micro-steps m decays at the first and takes (1−β)/k of each, and only the last moves the parameter."""
    for k in (2, 3, 4):
        params = _params(s)
        run = s.start(params, s.hyper(betas=(0.75, 0.75), weight_decay=0.25, accumulation_steps=k))
        for _ in range(3 * k):
            run.step(_grads(s, params))


@check("window/probe", rules=TIGER)
def window_probe(s: Session) -> None:
    """At the end of a window the direction is the sign of the momentum, also where it is a few ulp away from zero.

    It starts from a momentum, which the window's gradients join with their share of (1−β)/k: a share that is off by a
    factor would not show in any sign if all came from gradients.
    """
    for k in (2, 5):
        run = s.start(_params(s), s.hyper(accumulation_steps=k), _params(s))
        for micro in range(3 * k):
            if micro % k == k - 1:
                _probe(s, run)
            else:
                run.step(_grads(s, run.param))


@check("window/long", rules=TIGER)
def window_long(s: Session) -> None:
    """After 260 micro-steps windows and schedule are where the count says: it is not cut, rounded or begun anew."""
    shapes = {"a/bias": (3,), "b/kernel": (2,)}
    hyper = s.hyper(lr=0.03125, weight_decay=0.125, accumulation_steps=3, schedule={0: 1.0, 200: 0.5, 262: 2.0})
    run = s.start(_params(s, shapes), hyper)
    for _ in range(264):
        run.step(_grads(s, run.param))


@check("window/mean", rules=TIGER, metamorphic=True)
def window_mean(s: Session) -> None:
    """A window of k micro-steps gives the parameters of one step on the mean gradient, where all is exact."""
    p, grads = s.array(s.rng.integers(1, 5, 12) / 4), s.rng.integers(-4, 5, (4, 12)).astype(np.float64)
    hyper = s.hyper(lr=0.125, betas=(0.5, 0.5))
    whole = s.start({"w/bias": p}, hyper)
    whole.step(s.array(grads.mean(0)))
    run = s.start({"w/bias": p}, {**hyper, "accumulation_steps": 4})
    for grad in grads:
        run.step(s.array(grad))
    s.expect_equal(run.param, whole.param, "a window does not give the step on the mean gradient")


@check("nan/roles", rules=TIGER, profile="core", essential=True)
def nan_roles(s: Session) -> None:
    """A NaN anywhere in a gradient shrinks that whole tensor to its centre, 1 for a scale, else 0; momentum stays."""
    with s.edge("a NaN gradient"):
        params = _params(s)
        run = s.start(params, s.hyper(weight_decay=0.25, shrink=0.875))
        run.step(_grads(s, params))
        run.step(_with_nan(_grads(s, params), params))
        run.step(_grads(s, params))


@check("nan/one-tensor", rules=TIGER)
def nan_one_tensor(s: Session) -> None:
    """Only the tensor whose gradient has the NaN shrinks; the others make their step, and their windows go on."""
    with s.edge("a NaN gradient"):
        for k in (1, 3):
            params = _params(s)
            run = s.start(params, s.hyper(weight_decay=0.25, accumulation_steps=k))
            for name in (*params, *params):
                run.step(_with_nan(_grads(s, params), [name]))


@check("nan/window", rules=TIGER)
def nan_window(s: Session) -> None:
    """A NaN at the first, a middle or the last micro-step shrinks at once and skips what that micro-step would do."""
    with s.edge("a NaN gradient"):
        for places in ((0,), (1,), (2,), (0, 2), (0, 1, 2), (3,), (4,), (2, 3, 4)):
            params = _params(s)
            run = s.start(params, s.hyper(betas=(0.75, 0.75), weight_decay=0.25, accumulation_steps=3, shrink=0.9))
            for micro in range(6):
                grads = _grads(s, params)
                run.step(_with_nan(grads, params) if micro in places else grads)
            run.step(_grads(s, params))


@check("nan/everything", rules=TIGER)
def nan_everything(s: Session) -> None:
    """A gradient of NaN alone, step after step, only shrinks; then the momentum from before goes on."""
    with s.edge("a NaN gradient"):
        params = _params(s)
        run = s.start(params, s.hyper(shrink=0.5))
        run.step(_grads(s, params))
        for _ in range(3):
            run.step({name: s.array(np.full(p.shape, np.nan)) for name, p in params.items()})
        _probe(s, run)


@check("nan/not-inf", rules=TIGER)
def nan_not_inf(s: Session) -> None:
    """Inf is no NaN: it goes into the momentum, and the rest of its tensor makes its step."""
    with s.edge("an infinite gradient"):
        params = _params(s)
        grads = _grads(s, params)
        for grad in grads.values():
            grad.reshape(-1)[0] = np.inf
        run = s.start(params, s.hyper(weight_decay=0.25, shrink=0.5))
        run.step(grads)
        run.step({name: -grad for name, grad in grads.items()})


@check("nan/rate", rules=TIGER)
def nan_rate(s: Session) -> None:
    """The shrinking ignores the rate and the schedule, and the schedule counts its micro-steps."""
    with s.edge("a NaN gradient"):
        params = _params(s)
        run = s.start(params, s.hyper(lr=0.25, shrink=0.75, schedule={4: 0.5, 9: 2.0}))
        for _ in range(3):
            run.step(_with_nan(_grads(s, params), params))
        for name in params:
            run.step(_with_nan(_grads(s, params), [name]))


@check("shrink/given", rules=TIGER)
def shrink_given(s: Session) -> None:
    """The factor of the shrinking is the one given."""
    with s.edge("a NaN gradient"):
        for shrink in (0.99, 0.9, 0.5):
            params = _params(s)
            run = s.start(params, s.hyper(shrink=shrink))
            run.step(_with_nan(_grads(s, params), params))
    for shrink in (1.0, 0.0):
        with s.edge(f"shrink = {shrink}"):
            params = _params(s)
            s.start(params, s.hyper(shrink=shrink)).step(_with_nan(_grads(s, params), params))


SCHEDULES: tuple[dict[int, float], ...] = (
    {0: 1.0},
    {0: 0.25, 3: 1.0},
    {4: 1.0},
    {2: 1.0, 6: 0.5},
    {0: 1.0, 5: 0.125},
    {1: 0.5, 3: 2.0, 4: 0.25},
)


@check("schedule/points", rules=TIGER)
def schedule_points(s: Session) -> None:
    """The factor is linear between its keys, 0 at step 0 if that is no key, and constant after the last."""
    for schedule in SCHEDULES:
        params = _params(s, {"a/kernel": (3, 2), "b/bias": (4,), "c/gamma": (3,), "d/embeddings": (3, 2)})
        run = s.start(params, s.hyper(lr=0.5, schedule=schedule))
        for _ in range(9):
            run.step(_grads(s, params))


@check("schedule/micro-steps", rules=TIGER)
def schedule_micro(s: Session) -> None:
    """The schedule counts micro-steps, not windows."""
    for k in (2, 3):
        params = _params(s, {"a/kernel": (3, 2), "b/bias": (4,)})
        run = s.start(params, s.hyper(lr=0.5, schedule={2: 0.25, 10: 1.0}, accumulation_steps=k))
        for _ in range(5 * k):
            run.step(_grads(s, params))


@check("schedule/decay", rules=TIGER)
def schedule_decay(s: Session) -> None:
    """The factor is on the rate, and so on the decay; never on the momentum."""
    params = _params(s, {"a/kernel": (3, 2), "b/embeddings": (4, 3)})
    run = s.start(params, s.hyper(lr=0.25, weight_decay=1.0, schedule={0: 0.5, 4: 1.0}))
    for _ in range(5):
        run.step(_grads(s, params))
