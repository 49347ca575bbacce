"""Acceptance: no legal evaluation is ever accused, and the bounds are not far above what legal evaluations do."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from signopt.conformance.oracle.arithmetic import FORMS, Arithmetic, sign
from signopt.conformance.oracle.formats import FORMATS, compute_format
from signopt.conformance.oracle.judge import judge, judge_shrink
from signopt.conformance.oracle.momentum import Momentum
from signopt.conformance.oracle.rules.lion import LION
from signopt.conformance.oracle.rules.tiger import TIGER
from signopt.conformance.oracle.sieve import plainly_legal, plainly_shrunk

RELAXED = {"derandomize": True, "deadline": None, "suppress_health_check": list(HealthCheck)}


def fma_other(x, b, a, m, g):
    return x.fma(b, m, x.mul(a, g))


def lerp_other_end(x, b, a, m, g):
    return x.sub(g, x.mul(b, x.sub(g, m)))


ALL_FORMS = {**FORMS, "fma-other": fma_other, "lerp-other-end": lerp_other_end}


def bracket(x, p, s, lr, wd):
    return x.sub(p, x.mul(lr, x.add(s, x.mul(wd, p))))


def bracket_fused(x, p, s, lr, wd):
    return x.fma(-lr, x.fma(wd, p, s), p)


def first(x, p, s, lr, wd):
    return x.sub(x.mul(p, x.sub(1.0, x.mul(lr, wd))), x.mul(lr, s))


def first_fused(x, p, s, lr, wd):
    return x.fma(-lr, s, x.mul(p, x.fma(-lr, wd, 1.0)))


def step_then_decay(x, p, s, lr, wd):
    return x.sub(x.sub(p, x.mul(lr, s)), x.mul(x.mul(lr, wd), p))


def subtract_decay_first(x, p, s, lr, wd):
    return x.sub(x.sub(p, x.mul(x.mul(p, wd), lr)), x.mul(s, lr))


def two_terms(x, p, s, lr, wd):
    return x.sub(p, x.add(x.mul(lr, s), x.mul(lr, x.mul(wd, p))))


MOVES = (bracket, bracket_fused, first, first_fused, step_then_decay, subtract_decay_first, two_terms)
BETAS = st.sampled_from([0.0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999]) | st.floats(0, 0.9999)
RATES = st.sampled_from([1e-4, 0.125, 0.1, 1.0, 1e-8]) | st.floats(1e-8, 1.0)
DECAYS = st.sampled_from([0.0, 0.25, 0.01, 2.0]) | st.floats(0, 10)


@st.composite
def cases(draw):
    """A storage dtype, the arithmetic of a port on it, hyperparameters and one element."""
    storage = FORMATS[draw(st.sampled_from(list(FORMATS)))]
    native = storage.precision < 24 and draw(st.booleans())
    compute = storage if native else compute_format(storage)
    wide = not native and draw(st.booleans()) and compute.name == "float32"
    span = 12 if storage.name == "float16" else draw(st.sampled_from([3, 30, 100]))
    number = st.floats(-1, 1).flatmap(lambda v: st.integers(-span, span).map(lambda e: storage.cast(v * 2.0**e)))
    short = st.integers(-16, 16).map(lambda n: n / 8)
    p, m = draw(number | short), draw(number | short)
    beta1, beta2 = draw(BETAS), draw(BETAS)
    g = draw(number | short)
    if draw(st.booleans()) and beta1:
        delta = draw(st.integers(-8, 8)) * float(compute.unit)
        g = storage.cast(-beta1 * m / (1 - beta1) * (1 + delta))
    hyper = {"lr": draw(RATES), "weight_decay": draw(DECAYS), "betas": (beta1, beta2)}
    limit = float(compute.largest) / 16
    assume(all(abs(v) < limit for v in (p, m, g)))
    return storage, native, Arithmetic(FORMATS["float64"] if wide else compute), hyper, p, g, m


def coefficients(x, compute, beta, complement):
    """β and 1−β as ports form them: from binary64, or the one from the other in the dtype."""
    if complement == "double":
        return x.format.cast(beta), x.format.cast(1.0 - beta)
    b = compute.cast(beta)
    return x.format.cast(b), Arithmetic(compute).sub(1.0, b)


def evaluate(x, compute, hyper, form, complement, move, p, g, m):
    c, new_m = (form(x, *coefficients(x, compute, beta, complement), m, g) for beta in hyper["betas"])
    return move(x, p, sign(c), x.format.cast(hyper["lr"]), x.format.cast(hyper["weight_decay"])), new_m


def law_and_rate(storage, native, hyper, p, g):
    habits = LION.habits(compute="storage" if native else "float32")
    param, grad = (np.array([v]).astype(storage.dtype) for v in (p, g))
    law = LION.law(habits, hyper, "w", param, grad, 0)
    return law, law.rate_at(0)


def assert_legal(case, form, complement, move):
    storage, native, x, hyper, p, g, m = case
    compute = storage if native else compute_format(storage)
    new_p, new_m = (storage.cast(v) for v in evaluate(x, compute, hyper, form, complement, move, p, g, m))
    law, rate = law_and_rate(storage, native, hyper, p, g)
    judged = judge(law, p, g, (m, m), storage, rate)
    assert new_p in judged.param, (judged, new_p.hex())
    assert new_m in judged.momentum, (judged, new_m.hex())
    sieved = plainly_legal(law, *arrays(p, g), momentum(m, storage), *arrays(new_p, new_m))
    assert sieved.shape == (1,)


def arrays(*values):
    return [np.array([v]) for v in values]


def momentum(m, storage):
    return Momentum.shown(np.array([m]), storage)


orders = (st.sampled_from(list(ALL_FORMS.values())), st.sampled_from(["double", "dtype"]), st.sampled_from(MOVES))


@settings(max_examples=150, **RELAXED)
@given(cases(), *orders)
def test_no_legal_order_is_accused(case, form, complement, move):
    assert_legal(case, form, complement, move)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=10_000, **RELAXED)
@given(cases(), *orders)
def test_no_legal_order_is_accused_in_ten_thousand(case, form, complement, move):
    assert_legal(case, form, complement, move)


@settings(max_examples=250, **RELAXED)
@given(cases(), st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 50.0]), st.sampled_from([-1, 1]), st.booleans())
def test_the_sieve_accepts_nothing_that_the_judgement_rejects(case, ulps, side, which):
    storage, native, x, hyper, p, g, m = case
    compute = storage if native else compute_format(storage)
    new_p, new_m = evaluate(x, compute, hyper, FORMS["mul-add"], "double", bracket, p, g, m)
    moved = storage.cast(new_p + side * ulps * (abs(new_p) + 1e-30) * float(2 * storage.unit) * which)
    kept = storage.cast(new_m + side * ulps * (abs(new_m) + 1e-30) * float(2 * storage.unit) * (not which))
    law, rate = law_and_rate(storage, native, hyper, p, g)
    judged = judge(law, p, g, (m, m), storage, rate)
    if plainly_legal(law, *arrays(p, g), momentum(m, storage), *arrays(moved, kept))[0]:
        assert moved in judged.param
        assert kept in judged.momentum


@settings(max_examples=150, **RELAXED)
@given(cases(), st.sampled_from([0.0, 0.5, 0.875, 0.99, 1.0]), st.booleans(), st.integers(-3, 3))
def test_shrinking_in_either_form_is_legal(case, shrink, scale, ulps):
    storage, native, x, hyper, p, _, _ = case
    hyper = {**hyper, "beta": 0.9, "accumulation_steps": 1, "shrink": shrink, "schedule": None}
    hyper["roles"] = {"w": "scale" if scale else "matrix"}
    habits = TIGER.habits(compute="storage" if native else "float32")
    param, grad = (np.array([v]).astype(storage.dtype) for v in (p, math.nan))
    law = TIGER.law(habits, hyper, "w", param, grad, 0)
    centre, s = float(scale), x.format.cast(shrink)
    there = storage.cast(x.add(x.mul(x.sub(p, centre), s), centre))
    other = storage.cast(x.add(x.mul(s, p), x.mul(x.sub(1.0, s), centre)))
    allowed = judge_shrink(law, p)
    assert there in allowed
    assert other in allowed
    off = storage.cast(there + ulps * abs(there) * float(2 * storage.unit))
    if plainly_shrunk(law, *arrays(p, off))[0]:
        assert off in allowed


def wide_law(beta=0.9, lr=0.1, weight_decay=0.0):
    return law_and_rate(
        FORMATS["float32"], False, {"lr": lr, "betas": (beta, 0.99), "weight_decay": weight_decay}, 1, 1
    )


@pytest.mark.parametrize("form", ALL_FORMS)
@pytest.mark.one_in(4)
def test_the_bound_is_within_a_small_factor_of_what_legal_orders_reach(form):
    law, _ = wide_law()
    x, rng, worst = Arithmetic(FORMATS["float32"]), np.random.default_rng(0), 0.0
    for m in rng.standard_normal(2000).astype(np.float32).tolist():
        g = float(np.float32(-9 * m * (1 + 3e-7 * rng.standard_normal())))
        for complement in ("double", "dtype"):
            b, a = coefficients(x, x.format, 0.9, complement)
            exact = law.direction[0] * Fraction(m) + law.direction[1] * Fraction(g)
            error = abs(Fraction(ALL_FORMS[form](x, b, a, m, g)) - exact)
            bound = (law.units.uc + 2 * law.units.u * Fraction(9, 10)) * (abs(Fraction(m)) + abs(Fraction(g)))
            worst = max(worst, float(error / bound))
    assert 0.05 < worst <= 1


def judged(p=1.0, g=1.0, m=0.0, **hyper):
    law, rate = wide_law(**hyper)
    return judge(law, p, g, (m, m), FORMATS["float32"], rate)


def test_regions():
    tiny = 2.0**-140
    assert judged(g=0.0).region == "zero"
    assert judged(g=1.0).region == "clear"
    assert judged(g=-9.0, m=1.0).region == "band"
    assert judged(g=-1.0, m=1.0, beta=0.5).region == "zero"
    assert judged(g=tiny).region == "subnormal"
    assert judged(g=math.inf).region == "nonfinite"
    assert judged(g=math.nan).region == "nonfinite"


def test_the_band_allows_the_three_candidates_and_nothing_between():
    allowed = judged(p=1.0, g=-9.0, m=1.0, lr=0.125).param
    assert [v in allowed for v in (0.875, 1.0, 1.125)] == [True] * 3
    assert [v in allowed for v in (0.9, 0.95, 1.05, 1.2, math.nan)] == [False] * 5


def test_the_exact_class_allows_one_value_alone():
    allowed = judged(p=1.5, g=1.0, m=0.5, beta=0.5, lr=0.125, weight_decay=0.25)
    exact = 1.5 - 0.125 * 1.375
    assert exact in allowed.param
    assert float(np.nextafter(np.float32(exact), np.float32(2))) not in allowed.param


def test_decay_that_vanishes_from_one_minus_lr_wd_in_the_dtype_is_legal_and_a_missing_larger_one_is_not():
    p = 1.0
    small, large = (judged(p=p, g=0.0, lr=0.1, weight_decay=wd).param for wd in (1e-8, 1e-5))
    assert p in small
    assert p not in large


def test_a_parameter_does_not_move_by_less_than_the_rate_where_it_is_clear():
    allowed = judged(p=0.0, g=1.0, lr=0.1).param
    assert -float(np.float32(0.1)) in allowed
    assert -float(np.float16(0.1)) not in allowed


def test_inf_keeps_its_sign_or_becomes_nan():
    result = judged(p=1.0, g=math.inf, lr=0.125)
    assert 0.875 in result.param
    assert math.nan in result.param
    assert 1.125 not in result.param
    assert math.inf in result.momentum
    assert math.nan in result.momentum
    assert -math.inf not in result.momentum


def test_tensors_whose_squares_leave_the_range_are_judged_in_their_momentum_alone():
    habits = TIGER.habits(compute="storage")
    hyper = {"lr": 0.1, "beta": 0.5, "weight_decay": 0.0, "accumulation_steps": 1, "schedule": None, "roles": None}
    params = {name: np.full((3, 2), 2.0**-13, np.float16) for name in ("a/embeddings", "b/embeddings", "c/kernel")}
    grads = {name: np.ones((3, 2), np.float16) for name in params}
    [(law, names)] = TIGER.laws(habits, hyper, params, grads, 0)
    assert names == list(params)
    assert [law.rate_at(index)[0] > 0 for index in range(18)] == [True] * 18
    result = judge(law, 2.0**-13, 1.0, (0.0, 0.0), FORMATS["float16"], law.rate_at(17))
    assert 123.0 in result.param
    assert 0.25 not in result.momentum


def test_an_enclosed_momentum_allows_what_any_momentum_in_it_would():
    law, rate = wide_law(beta=0.5, lr=0.125)
    wide = judge(law, 1.0, -1.0, (0.5, 2.0), FORMATS["float32"], rate)
    narrow = judge(law, 1.0, -1.0, (1.5, 2.0), FORMATS["float32"], rate)
    assert wide.signs == (-1, 0, 1)
    assert narrow.signs == (1,)
