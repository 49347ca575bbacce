"""A NaN in a gradient shrinks its tensor."""

from __future__ import annotations

import math

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.tiger._shapes import ROLE_NAMES, SHAPES, TIGER
from signopt.conformance.checks.values import plant, probe, random, random_like, uneven
from signopt.conformance.session import Session


@check("nan/roles", rules=TIGER, profile="core", essential=True)
def nan_roles(s: Session) -> None:
    """A NaN anywhere in a gradient shrinks that whole tensor to its centre, 1 for a scale, else 0; momentum stays."""
    with s.edge("a NaN gradient"):
        params = uneven(s, SHAPES)
        run = s.start(params, s.hyper(weight_decay=0.25, shrink=0.875))
        run.step(random_like(s, params))
        run.step(plant(random_like(s, params)))
        run.step(random_like(s, params))


@check("nan/one-tensor", rules=TIGER)
def nan_one_tensor(s: Session) -> None:
    """Only the tensor whose gradient has the NaN shrinks; the others make their step, and their windows go on."""
    with s.edge("a NaN gradient"):
        for k in (1, 3):
            params = uneven(s, SHAPES)
            run = s.start(params, s.hyper(weight_decay=0.25, accumulation_steps=k))
            for name in (*params, *params):
                run.step(plant(random_like(s, params), names=[name]))


@check("nan/window", rules=TIGER)
def nan_window(s: Session) -> None:
    """A NaN at the first, a middle or the last micro-step shrinks at once and skips what that micro-step would do."""
    with s.edge("a NaN gradient"):
        for places in ((0,), (1,), (2,), (0, 2), (0, 1, 2), (3,), (4,), (2, 3, 4)):
            params = uneven(s, SHAPES)
            run = s.start(params, s.hyper(betas=(0.75, 0.75), weight_decay=0.25, accumulation_steps=3, shrink=0.9))
            for micro in range(6):
                grads = random_like(s, params)
                run.step(plant(grads) if micro in places else grads)
            run.step(random_like(s, params))


@check("nan/everything", rules=TIGER)
def nan_everything(s: Session) -> None:
    """A gradient of NaN alone, step after step, only shrinks; then the momentum from before goes on."""
    with s.edge("a NaN gradient"):
        params = uneven(s, SHAPES)
        run = s.start(params, s.hyper(shrink=0.5))
        run.step(random_like(s, params))
        for _ in range(3):
            run.step({name: s.array(np.full(p.shape, np.nan)) for name, p in params.items()})
        probe(s, run, 1)


@check("nan/not-inf", rules=TIGER)
def nan_not_inf(s: Session) -> None:
    """Inf is no NaN: it goes into the momentum, and the rest of its tensor makes its step."""
    with s.edge("an infinite gradient"):
        params = uneven(s, SHAPES)
        grads = random_like(s, params)
        for grad in grads.values():
            grad.reshape(-1)[0] = np.inf
        run = s.start(params, s.hyper(weight_decay=0.25, shrink=0.5))
        run.step(grads)
        run.step({name: -grad for name, grad in grads.items()})


@check("nan/rate", rules=TIGER)
def nan_rate(s: Session) -> None:
    """The shrinking ignores the rate and the schedule, and the schedule counts its micro-steps."""
    with s.edge("a NaN gradient"):
        params = uneven(s, SHAPES)
        run = s.start(params, s.hyper(lr=0.25, shrink=0.75, schedule={4: 0.5, 9: 2.0}))
        for _ in range(3):
            run.step(plant(random_like(s, params)))
        for name in params:
            run.step(plant(random_like(s, params), names=[name]))


@check("shrink/given", rules=TIGER)
def shrink_given(s: Session) -> None:
    """The factor of the shrinking is the one given."""
    with s.edge("a NaN gradient"):
        for shrink in (0.99, 0.9, 0.5):
            params = uneven(s, SHAPES)
            run = s.start(params, s.hyper(shrink=shrink))
            run.step(plant(random_like(s, params)))
    for shrink in (1.0, 0.0):
        with s.edge(f"shrink = {shrink}"):
            params = uneven(s, SHAPES)
            s.start(params, s.hyper(shrink=shrink)).step(plant(random_like(s, params)))


@check("nan/places", rules=TIGER)
def nan_places(s: Session) -> None:
    """A single NaN of either sign at any place, with an Inf beside it or not, shrinks its tensor."""
    shapes = dict.fromkeys(ROLE_NAMES, (5, 13))
    with s.edge("a NaN gradient"):
        run = s.start(random(s, shapes), s.hyper(shrink=0.75))
        for turn, place in enumerate((0, 1, 12, 13, 31, 33, 63, int(s.rng.integers(2, 63)))):
            grads = random(s, shapes)
            plant(grads, [place], math.copysign(math.nan, (-1) ** turn))
            if turn % 3 == 2:
                plant(grads, [place + 1], math.inf)
            run.step(grads)


@check("nan/large", rules=TIGER)
def nan_large(s: Session) -> None:
    """A NaN anywhere in a large tensor shrinks all of it, far from the NaN too."""
    shapes = {"w/kernel": (41, 101), "w/embeddings": (101, 41), "w/bias": (4141,), "w/gamma": (4141,)}
    with s.edge("a NaN gradient"):
        run = s.start(random(s, shapes), s.hyper(shrink=0.5))
        for place in (300, 2100, 4140, int(s.rng.integers(0, 4141))):
            grads = random(s, shapes)
            plant(grads, [place])
            run.step(grads)
