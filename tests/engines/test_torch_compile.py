"""The pure rules as torch.compile's default backend compiles them for the CPU."""

import shutil

import numpy as np
import pytest

import signopt
from tests.backends.cases import random_tensor
from tests.bits import bits

torch = pytest.importorskip("torch", reason="torch is not installed")

pytestmark = [
    pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:Dynamo detected a call:UserWarning"),
]


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(signopt.lion, marks=pytest.mark.thorough),
        pytest.param(signopt.signum, marks=pytest.mark.slow),
        pytest.param(signopt.tiger, marks=pytest.mark.slow),
    ],
)
def test_a_compiled_rule_has_numpys_bits(rule):
    """Half of the elements have c within rounding of 0: one contracted product would change their signs."""
    arrays = random_tensor((64, 256), "f32", seed=0)

    def step(*given):
        return rule(*given, lr=1e-3, weight_decay=0.1)

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(step)(*map(torch.from_numpy, arrays))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"], "nothing was compiled"
    pairs = zip(compiled, step(*arrays), strict=True)
    assert [int((bits(result.numpy()) != bits(np.asarray(wanted))).sum()) for result, wanted in pairs] == [0, 0]
