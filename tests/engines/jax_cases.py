"""Data, meshes and comparisons for the tests on eight virtual JAX devices."""

from functools import partial

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import signopt
from tests.bits import bits

RULES = {
    "lion": partial(signopt.lion, betas=(0.9, 0.99)),
    "signum": signopt.signum,
    "tiger": partial(signopt.tiger, role="bias"),
    "tiger-scale": partial(signopt.tiger, role="scale", step=1, accumulation_steps=2),
    "tiger-matrix": signopt.tiger,
    "tiger-embedding": partial(signopt.tiger, role="embedding"),
}
SHAPE = (64, 256)


@pytest.fixture(autouse=True)
def _without_x64():
    """JAX as it is by default, whatever another test has set."""
    with jax.enable_x64(False):
        yield


def near_zero(dtype=np.float32, seed=0):
    """A parameter, gradient and momentum; half of the elements have 0.9·m + 0.1·g within rounding of 0."""
    rng = np.random.default_rng(seed)
    p, g, m = (rng.standard_normal(SHAPE).astype(np.float32) for _ in range(3))
    half = SHAPE[0] // 2
    g[:half] = -9.0 * m[:half].astype(np.float64) * (1 + 3e-7 * rng.standard_normal((half, SHAPE[1])))
    return tuple(array.astype(dtype) for array in (p, g, m))


def with_nan(array):
    """A copy with a NaN in its last row, which only the last shard holds."""
    broken = array.copy()
    broken[-1, 3] = np.nan
    return broken


def mesh(devices=8):
    """A mesh with one axis ``"d"``."""
    return Mesh(np.array(jax.devices("cpu")[:devices]), ("d",))


def sharded(arrays, devices=8, axis=0):
    """The arrays on the devices of a mesh, cut along ``axis``."""
    spec = PartitionSpec(*(None,) * axis, "d")
    return [jax.device_put(array, NamedSharding(mesh(devices), spec)) for array in arrays]


def differing(results, expected):
    """How many elements of the results have other bits than they should."""
    for result, wanted in zip(results, expected, strict=True):
        assert result.dtype == wanted.dtype
    return [int((bits(r) != bits(e)).sum()) for r, e in zip(map(np.asarray, results), expected, strict=True)]


def collectives(function, *arguments):
    """The names of the collectives in the compiled program, one for each time that it appears."""
    text = jax.jit(function).lower(*arguments).compile().as_text()
    names = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
    return [name for name in names for _ in range(text.count(f" {name}(") + text.count(f" {name}-start("))]
