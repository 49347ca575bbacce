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


def test_an_orthogonaliser_of_another_kind_stays_far_within_its_units():
    spec = importlib.util.spec_from_file_location("units", ROOT / "docs" / "muon_rates" / "orthogonalizer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for triples in module.POLYNOMIALS.values():
        for dtype in (module.FORMATS["bfloat16"], module.FORMATS["float16"]):
            taken = [module.units(u, triples, dtype, module.nearest(dtype), 2) for u in module.matrices(30)]
            assert 0 < max(taken) < module.UNITS_OF_16_BITS / 4
