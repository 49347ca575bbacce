"""No check is vacuous, and a vacuous one is found."""

from __future__ import annotations

import numpy as np
import pytest

from signopt.conformance.checks import REGISTRY, Check
from signopt.conformance.evidence.vacuity import lint
from signopt.conformance.oracle.rules import OPTIMIZERS
from tests.long_checks import LONG


def marks(check, rule, at):
    """Every check in every run, of one rule in one dtype, in turn; all else is thorough."""
    if check.id in LONG and at:
        return [pytest.mark.slow]
    number = list(REGISTRY).index(check.id)
    own = [each for each in check.rules if each in OPTIMIZERS]
    in_turn = own[number % len(own)], 0 if check.id in LONG else number // len(own) % 2
    return [] if (rule, at) == in_turn else [pytest.mark.thorough]


CASES = [
    pytest.param(c, rule, dtype, marks=marks(c, rule, at))
    for c in REGISTRY.values()
    for rule in c.rules
    for at, dtype in enumerate(("float32", "bfloat16"))
    if rule in OPTIMIZERS
]


@pytest.mark.parametrize(("check", "rule", "dtype"), CASES, ids=lambda value: getattr(value, "id", value))
@pytest.mark.one_in(4)
def test_no_check_is_vacuous(check, rule, dtype):
    found = lint(check, rule, dtype)
    assert not found.vacuous, found


def planted(identifier, function):
    return Check(identifier, "a planted check", function)


def below_the_rounding(s):
    s.start({"w/bias": s.array(np.full(8, 2.0**30))}, s.hyper(lr=1e-4)).step(s.array(np.ones(8)))


def within_the_band(s):
    run = s.start(np.ones(8), s.hyper(), np.ones(8))
    run.step(run.near_zero(np.full(8, 2.0**-40)))


def decay_below_the_rounding(s):
    s.start(np.ones(8), s.hyper(lr=0.1, weight_decay=1e-9)).step(s.array(np.ones(8)))


def nothing_judged(s):
    s.start(np.ones(8), s.hyper())


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (planted("step/planted", below_the_rounding), "wrong sign"),
        (planted("step/planted", within_the_band), "wrong sign"),
        (planted("decay/planted", decay_below_the_rounding), "missing decay"),
        (planted("step/planted", nothing_judged), "judges nothing"),
    ],
    ids=["slack-above-rate", "band-only", "slack-above-decay", "no-step"],
)
@pytest.mark.parametrize("rule", ["lion", "signum"])
def test_a_vacuous_check_is_found(check, reason, rule):
    assert reason in lint(check, rule, "float32").vacuous
