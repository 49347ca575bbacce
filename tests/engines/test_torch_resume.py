"""Ranks that are killed in the midst of a step or a save, and the run resumed on fewer of them."""

import importlib.util
import warnings

import numpy as np
import pytest

from tests.bits import assert_same_bits
from tests.engines import launch
from tests.engines.launch import ROOT, SECONDS
from tests.thin import keeping

torch = pytest.importorskip("torch", reason="torch is not installed")
pytestmark = pytest.mark.timeout(3 * SECONDS + 60)

SCRIPT = ROOT / "docs/engines/torch_fsdp2.py"


def uninterrupted(steps):
    """The same run by the NumPy rule, on whole parameters in one process."""
    import signopt
    import signopt.torch

    spec = importlib.util.spec_from_file_location("torch_fsdp2", SCRIPT)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    model = example.make_model()
    roles = {param: group["role"] for group in signopt.torch.groups(model) for param in group["params"]}
    momenta = {param: np.zeros(param.shape, np.float32) for param in roles}
    for step in range(steps):
        model.zero_grad()
        example.loss_at(model, step).backward()
        for param, role in roles.items():
            arrays = param.detach().numpy(), param.grad.numpy(), momenta[param]
            new, momenta[param] = signopt.tiger(*arrays, step=step, role=role, **example.HYPER)
            param.data.copy_(torch.from_numpy(new))
    return {name: param.detach().numpy() for name, param in model.named_parameters()}


@pytest.fixture
def run(tmp_path):
    def on_ranks(ranks, *arguments):
        """One rank alone needs no torchrun, which takes as long to import torch as the rank itself."""
        arguments = SCRIPT, "--folder", tmp_path, *arguments
        if ranks == 1:
            alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
            code, output = launch.run(*arguments, **alone, NUMBA_DISABLE_JIT="1")
        else:
            code, output = launch.torchrun(ranks, *arguments, NUMBA_DISABLE_JIT="1")
        return code, output, sorted(path.name for path in tmp_path.iterdir())

    return on_ranks


def assert_final(tmp_path):
    with np.load(tmp_path / "final.npz") as final, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, expected in uninterrupted(9).items():
            assert_same_bits(final[name], expected)


@pytest.mark.parametrize("ranks", keeping([2, 1], [1]))
def test_one_rank_goes_on(ranks, tmp_path, run):
    """From what one or two have saved; that the state of ranks is split as they are is in test_torch_ranks.py."""
    code, output, left = run(ranks, "--crash", "save", "--at", 6)
    assert code != 0, output
    assert left == ["step-3", "step-6.partial"], output
    code, output, left = run(1)
    assert code == 0, output
    assert "steps 4 to 9 on 1 ranks" in output
    assert_final(tmp_path)


@pytest.mark.slow
def test_four_ranks_then_two_then_one(tmp_path, run):
    code, output, left = run(4, "--crash", "save", "--at", 6)
    assert code != 0, output
    assert left == ["step-3", "step-6.partial"], output
    code, output, left = run(2, "--crash", "step", "--at", 8)
    assert code != 0, output
    assert left == ["step-3", "step-6"], output
    code, output, left = run(1)
    assert code == 0, output
    assert "steps 7 to 9 on 1 ranks" in output
    assert left == ["final.npz", "step-3", "step-6", "step-9"]
    assert_final(tmp_path)
