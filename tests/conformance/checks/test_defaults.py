"""Only defaults that are declared are judged."""

from __future__ import annotations

import pytest

from signopt.conformance import check
from signopt.conformance.numpy_ports import BASES, declaring


@pytest.mark.parametrize(
    ("defaults", "status", "judged"),
    [
        ({"lr": 1e-4, "betas": [0.9, 0.99], "weight_decay": 0.0}, "passed", 3),
        ({"betas": (0.9, 0.99)}, "passed", 1),
        ({"betas": [0.95, 0.98]}, "failed", 1),
        ({"lr": 1e-4, "weight_decay": 0.01}, "failed", 2),
        ({"learning_rate": 7.0}, "not_applicable", 0),
        ({}, "not_applicable", 0),
    ],
)
def test_what_is_declared_is_judged(defaults, status, judged):
    port = declaring(BASES["lion"](), defaults=defaults)
    (result,) = check(port, "standard", only=["defaults"], dtypes=["float32"]).checks
    assert (result.status, result.judged) == (status, judged), result.reason
