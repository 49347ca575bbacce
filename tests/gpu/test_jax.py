"""The rules as XLA compiles them for a CUDA device, against NumPy's bits. Skipped, with the reason, elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")

import signopt  # noqa: E402
from tests.backends.cupy_device import NO_GPU, on_gpu  # noqa: E402
from tests.bits import special_triple  # noqa: E402
from tests.engines.jax_cases import RULES, differing, near_zero  # noqa: E402
from tests.engines.test_jax import HYPER, NARROW, stepping, twice  # noqa: E402


def device():
    """The first CUDA device that JAX finds; None if this JAX was built for none."""
    try:
        return jax.devices("cuda")[0] if on_gpu() else None
    except RuntimeError:
        return None


pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not on_gpu(), reason=NO_GPU),
    pytest.mark.skipif(on_gpu() and device() is None, reason="this JAX finds no CUDA device"),
]
SIGNS = ["lion", "signum", "tiger", "tiger-scale"]


def eager(step, *arrays):
    with jax.default_device(device()):
        return step(*(jax.device_put(array, device()) for array in arrays))


def jitted(step, *arrays):
    results = jax.jit(step)(*(jax.device_put(array, device()) for array in arrays))
    assert all(result.devices() == {device()} for result in results)
    return results


HOW = pytest.mark.parametrize("run", [eager, jitted])


@HOW
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_numpys_bits(rule, run):
    arrays = near_zero()
    assert differing(run(stepping(rule), *arrays), stepping(rule)(*arrays)) == [0, 0]


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("rule", SIGNS)
def test_narrow_dtypes_have_numpys_bits_after_two_steps_in_one_program(rule, dtype):
    arrays = near_zero(NARROW[dtype])
    assert differing(jitted(twice(rule), *arrays), twice(rule)(*arrays)) == [0, 0]


@pytest.mark.parametrize("rule", SIGNS)
def test_float64_has_numpys_bits(rule):
    arrays = near_zero(np.float64)
    with jax.enable_x64(True):
        assert differing(jitted(stepping(rule), *arrays), stepping(rule)(*arrays)) == [0, 0]


@HOW
@pytest.mark.parametrize("rule", ["lion", "signum", "tiger"])
def test_special_values_have_numpys_bits(rule, run):
    arrays = special_triple(np.float32)
    with np.errstate(all="ignore"):
        assert differing(run(stepping(rule), *arrays), stepping(rule)(*arrays)) == [0, 0]


@pytest.mark.parametrize("dtype", NARROW)
def test_without_the_fence_a_second_step_would_begin_from_numbers_that_were_not_stored(dtype, monkeypatch):
    """What was measured: XLA fuses no product and sum on this device, but keeps float32 between two steps."""
    monkeypatch.setattr("signopt._namespace.fence", lambda product: product)
    arrays = near_zero(NARROW[dtype])
    assert differing(jitted(twice("lion"), *arrays), twice("lion")(*arrays)) != [0, 0]


def test_muons_momentum_has_numpys_bits_and_its_product_all_digits():
    """XLA multiplies float32 in TF32 on such devices unless it is asked for more, which the rule does."""
    arrays = near_zero()
    result, momentum = jitted(lambda p, g, m: signopt.muon(p, g, m, lr=1.0, beta=0.9, weight_decay=0.1), *arrays)
    right, wanted = signopt.muon(*arrays, lr=1.0, beta=0.9, weight_decay=HYPER["weight_decay"])
    assert differing([momentum], [wanted]) == [0]
    assert np.abs(np.asarray(result) - right).max() < 2e-5
