"""All that makes Tiger, at random and at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.tiger._shapes import MIXED, ROLES, TIGER
from signopt.conformance.checks.values import graded, random, with_nan_in_some
from signopt.conformance.driver import Tensors
from signopt.conformance.session import Run, Session


@check("tiger/everything", rules=TIGER)
def everything(s: Session) -> None:
    """Windows, schedules, roles, decay and NaN at random, all at once, follow the one rule."""
    with s.edge("a NaN gradient"):
        span = 3 if s.storage.name == "float16" else 24
        for _ in range(8):
            scale = 2.0 ** int(s.rng.integers(-span, span + 1))
            run = s.start(random(s, MIXED), _any_hyper(s), _scaled(s, scale))
            for _ in range(9):
                _any_step(s, run, scale)


def _any_hyper(s: Session) -> dict[str, Any]:
    """Hyperparameters at random: window, schedule, roles, rate, decay, β and the factor of the shrinking."""
    first, second = (int(gap) for gap in s.rng.integers(2, 6, 2))
    low, middle, high = (float(factor) for factor in s.rng.uniform(0.25, 2.0, 3))
    beta = float(s.rng.uniform(0.5, 0.97))
    hyper = s.hyper(
        lr=float(2 ** s.rng.uniform(-5, -1)),
        betas=(beta, beta),
        weight_decay=float(s.rng.choice([0.0, 0.3, 1.5])),
        accumulation_steps=int(s.rng.integers(1, 5)),
        shrink=float(s.rng.uniform(0.5, 0.99)),
        schedule=[None, {0: low, first: middle, first + second: high}, {first: middle, first + second: high}][
            s.rng.integers(3)
        ],
    )
    if "given" in s.habits.roles:
        hyper["roles"] = {name: str(s.rng.choice(ROLES)) for name in MIXED}
    return hyper


def _any_step(s: Session, run: Run, scale: float) -> None:
    if s.rng.random() < 0.25:
        run.step(run.near_zero({name: graded(s, p.size, 1).reshape(p.shape) for name, p in run.param.items()}))
    else:
        run.step(with_nan_in_some(s, _scaled(s, scale), 0.15))


def _scaled(s: Session, scale: float) -> Tensors:
    return {name: s.array(scale * values.astype(np.float64)) for name, values in random(s, MIXED).items()}
