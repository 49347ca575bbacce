"""The rates of the judge in 16 bits: right iterations raise no alarm, and wrong ones do."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def measure():
    spec = importlib.util.spec_from_file_location("muon_rates", ROOT / "docs" / "muon_rates" / "measure.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["plain", "addmm", "Horner", "monomials"])
def test_a_right_iteration_raises_no_alarm(measure, name, dtype):
    assert measure.alarms(measure.RIGHT[name], dtype, 5) == (0, 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_wrong_sign_leaves_the_trajectory_every_time(measure, dtype):
    with np.errstate(all="ignore"):
        left, _ = measure.alarms(measure.WRONG["the sign of c turned"], dtype, 5)
    assert left == 5
