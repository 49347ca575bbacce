"""What the NumPy backend promises beside bits: little memory; and that the tests of bits can fail."""

import gc
import tracemalloc

import numpy as np
import pytest

from signopt.backends import _numpy_blocks as kernels
from signopt.backends.numpy import NumpyBackend
from tests.backends.cases import STEPS, assert_is_the_rule, random_tensor
from tests.thin import diagonal


@pytest.mark.parametrize(
    ("shape", "step", "threads"), diagonal([(1 << 20,), (1024, 1024)], ["lion", "tiger-moves"], [1, 2, 8])
)
def test_a_step_takes_less_than_a_mebibyte(shape, step, threads):
    p, g, m = (np.ones(shape, np.float32) for _ in range(3))
    backend = NumpyBackend([p], [m], ["embedding" if len(shape) == 2 else "matrix"])
    backend.threads = threads
    _, coefficients = STEPS[step]
    backend.step([g], coefficients)
    assert min(peak_of(lambda: backend.step([g], coefficients)) for _ in range(3)) < 1 << 20


def peak_of(work):
    """Bytes allocated at once during ``work``, other threads' included: those of what the process does besides too."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_a_full_size_temporary_would_be_seen():
    assert min(peak_of(lambda: np.ones(1 << 20, np.float32) + np.float32(1)) for _ in range(3)) > 1 << 20


def fused_average(g, m, work, keep, take):
    """m ← keep·m + take·g with one rounding, as a contraction to FMA gives it (float64 holds the products exactly)."""
    m[...] = np.float64(np.float32(keep)) * m + np.float64(np.float32(take)) * g


def reordered_descent(p, work, rate, weight_decay, shape=(-1,)):
    p *= np.float32(1 - rate * weight_decay)
    p -= np.float32(rate) * work.step


def blind_to_nan(values, room):
    return False


@pytest.mark.parametrize(
    ("function", "bug"),
    [("_average", fused_average), ("_descend", reordered_descent), ("has_nan", blind_to_nan)],
)
def test_planted_bugs_are_seen(monkeypatch, function, bug):
    p, g, m = random_tensor((5000,), "f32", 0)
    g[17] = np.nan
    monkeypatch.setattr(kernels, function, bug)
    with pytest.raises(AssertionError, match="is not"):
        assert_is_the_rule(NumpyBackend, [(p, g, m)], "lion")
