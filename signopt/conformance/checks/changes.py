"""Hyperparameters that change between steps, state that is carried, and sameness of repeated runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks.values import exact_class, graded, signs, sized
from signopt.conformance.driver import Tensors
from signopt.conformance.oracle.rules import OPTIMIZERS
from signopt.conformance.session import NotApplicableError, Run, Session


def _walk(s: Session, run: Run, steps: int = 2) -> None:
    for _ in range(steps):
        run.step(s.array(sized(s, 32)))
        run.step(run.near_zero(graded(s, 32)))


@check("changes/rate")
def rate(s: Session) -> None:
    """A rate changed between steps holds from the next step on, for the step and for the decay."""
    run = s.start(sized(s, 32), s.hyper(lr=0.125, weight_decay=0.5))
    _walk(s, run, 1)
    for lr in (0.03125, 0.25):
        run.configure(lr=lr)
        _walk(s, run, 1)


@check("changes/to-zero")
def to_zero(s: Session) -> None:
    """A rate or a beta that becomes 0 between steps is 0 from then on, and holds again when it comes back."""
    _to_zero_and_back(s, "lr", 0.0)
    key, zero = next(iter(s.sign_rule.of_betas((0.0, 0.0)).items()))
    if s.sign_rule.idle_at_zero:
        _to_sign_descent(s, key, zero)
    else:
        _to_zero_and_back(s, key, zero)


def _to_zero_and_back(s: Session, key: str, zero: Any) -> None:
    with s.edge(f"{key} = {zero}"):
        run = s.start(sized(s, 32), s.hyper(weight_decay=0.5), sized(s, 32))
        before = run.hyper[key]
        run.step(s.array(sized(s, 32)))
        for value in (zero, before):
            run.configure(**{key: value})
            run.step(s.array(sized(s, 32, -1, 1)))
            run.step(s.array(sized(s, 32)))


def _to_sign_descent(s: Session, key: str, zero: Any) -> None:
    """With β = 0 no step reads the momentum, so a port may leave what it has of it alone; only its step is compared."""
    with s.edge(f"{key} = {zero}"):
        run = s.start(sized(s, 32), s.hyper(weight_decay=0.5), sized(s, 32))
        run.step(s.array(sized(s, 32)))
        run.configure(**{key: zero})
        grads = {name: s.array(sized(s, 32, -1, 1)) for name in run.param}
        s.driver.step({name: grad.copy() for name, grad in grads.items()})
        changed = s.driver.params(run.param)
        fresh = s.start(run.param, run.hyper)
        fresh.step(grads)
        s.expect_equal(changed, fresh.param, f"with {key} changed to 0 the step is not that of a port made with it")


@check("changes/decay")
def decay(s: Session) -> None:
    """A weight decay changed between steps holds from the next step on."""
    run = s.start(sized(s, 32, 0, 2), s.hyper(lr=0.125, weight_decay=0.5))
    _walk(s, run, 1)
    for weight_decay in (0.0, 1.5):
        run.configure(weight_decay=weight_decay)
        _walk(s, run, 1)


@check("changes/betas")
def betas(s: Session) -> None:
    """Betas changed between steps hold from the next step on, and what the momentum held before keeps its weight."""
    run = s.start(sized(s, 32), s.hyper(betas=(0.9, 0.99)))
    _walk(s, run, 1)
    for pair in ((0.5, 0.75), (0.9995, 0.9999), (0.8, 0.95)):
        run.step(s.array(sized(s, 32)))
        run.configure(**s.optimizer.of_betas(pair))
        _walk(s, run, 1)


@check("state/as-given", profile="core", rules=OPTIMIZERS, essential=True)
def as_given(s: Session) -> None:
    """Before the first step the parameters, and the momentum where it can be set, are those given."""
    run = s.start(sized(s, 24), s.hyper())
    s.expect_equal(s.driver.params(run.param), run.param, "the parameters are not those given to init()")
    momentum = s.spread(sized(s, 24))
    run = s.start(sized(s, 24), s.hyper(), momentum)
    shown, wanted = run.read()[1], s.storable(momentum)
    if run.step_index == 0 and shown is not None and wanted is not None:
        s.expect_equal(shown, wanted, "the momentum is not that given to init()")


@check("state/carried")
def carried(s: Session) -> None:
    """A new port that starts from the parameters and the momentum of another goes on where it was."""
    run = s.start(sized(s, 32), s.hyper(weight_decay=0.25))
    _walk(s, run)
    if run.shown is None:
        raise NotApplicableError("the momentum is not shown")
    run = s.start(run.param, s.hyper(weight_decay=0.25), run.shown)
    _walk(s, run)


@check("state/fresh", essential=True)
def fresh(s: Session) -> None:
    """init() starts anew: nothing of an earlier life is left, neither momentum nor step count nor parameter."""
    run = s.start(sized(s, 32), s.hyper(weight_decay=0.25), sized(s, 32))
    _walk(s, run)
    for _ in range(2):
        run = s.start(sized(s, 32), s.hyper(lr=0.25, weight_decay=0.25))
        run.step(s.array(sized(s, 32) * 2.0**-6))
        run.step(run.near_zero(graded(s, 32)))


@check("state/other-names")
def other_names(s: Session) -> None:
    """init() with other names and shapes than before works on these."""
    s.start({"first/bias": s.array(sized(s, 4)), "second/bias": s.array(sized(s, 3))}, s.hyper()).step(
        {"first/bias": s.array(sized(s, 4)), "second/bias": s.array(sized(s, 3))}
    )
    run = s.start({"second/bias": s.array(sized(s, 6))}, s.hyper(weight_decay=0.5))
    for _ in range(2):
        run.step({"second/bias": s.array(sized(s, 6))})


@check("state/determinism", essential=True, metamorphic=True)
def determinism(s: Session) -> None:
    """The same run twice gives the same bits."""
    p, grads = 2.0 ** s.rng.integers(-1, 2, 64) * signs(s, 64), [sized(s, 64) for _ in range(3)]
    first, second = (_finish(s, p, grads) for _ in range(2))
    s.expect_equal(second, first, "the same run gave other bits the second time")


def _finish(s: Session, p: Any, grads: list[Any]) -> Tensors:
    run = s.start({"w/bias": s.array(p)}, s.hyper(weight_decay=0.25))
    for grad in grads:
        run.step(s.array(grad))
    return run.everything()


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


@check("meta/scale-gradient", metamorphic=True)
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
    """Scaling keeps the bits only where nothing comes near the subnormal range, cancellation included."""
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
    """A tensor cut in two gives the halves of the whole, where every order of evaluation is exact."""
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
    """Elements in another order give the results in that order, where every order of evaluation is exact."""
    p, g, m = (s.array(x) for x in exact_class(s, 67))
    order = s.rng.permutation(67)
    hyper, results = s.hyper(lr=0.125, betas=(0.5, 0.75), weight_decay=0.25), []
    for at in (np.arange(67), order):
        run = s.start({"w/bias": p[at]}, hyper, {"w/bias": m[at]})
        run.step({"w/bias": g[at]})
        results.append(run.param["w/bias"])
    if run.step_index == 1:
        s.expect_equal({"w/bias": results[1]}, {"w/bias": results[0][order]}, "permuted elements give other results")


@check("defaults/source", rules=OPTIMIZERS)
def defaults(s: Session) -> None:
    """The defaults that the port declares are those of the source."""
    declared = s.habits.defaults
    if declared is None:
        raise NotApplicableError("the port declares no defaults")
    for key, value in s.rule.defaults.items():
        s.result.judged += 1
        if key in declared and _plain(declared[key]) != _plain(value):
            s.fail(f"the default of {key} is {declared[key]}; the source has {value}", allowed=str(value))


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value
