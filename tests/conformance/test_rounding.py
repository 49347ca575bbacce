"""The judge of stochastic rounding: it catches every wrong port and accuses no right one."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from signopt.conformance import check
from signopt.conformance.adapters.rounding import own
from signopt.conformance.checks import PROFILES, REGISTRY, rounding, rounding_words
from signopt.conformance.isolation.run import check_isolated
from signopt.conformance.mutants.rounding import ROUNDING
from signopt.conformance.mutants.rounding_right import RIGHT_ROUNDING
from signopt.conformance.mutants.rounding_words import seed_of
from signopt.conformance.numpy_ports.rounding import RoundingPort
from signopt.conformance.oracle.binomial import ALARM, DISTANCES, TESTS, bounds, most_surplus, tail
from tests.thin import some

IDS = {variant.id: variant for variant in ROUNDING}
SOME = 4
"""Of the wrong ports every so many-th draws its own words with -m thorough, half of those in each run, and all with -m
slow."""


class _FoundError(Exception):
    """The first failure is enough."""


def first_failure(port):
    found = []

    def note(result, *counted):
        assert result.status != "not_run", result.reason
        if result.status == "failed":
            found.append(result.id)
            raise _FoundError

    with suppress(_FoundError):
        check(port, rule="stochastic-rounding", diagnose=False, progress=note)
    return found[0] if found else ""


def failed(report):
    return {result.id for result in report.checks if result.failures}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if i % SOME else [pytest.mark.thorough] if i % (2 * SOME) else [])
        for i, name in enumerate(IDS)
    ],
)
def test_a_wrong_port_whose_words_cannot_be_set_fails(name):
    port = IDS[name]()
    hidden = type("Hidden", (), {"describe": lambda self: port.describe(), "round": lambda self, x: port.round(x)})
    assert first_failure(hidden), name


FORMULAS = [v.id for v in ROUNDING if not v.pieces.keys() & {"words", "round"}]
UNSEEN = {"tail-8", "tail-4", "tail-256", "block-exponent"}
"""What is right where all numbers of an array have one exponent and a size that is a power of two."""


@pytest.mark.parametrize("name", some(FORMULAS, every=2))
@pytest.mark.one_in(4)
def test_counting_all_words_catches_every_wrong_formula(name):
    report = check(IDS[name], only=["rounding/counted"])
    assert (report.verdict == "pass") == (name in UNSEEN), name


@pytest.mark.parametrize("variant", some(RIGHT_ROUNDING, every=5), ids=lambda variant: variant.id)
@pytest.mark.one_in(4)
def test_a_right_port_passes(variant):
    report = check(lambda: variant(seed=20))
    assert report.verdict == "pass", failed(report)


@pytest.mark.parametrize("profile", ["core", pytest.param("standard", marks=pytest.mark.thorough)])
def test_this_library_passes(profile):
    assert check(own, profile=profile).verdict == "pass"


def test_the_calls_of_this_library_have_words_of_their_own():
    report = check(own, only=["rounding/steps", "rounding/calls"])
    assert not failed(report)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 200, 25))
def test_no_right_port_is_accused_in_two_hundred_runs(first):
    right = [own, *RIGHT_ROUNDING]
    runs = {seed: right[seed % len(right)] for seed in range(first, first + 25)}
    verdicts = {seed: check(lambda seed=seed: runs[seed](seed=seed), seed=seed).verdict for seed in runs}
    assert {seed: verdict for seed, verdict in verdicts.items() if verdict != "pass"} == {}


def test_a_port_in_a_process_of_its_own(tmp_path):
    target = "signopt.conformance.numpy_ports.rounding:RoundingPort"
    report = check_isolated(target, profile="core")
    assert report.verdict == "pass", report.to_dict()


@pytest.mark.parametrize("returned", [lambda x: x, lambda x: None, lambda x: x.astype("bfloat16")[:-1]])
def test_what_is_no_answer_fails(returned):
    port = type("Port", (RoundingPort,), {"round": lambda self, x: returned(x)})
    assert check(port, profile="core").verdict == "fail"


def test_a_port_that_changes_its_argument_fails():
    def round_(self, x):
        result = RoundingPort.round(self, x)
        x[...] = 0
        return result

    report = check(type("Port", (RoundingPort,), {"round": round_}), profile="core")
    assert any("changed x" in failure.message for result in report.checks for failure in result.failures)


def test_the_message_names_the_bug_of_the_libraries():
    report = check(IDS["torchao"], profile="core")
    messages = [failure.message for result in report.checks for failure in result.failures]
    assert any("0x7fffffff became a number: the carry" in message for message in messages)


@pytest.mark.parametrize(("n", "p"), [(256, 0.5), (1 << 18, 0.25), (1 << 22, 2.0**-16), (1 << 22, 1 - 2.0**-16)])
def test_bounds_leave_out_what_they_may_and_no_more(n, p):
    from scipy.stats import binom

    least, most = bounds(n, p)
    allowed = ALARM / TESTS / 4
    assert binom.sf(most, n, p) <= allowed < binom.sf(most - 2, n, p) * 1.2
    assert binom.cdf(least - 1, n, p) <= allowed
    assert tail(n, p, most, upper=True) == pytest.approx(binom.sf(most - 1, n, p), rel=1e-5)


def test_the_surplus_of_fair_pairs_is_bounded_by_hoeffding_and_not_far_above_the_binomial():
    from scipy.stats import binom

    for pairs in (1000, 1 << 20):
        agreeing = (pairs + int(most_surplus(pairs))) // 2
        assert 1e-26 < 2 * binom.sf(agreeing, pairs, 0.5) < ALARM / 2 / DISTANCES
    assert most_surplus(10) > 10


def test_a_run_makes_fewer_tests_than_the_alarm_is_divided_by(monkeypatch):
    made, distances = [], []

    def most_surplus(pairs):
        distances.append(pairs.size)
        return np.full(pairs.size, 2**30)

    for module in (rounding, rounding_words):
        monkeypatch.setattr(module, "expect", lambda session, *arguments: made.append(arguments))
    monkeypatch.setattr(rounding_words, "most_surplus", most_surplus)
    check(RoundingPort)
    assert 300 < len(made) < TESTS
    assert 1e6 < sum(distances) < DISTANCES


def test_the_checks_are_those_of_this_rule_alone():
    own = [each for each in REGISTRY.values() if "stochastic-rounding" in each.rules]
    assert len(own) == 17
    assert all(each.group == "rounding" and each.profile in PROFILES for each in own)
    assert np.dtype("bfloat16").itemsize == 2


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("torchao", "nan"),
        ("llm.c", "nan"),
        ("dither-two", "representable"),
        ("words-8", "frequency"),
        ("poisson", "every-size"),
        ("fair-coin", "every-size"),
    ],
)
@pytest.mark.one_in(4)
def test_the_diagnosis_names_the_bug(name, asked):
    report = check(IDS[name](seed=9), only=[f"rounding/{asked}", "rounding/shapes"])
    assert name in [line.rpartition("/")[2].rstrip("]") for line in report.diagnosis]
    assert all(failure.looks_like for result in report.checks for failure in result.failures)


def test_words_that_come_again_in_a_later_call_are_named():
    report = check(IDS["constant-seed"], only=["rounding/steps"])
    assert "again, 1 calls later: is the seed advanced" in report.checks[0].failures[0].message
    assert report.diagnosis == []


@pytest.mark.thorough
def test_a_step_number_of_sixteen_bits_is_seen_by_the_strict_profile():
    sixteen = replace(IDS["4096-seeds"], pieces=seed_of(1 << 16))
    report = check(sixteen, only=["rounding/calls-all"], profile="strict")
    assert "number 65536 has the 128 roundings of number 0" in report.checks[0].failures[0].message


def test_a_right_port_has_no_diagnosis():
    assert check(RoundingPort, profile="core").diagnosis == []
