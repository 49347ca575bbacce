"""This library's optimizers on a CUDA device, judged by its own suite like anybody's port."""

from __future__ import annotations

import pytest

from signopt.conformance import check
from signopt.conformance.adapters.own import OWN
from signopt.conformance.adapters.own_torch import OWN_TORCH
from tests.backends.cupy_device import NO_GPU, on_gpu

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not on_gpu(), reason=NO_GPU),
    pytest.mark.filterwarnings("ignore:all zero", "ignore:lr=:UserWarning"),
]
CANDIDATES = [candidate for candidate in (*OWN, *OWN_TORCH) if candidate.device == "cuda"]


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: f"{candidate.name} {candidate.rule}")
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_the_judge_accepts_what_runs_on_the_device(candidate, dtype):
    assert candidate.missing() == []
    report = check(candidate.build(), profile="standard", dtypes=[dtype])
    assert report.verdict == "pass", report
