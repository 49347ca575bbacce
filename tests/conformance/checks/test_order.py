"""Checks run from simple to composed, so that the first failure that a beginner reads is about the bug."""

from __future__ import annotations

import pytest

from signopt.conformance import check
from signopt.conformance.checks import ORDER, PROFILES, REGISTRY
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.oracle.rules import OPTIMIZERS, RULES
from signopt.conformance.suite import select
from tests.long_checks import LONG


def test_every_group_has_its_place():
    assert {each.group for each in REGISTRY.values()} == set(ORDER)
    assert len(set(ORDER)) == len(ORDER)


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("profile", PROFILES)
def test_checks_run_by_profile_and_then_by_group(rule, profile):
    chosen = select(rule, profile)
    places = [(PROFILES.index(each.profile), ORDER.index(each.group)) for each in chosen]
    assert places == sorted(places)


FIRST = {
    "betas-swapped": ("betas", "step"),
    "decay-missing": ("decay",),
    "sign-copysign": ("zero", "step"),
    "momentum-first": ("step", "momentum"),
    "no-op": ("step",),
    "decay-coupled": ("decay",),
    "sign-nan-plus": ("nonfinite",),
}


@pytest.mark.parametrize("mutant", [each for each in MUTANTS["lion"] if each.id in FIRST], ids=lambda each: each.id)
@pytest.mark.one_in(4)
def test_the_first_failure_is_about_the_bug(mutant):
    short = [each.id for each in select("lion", "standard") if each.id not in LONG]
    report = check(mutant(), only=short, dtypes=["float32"], diagnose=False)
    first = next(result for result in report.checks if result.status == "failed")
    assert first.group in FIRST[mutant.id], first.id


def test_a_check_names_rules_that_there_are():
    assert {rule for each in REGISTRY.values() for rule in each.rules} <= set(RULES)
