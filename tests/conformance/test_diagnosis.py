"""A failing report names the bug, whatever legal order the port computes in and whatever it hides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from signopt.conformance.diagnosis import explain, explanations
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import RIGHT_PORTS, Variant, hide_momentum, unsettable
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.report import Report
from signopt.conformance.suite import check, select
from tests.long_checks import LONG
from tests.thin import diagonal, keeping

BUGS = {
    "lion": (
        *("sign-mask-minus-one", "sign-copysign", "sign-not-positive-is-minus", "optimisers-jl", "decay-coupled"),
        *("decay-lr-over-lr0", "decay-without-lr", "betas-swapped", "momentum-not-written", "cautious", "no-op"),
        *("cautious-kept-plus-one", "decay-constant", "momentum-captured", "momentum-written-twice-coupled"),
        *("gradient-added-twice", "configure-ignored", "configure-restarts", "momentum-first-clipped"),
    ),
    "signum": ("momentum-reset", "decay-missing", "beta-zero", "look-old-momentum", "momentum-starts-as-parameter"),
    "tiger": (
        "signum",
        "rms-missing",
        "role-bias-as-matrix",
        "decay-coupled",
        "beta-dampening-missing",
        "rate-multiplied-on",
        "signum-gradient-twice",
    ),
    "muon": ("look-ahead-missing", "scale-without-max", "norm-spectral", "decay-coupled", "steps-one-more"),
}
CASES = [(rule, bug) for rule, bugs in BUGS.items() for bug in bugs]
EVERY_RUN = [
    *(("lion", bug) for bug in ("decay-lr-over-lr0", "cautious", "configure-ignored")),
    *(("signum", "momentum-reset"), ("tiger", "role-bias-as-matrix")),
]
"""A bug of each part of a rule but its sign, which another test has."""


def find(table: dict[str, tuple[Variant, ...]] | Any, rule: str, key: str) -> Variant:
    return next(variant for variant in table[rule] if variant.id == key)


def report_of(port: Any) -> Report:
    """The report of a port without the checks that take the longest."""
    short = [each.id for each in select(port.describe()["rule"], "standard") if each.id not in LONG]
    return check(port, dtypes=["float32"], only=short, diagnose=False)


def names(port: Any) -> list[str]:
    report = report_of(port)
    assert report.verdict == "fail"
    return [explanation.mutant.id for explanation in explanations(report)]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "bug"), CASES)
def test_the_bug_is_named_among_the_best_of_a_whole_report(rule: str, bug: str) -> None:
    assert_named(check(find(MUTANTS, rule, bug)(), dtypes=["float32"], diagnose=False), bug)


@pytest.mark.parametrize(("rule", "bug"), keeping(CASES, EVERY_RUN))
def test_the_bug_is_named_among_the_best(rule: str, bug: str) -> None:
    assert_named(report_of(find(MUTANTS, rule, bug)()), bug)


@pytest.mark.parametrize(("rule", "bug"), [("muon", "look-ahead-missing"), ("tiger", "rms-missing")])
def test_the_bug_is_named_after_the_core_profile(rule: str, bug: str) -> None:
    port = find(MUTANTS, rule, bug)()
    assert_named(check(port, "core", dtypes=["float32"], diagnose=False), bug)


def assert_named(report: Report, bug: str) -> None:
    best, *others = explanations(report)
    assert bug in {each.mutant.id for each in (best, *others) if each.score == best.score}
    assert best.score == 1


@pytest.mark.parametrize(
    ("bug", "order"),
    diagonal(
        ["decay-missing", "momentum-not-written", "sign-copysign", "betas-swapped"],
        ["lerp-decay-first", "difference", "double-inside", "decay-first-in-dtype"],
    ),
)
@pytest.mark.one_in(4)
def test_the_bug_is_named_in_ports_of_other_orders(bug: str, order: str) -> None:
    port = find(MUTANTS, "lion", bug).over(find(RIGHT_PORTS, "lion", order))
    assert bug in names(port)


@pytest.mark.parametrize(
    ("bug", "wrap"), diagonal(["decay-missing", "sign-copysign", "momentum-not-written"], [hide_momentum, unsettable])
)
@pytest.mark.one_in(4)
def test_the_bug_is_named_in_ports_that_hide_their_momentum(bug: str, wrap: Any) -> None:
    assert bug in names(wrap(find(MUTANTS, "lion", bug)()))


def test_a_declared_habit_is_no_symptom() -> None:
    port = find(MUTANTS, "lion", "decay-halved").over(find(RIGHT_PORTS, "lion", "sign-nan-zero"))
    assert names(port)[0] == "decay-halved"


def test_a_bug_of_no_known_kind_is_not_named_as_a_certainty() -> None:
    def wild(self: Any, p: Any, s: Any, lr: Any, wd: Any) -> Any:
        return p * 7 + 3

    report = report_of(Variant("wild", "lion", "", {"move": wild})())
    assert not [sentence for sentence in explain(report) if sentence.startswith("looks like")]


def test_a_small_step_is_not_called_none() -> None:
    def rate(self: Any) -> float:
        return float(self.hyper["lr"] * 1e-6 * 1.3**self.t)

    def gradient(self: Any, name: str, p: Any, g: Any) -> Any:
        return g * g.dtype.type(rate(self))

    small = Variant("small", "lion", "", {"base_lr": rate, "gradient": gradient})
    report = report_of(small())
    named = {each.mutant.id for each in explanations(report)}
    assert not named & {"no-op", "no-op-wholly", "momentum-not-written"}


def test_of_bugs_that_explain_as_much_the_simpler_comes_first() -> None:
    report = report_of(find(MUTANTS, "tiger", "momentum-not-written")())
    best, *others = explanations(report)
    assert best.mutant.id == "momentum-not-written"
    assert "signsgd" in {each.mutant.id for each in others if each.score == best.score}


def test_the_report_says_it_in_a_sentence_with_the_link() -> None:
    report = check(find(MUTANTS, "lion", "decay-coupled")(), dtypes=["float32"])
    assert report.diagnosis[0].startswith("looks like decay coupled into the gradient, inside the sign (https://")


def test_a_right_port_gets_no_diagnosis() -> None:
    assert check(find(RIGHT_PORTS, "lion", "plain")(), dtypes=["float32"]).diagnosis == []


def test_a_tensor_without_a_gradient_in_what_failed_does_not_end_the_report() -> None:
    class Stale(MuonPort):
        """Steps tensors without a gradient along the last one that they had."""

        def fetch(self, grads: Any, name: str) -> Any:
            self.memo[name] = np.array(grads[name]) if name in grads else self.memo[name]
            return self.memo[name]

    report = check(Stale(), only=["matrices/absent"], dtypes=["float32"])
    assert report.verdict == "fail"
