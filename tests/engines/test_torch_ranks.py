"""torch on two ranks: every way to train leaves the bits of the NumPy rule on whole tensors."""

import json

import pytest

from tests.engines.launch import ROOT, SECONDS, torchrun

pytest.importorskip("torch", reason="torch is not installed")
pytestmark = [pytest.mark.timeout(SECONDS + 60), pytest.mark.thorough]

CASES = (
    [f"{way}-{rule}" for rule in ("Lion", "Signum", "Tiger") for way in ("ddp", "fsdp2", "zero", "collectives")]
    + ["axes-Lion-matrix", "axes-Tiger-matrix", "axes-Tiger-embedding", "axes-Tiger-nan", "axes-Muon-matrix"]
    + ["fsdp2-Muon", "zero-Muon", "dtensor-Muon"]
    + [
        f"{way}-{rule}-{axis}"
        for way in ("split", "stochastic")
        for rule in ("Lion", "Tiger", "Muon")
        for axis in (0, 1)
    ]
    + [f"dtensor-{rule}-{axis}" for rule in ("Lion", "Signum", "Tiger") for axis in (0, 1)]
    + [f"facts-{role}" for role in ("matrix", "embedding", "bias", "scale")]
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = tmp_path_factory.mktemp("ranks") / "results.json"
    script = ROOT / "tests/engines/torch_ranks.py"
    code, output = torchrun(2, script, path, NUMBA_DISABLE_JIT="1")  # many kernels for few elements
    assert code == 0, output
    return json.loads(path.read_text())


def test_every_case_was_run(results):
    assert sorted(results) == sorted(CASES)


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_have_the_rules_bits(case, results):
    compared, differ = results[case]
    assert compared > 0
    assert differ == 0
