"""The judge of Muon: it catches what is wrong, accuses nothing that is right, and says what it found."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np
import pytest

from signopt.conformance import check
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import RIGHT_PORTS, Variant, declaring, hide_momentum, unsettable
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.oracle.formats import FORMATS
from signopt.conformance.oracle.muon.spread import scattered
from signopt.conformance.report import CheckResult
from signopt.conformance.suite import select
from tests.long_checks import LONG
from tests.thin import keeping, some

RIGHT, WRONG = RIGHT_PORTS["muon"], MUTANTS["muon"]
SOME = 9
"""Of the wrong ports every so many-th is tried with -m thorough, a third of those in each run, all with -m slow."""


class _FoundError(Exception):
    """The first failure is enough."""


def first_failure(port: Any, dtype: str, seed: int = 0) -> str:
    """The id of the first check that fails; empty if none does."""
    found: list[str] = []

    def note(result: CheckResult, *counted: int) -> None:
        if result.status == "failed":
            found.append(result.id)
            raise _FoundError

    with suppress(_FoundError):
        check(port, seed=seed, dtypes=[dtype], diagnose=False, progress=note)
    return found[0] if found else ""


def cases(variants: tuple[Variant, ...]) -> list[Any]:
    return [pytest.param(each, dtype, id=f"{each.id}-{dtype}") for each in variants for dtype in each.dtypes]


def test_there_are_enough():
    assert len(WRONG) >= 150
    assert len(RIGHT) >= 30


@pytest.mark.parametrize("variant", some(WRONG[::SOME], every=3), ids=lambda each: each.id)
@pytest.mark.one_in(4)
def test_some_wrong_ports_are_caught(variant):
    assert first_failure(variant(), variant.dtypes[-1])


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "dtype"), cases(WRONG))
def test_every_wrong_port_is_caught(variant, dtype):
    assert first_failure(variant(), dtype)


SOME_RIGHT = ["sum-max", "svd", "hidden-unsettable", "inputs-first", "horner", "bfloat16-fixed"]


@pytest.mark.parametrize("key", keeping(SOME_RIGHT, ["sum-max"]))
def test_some_right_ports_pass(key):
    variant = next(each for each in RIGHT if each.id == key)
    short = [each.id for each in select("muon", "standard") if each.id not in LONG]
    report = check(variant(), dtypes=["float32"], only=short)
    assert report.verdict == "pass", [result.id for result in report.checks if result.status in ("failed", "not_run")]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("variant", "dtype"), cases(RIGHT))
def test_no_right_port_is_accused(variant, dtype, seed):
    report = check(variant(), dtypes=[dtype], seed=seed, diagnose=False)
    assert report.verdict == "pass", [result.id for result in report.checks if result.status in ("failed", "not_run")]


@pytest.mark.parametrize("wrap", [hide_momentum, unsettable])
@pytest.mark.parametrize("key", ["look-ahead-old", "momentum-not-written", "momentum-beta-squared"])
def test_a_wrong_momentum_shows_in_the_parameter(key, wrap):
    variant = next(each for each in WRONG if each.id == key)
    assert first_failure(wrap(variant()), "float32")


@pytest.mark.parametrize(
    "declared",
    [{"layout": "in_out"}, {"momentum_form": "sum"}, {"eps_form": "max"}, {"orthogonalizer": [0.99, 1.01]}],
)
def test_a_declaration_that_is_not_kept_is_a_fault(declared):
    assert first_failure(declaring(MuonPort(), **declared), "float64")


class Mixed(MuonPort):
    """An average in one tensor and a sum in the next."""

    def update(self, name: str, p: Any, g: Any, m: Any) -> Any:
        """One step of one tensor."""
        self.sums = name.endswith("1")
        return super().update(name, p, g, m)

    def blend(self, m: Any, g: Any, beta: float) -> Any:
        """β·m + g, or the average."""
        return m.dtype.type(beta) * m + g if self.sums else super().blend(m, g, beta)


def test_one_port_keeps_to_one_form():
    assert first_failure(Mixed(), "float32")


@pytest.mark.parametrize("fixed", ["no_such", ["no_such"], [1]])
def test_what_is_fixed_must_be_known(fixed):
    report = check(declaring(MuonPort(), fixed=fixed))
    assert report.verdict != "pass"
    assert "fixed" in report.obstacles[0]


def test_core_takes_less_than_a_second_of_checks():
    report = check(MuonPort(), "core", dtypes=["float32"])
    assert report.verdict == "pass"
    assert sum(result.judged for result in report.checks) < 3000


def test_the_caller_s_momentum_may_not_change():
    class Aliased(MuonPort):
        def init(self, params: Any, hyper: Any, momentum: Any = None) -> None:
            super().init(params, hyper, momentum)
            self.m = dict(momentum) if momentum is not None else self.m

    assert first_failure(Aliased(), "float32")


def test_a_norm_that_overflows_is_judged_only_if_it_is_declared_not_to():
    plain, scaled = MuonPort(), declaring(MuonPort(), range="scaled")
    with np.errstate(all="ignore"):
        assert check(plain, dtypes=["float32"], only=["iteration/scaled-range"]).counts["not_applicable"] == 1
        assert check(scaled, dtypes=["float32"], only=["iteration/scaled-range"]).verdict == "fail"


@pytest.mark.parametrize("key", ["spectral", "spectral-svd"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_spectral_decay_in_16_bits_need_not_meet_the_middle_between_two_numbers(key, dtype):
    port = next(each for each in RIGHT if each.id == key)()
    report = check(declaring(port, dtypes=[dtype]), only=["identity/ties", "identity/smallest-decay", "decaying/alone"])
    assert report.verdict == "pass"
    assert report.counts["not_applicable"] == 1


LATE = [each.id for each in WRONG if each.id.startswith("late-")]


@pytest.mark.parametrize("key", keeping(LATE, ["late-hidden-reset-every-thousandth", "late-rate-late"]))
def test_what_goes_wrong_after_hundreds_of_steps_shows_also_behind_a_hidden_momentum(key):
    port = next(each for each in WRONG if each.id == key)()
    report = check(port, dtypes=["float32"], only=["identity/many-steps"], diagnose=False)
    assert report.verdict == "fail"


@pytest.mark.parametrize("key", ["sum-hidden", "fixed-hidden-sum"])
def test_a_hidden_momentum_of_a_thousand_steps_is_not_accused(key):
    port = next(each for each in RIGHT if each.id == key)()
    report = check(port, dtypes=["float32"], only=["identity/many-steps"], diagnose=False)
    assert report.verdict == "pass"
    assert report.checks[0].judged >= 16


def test_the_spread_begins_where_a_hidden_momentum_may_be():
    u = np.array([[1.0, 0.25], [-0.5, 0.75]])
    exact = u / np.linalg.norm(u)
    known, uncertain = (
        scattered(u, exact, [(1.0, 0.0, 0.0)], 1e-7, "add", FORMATS["bfloat16"], error) for error in (0.0, 0.25)
    )
    assert 2 * known < uncertain < 2 * known + 4 * 0.25 / np.linalg.norm(u)


FIXED = {"ns_coefficients": (3.4445, -4.7750, 2.0315), "ns_steps": 5, "eps": 1e-7}


class FixedMuon(MuonPort):
    """Coefficients, their number and ε as they are, whatever is asked."""

    declared: ClassVar[Mapping[str, Any]] = {"fixed": list(FIXED)}

    def init(self, params: Any, hyper: Any, momentum: Any = None) -> None:
        """As asked, but for what is fixed."""
        super().init(params, {**hyper, **FIXED}, momentum)

    def configure(self, hyper: Any) -> None:
        """As asked, but for what is fixed."""
        super().configure({**hyper, **FIXED})


def fixed(key: str) -> Any:
    variant = next(each for each in WRONG if each.id == key)
    return type(key, (FixedMuon,), {**variant.pieces, "declared": FixedMuon.declared})()


@pytest.mark.parametrize(
    ("key", "dtype", "only"),
    [
        ("lr-capped-high", "float32", "identity/digits"),
        ("tensor-table-overflow", "float32", "matrices/forty"),
        ("scale-matched-capped-high", "float32", "identity/sizes"),
        ("small-u-skipped", "float32", "iteration/epsilon"),
        pytest.param("gram-mirror-64", "float64", "polynomial/large-sides", marks=pytest.mark.thorough),
        ("chunk-65536-skipped", "float64", "identity/large"),
    ],
)
def test_a_port_with_fixed_coefficients_is_asked_with_those(key, dtype, only):
    report = check(fixed(key), dtypes=[dtype], only=[only], diagnose=False)
    assert report.verdict == "fail"


def test_a_right_port_with_fixed_coefficients_is_not_accused():
    only = ["identity/digits", "identity/betas", "matrices/forty", "iteration/epsilon", "identity/jumps"]
    report = check(FixedMuon(), dtypes=["float32"], only=only)
    assert report.verdict == "pass"
    assert report.counts["passed"] == len(only)
