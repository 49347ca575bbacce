"""Tiger's own checks: each catches the mutants that it was made for, and declared habits are no fault."""

from __future__ import annotations

import numpy as np
import pytest

from signopt.conformance import check
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import RIGHT_PORTS, Variant, hide_momentum, unsettable
from signopt.conformance.oracle.formats import FORMATS
from signopt.conformance.oracle.law import Law
from signopt.conformance.oracle.momentum import Momentum
from signopt.conformance.oracle.rules.tiger import TIGER
from signopt.conformance.oracle.sieve import remembered
from signopt.conformance.report import Report
from signopt.conformance.suite import select
from tests.long_checks import LONG
from tests.thin import keeping

CAUGHT = {
    "roles/given": ("role-name-wins", "role-given-matrix-by-name", "role-given-ignored"),
    "roles/names": ("role-beta-first", "role-layernorm-is-scale"),
    "roles/scalar": ("role-0d-is-bias", "rms-0d-is-one"),
    "rms/matrix": ("rms-capped-far",),
    "rms/large": ("rms-first-block", "rms-whole-blocks", "matrix-from-1024-skipped"),
    "rms/rows": ("rms-row-start", "rms-few-rows", "rows-from-256-skipped"),
    "rms/still-rows": ("rows-lazy-momentum", "rows-lazy-step"),
    "inputs/roles-layouts": ("strides-of-embeddings",),
    "inputs/roles-parameter-layouts": ("rms-memory-order",),
    "inputs/window-untouched": ("nan-zeroes-callers", "window-divides-callers"),
    "nan/places": (
        "nan-last-element", "nan-ends-only", "nan-every-second", "nan-positive-only", "nan-negative-only",
        "nan-not-beside-inf",
    ),
    "nan/large": ("nan-first-block", "nan-first-1024", "nan-shrinks-1024"),
    "nan/rate": ("schedule-skips-nan",),
    "nan/window": ("nan-owes-decay",),
    "nan/one-tensor": ("nan-restarts-windows",),
    "nonfinite/bias-parameter": ("nan-in-parameter",),
    "nan/not-inf": ("nan-in-momentum",),
    "changes/window": ("window-stale", "window-share-stale"),
    "changes/within-window": ("window-restarts-at-change", "schedule-first-rate"),
    "changes/schedule": ("schedule-stale",),
    "changes/shrink": ("nan-shrink-stale",),
    "schedule/points": ("schedule-on-scales-missing",),
    "window/long": ("window-count-of-eight-bits",),
    "magnitude/windows": ("window-clips-momentum",),
    "tiger/everything": ("nan-owes-decay", "window-sum", "schedule-squared"),
}  # fmt: skip
HIDDEN = ("nan-in-momentum", "rows-lazy-momentum", "nan-owes-decay")


def named(table: tuple[Variant, ...], key: str) -> Variant:
    return next(variant for variant in table if variant.id == key)


@pytest.mark.parametrize(
    ("identifier", "mutant"), [(identifier, mutant) for identifier, mutants in CAUGHT.items() for mutant in mutants]
)
@pytest.mark.one_in(4)
def test_each_check_catches_the_mutants_that_it_is_for(identifier: str, mutant: str) -> None:
    assert check(named(MUTANTS["tiger"], mutant)(), only=[identifier], diagnose=False).verdict == "fail"


@pytest.mark.parametrize("mutant", HIDDEN)
def test_they_are_caught_where_the_momentum_is_hidden_and_cannot_be_set(mutant: str) -> None:
    port = hide_momentum(unsettable(named(MUTANTS["tiger"], mutant)()))
    assert check(port, only=["nan", "rms"], dtypes=["float32"], diagnose=False).verdict == "fail"


DECLARING = ("hyper-single", "momentum-float16", "momentum-float16-hidden", "roles-given-only", "roles-named-only")


@pytest.mark.parametrize("right", keeping(DECLARING, ["momentum-float16-hidden", "roles-given-only"]))
def test_what_a_tiger_port_declares_is_no_fault(right: str) -> None:
    short = [each.id for each in select("tiger", "standard") if each.id not in LONG]
    assert_passes(check(named(RIGHT_PORTS["tiger"], right)(), only=short, dtypes=["float32"], diagnose=False))


@pytest.mark.slow
@pytest.mark.parametrize("right", DECLARING)
def test_what_a_tiger_port_declares_is_no_fault_in_any_dtype(right: str) -> None:
    assert_passes(check(named(RIGHT_PORTS["tiger"], right)(), diagnose=False))


def assert_passes(report: Report) -> None:
    assert report.verdict == "pass", [(c.id, c.dtype) for c in report.checks if c.status == "failed"]


def test_after_an_infinite_gradient_a_hidden_momentum_is_known() -> None:
    hyper = {"lr": 0.1, "beta": 0.9, "weight_decay": 0.0, "accumulation_steps": 1, "shrink": 0.9, "schedule": None}
    g = np.array([np.inf, -np.inf, 1.0])
    law = TIGER.law(TIGER.habits(), hyper | {"roles": {"w": "bias"}}, "w", np.ones(3), g, 0)
    assert isinstance(law, Law)
    with np.errstate(invalid="ignore"):
        after = remembered(law, g, Momentum.shown(np.array([1.0, -1.0, np.inf]), FORMATS["float64"]))
    assert after.low.tolist() == after.high.tolist() == [np.inf, -np.inf, np.inf]
