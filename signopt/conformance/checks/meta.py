"""A port compared with itself: transformed inputs give transformed results."""

from __future__ import annotations

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import exact_class, sized
from signopt.conformance.driver import Tensors
from signopt.conformance.oracle.rules import SCALE_FREE
from signopt.conformance.session import NotApplicableError, Run, Session


@check("meta/odd", metamorphic=True)
def odd(s: Session) -> None:
    """With parameters, gradients and momentum negated, the results are negated, bit for bit."""
    p, m = sized(s, 64), sized(s, 64)
    results = []
    for sign in (1.0, -1.0):
        s.reseed()
        run = s.start({"w/bias": s.array(sign * p)}, s.hyper(weight_decay=0.25), {"w/bias": s.array(sign * m)})
        for _ in range(3):
            run.step(s.array(sign * sized(s, 64)))
        results.append({name: sign * array for name, array in run.everything().items()})
    s.expect_equal(results[1], results[0], "negated inputs do not give negated results")


@check("meta/scale-gradient", rules=SCALE_FREE, metamorphic=True)
def scale_gradient(s: Session) -> None:
    """Gradients and momentum times a power of two leave the parameters' bits and scale the momentum's."""
    _demand_range(s)
    p, m = sized(s, 64), sized(s, 64)
    results = []
    for scale in (1.0, 32.0, 2.0**-4):
        s.reseed()
        run = s.start({"w/bias": s.array(p)}, s.hyper(weight_decay=0.25), {"w/bias": s.array(scale * m)})
        if run.step_index:
            raise NotApplicableError("the momentum cannot be set")
        for _ in range(3):
            run.step(s.array(scale * sized(s, 64)))
        results.append(_unscaled(s, run, scale))
    for other in results[1:]:
        s.expect_equal(other, results[0], "gradients and momentum scaled by a power of two give other results")


def _demand_range(s: Session) -> None:
    """Scaling keeps the bits only if nothing comes near the subnormal range, cancellation included."""
    if "float16" in (s.storage.name, s.habits.momentum_dtype):
        raise NotApplicableError("float16 has too small a range to be scaled without underflow")


def _unscaled(s: Session, run: Run, scale: float) -> Tensors:
    shown = run.everything()
    return {n: s.array(a.astype(np.float64) / scale) if n.startswith("momentum") else a for n, a in shown.items()}


@check("meta/scale-parameter", metamorphic=True)
def scale_parameter(s: Session) -> None:
    """Parameters and rate times a power of two, decay divided by it, scale the result, bit for bit."""
    _demand_range(s)
    p, results = sized(s, 64), []
    for scale in (1.0, 4.0, 0.125):
        s.reseed()
        run = s.start({"w/bias": s.array(scale * p)}, s.hyper(lr=0.1 * scale, weight_decay=0.25 / scale))
        for _ in range(3):
            run.step(s.array(sized(s, 64)))
        results.append({"w/bias": s.array(run.param["w/bias"].astype(np.float64) / scale)})
    for other in results[1:]:
        s.expect_equal(other, results[0], "parameters and rate scaled by a power of two give other results")


@check("meta/split", metamorphic=True)
def split(s: Session) -> None:
    """A tensor cut in two gives the halves of the whole, for numbers that are exact in every order of evaluation."""
    p, g, m = (s.array(x) for x in exact_class(s, 50))
    hyper = s.hyper(lr=0.125, betas=(0.5, 0.75), weight_decay=0.25)
    whole = s.start({"a/bias": p}, hyper, {"a/bias": m})
    whole.step({"a/bias": g})
    for cut in (1, 17, 32):
        parts = {"a/bias": slice(None, cut), "b/bias": slice(cut, None)}
        run = s.start({n: p[at] for n, at in parts.items()}, hyper, {n: m[at] for n, at in parts.items()})
        run.step({n: g[at] for n, at in parts.items()})
        if run.step_index == whole.step_index == 1:
            wanted = {n: whole.param["a/bias"][at] for n, at in parts.items()}
            s.expect_equal(run.param, wanted, "a tensor cut in two gives other results")


@check("meta/permute", metamorphic=True)
def permute(s: Session) -> None:
    """Permuted elements give permuted results, for numbers that are exact in every order of evaluation."""
    p, g, m = (s.array(x) for x in exact_class(s, 67))
    order = s.rng.permutation(67)
    hyper, results = s.hyper(lr=0.125, betas=(0.5, 0.75), weight_decay=0.25), []
    for at in (np.arange(67), order):
        run = s.start({"w/bias": p[at]}, hyper, {"w/bias": m[at]})
        run.step({"w/bias": g[at]})
        results.append(run.param["w/bias"])
    if run.step_index == 1:
        s.expect_equal({"w/bias": results[1]}, {"w/bias": results[0][order]}, "permuted elements give other results")
