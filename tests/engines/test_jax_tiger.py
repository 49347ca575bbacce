"""Tiger under JAX: its RMS and NaN rule over devices, its windows and schedule inside a compiled loop."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import shard_map
from jax.sharding import PartitionSpec

import signopt
from signopt._namespace import namespace_of
from signopt._traced import Traced, binary64
from signopt.rules.tiger import root_mean_square
from signopt.schedules import Cosine, factor_at, piecewise_linear
from tests.engines.jax_cases import (  # noqa: F401
    _without_x64,
    collectives,
    differing,
    mesh,
    near_zero,
    sharded,
    with_nan,
)
from tests.thin import diagonal

ROLES = ["matrix", "embedding", "bias", "scale"]


def one_of_each(role, axis, broken):
    """A role whose scale is of rows, cut along and across them."""
    return role == "embedding" and broken


WINDOW = {"accumulation_steps": 3, "schedule": {0: 0.3, 7: 1.0, 9: 0.123}, "weight_decay": 0.1}


def test_one_all_reduce_for_the_mean_square_and_the_nan_rule():
    assert collectives(signopt.tiger, *sharded(near_zero())) == ["all-reduce"]
    assert collectives(partial(signopt.tiger, role="bias"), *sharded(near_zero())) == ["all-reduce"]


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
@pytest.mark.one_in(4)
def test_the_rms_is_numpys_on_any_number_of_devices(devices):
    def rms(array):
        return root_mean_square(namespace_of(array), array, "tensor")

    compiled, differ = jax.jit(rms), 0
    for seed in range(100):
        array = np.random.default_rng(seed).standard_normal((64, 65)).astype(np.float32)
        differ += compiled(*sharded([array], devices)) != rms(array)
    assert differ == 0


@pytest.mark.parametrize("role", ROLES)
def test_a_nan_in_one_shard_shrinks_the_whole_tensor(role):
    p, g, m = near_zero()
    step = partial(signopt.tiger, role=role)
    expected = step(p, with_nan(g), m)
    assert differing(jax.jit(step)(*sharded((p, with_nan(g), m))), expected) == [0, 0]


@pytest.mark.parametrize(("role", "broken"), diagonal(ROLES, [False, True]))
@pytest.mark.one_in(4)
def test_a_scan_over_micro_steps(role, broken):
    p, g, m = near_zero()
    grads = np.stack([with_nan(g) if broken and t == 4 else g * np.float32(1 - t / 20) for t in range(12)])
    step = partial(signopt.tiger, lr=0.01, role=role, **WINDOW)

    def body(carry, inputs):
        return step(carry[0], inputs[0], carry[1], step=inputs[1]), None

    results = jax.jit(lambda p, m: jax.lax.scan(body, (p, m), (grads, jnp.arange(12)))[0])(p, m)
    expected = p, m
    for t, grad in enumerate(grads):
        expected = step(expected[0], grad, expected[1], step=t)
    assert differing(results, expected) == [0, 0]


def test_all_numbers_may_be_traced():
    def step(arrays, numbers):
        return signopt.tiger(*arrays, **numbers)

    numbers = {"step": 5, "accumulation_steps": 3} | {
        name: np.float32(value) for name, value in (("lr", 0.01), ("beta", 0.9), ("weight_decay", 0.1), ("shrink", 0.9))
    }
    for arrays in (near_zero(), (near_zero()[0], with_nan(near_zero()[1]), near_zero()[2])):
        assert differing(jax.jit(step)(arrays, numbers), step(arrays, numbers)) == [0, 0]


def test_a_callable_schedule_is_given_the_traced_step():
    step = partial(signopt.tiger, schedule=lambda t: t * 0.125)
    arrays = near_zero()
    assert differing(jax.jit(step)(*arrays, step=3), step(*arrays, step=3)) == [0, 0]


def test_a_cosine_says_what_to_do_instead():
    step = jax.jit(partial(signopt.tiger, schedule=Cosine(10)))
    with pytest.raises(TypeError, match=r"pass lr times schedule.step. as lr"):
        step(*near_zero(), step=3)


@pytest.mark.parametrize("schedules", [4, pytest.param(20, marks=pytest.mark.thorough)])
def test_a_traced_schedule_is_correctly_rounded(schedules):
    rng = np.random.default_rng(1)
    for _ in range(schedules):
        keys = np.unique(rng.integers(0, 100_000, 5))
        schedule = {int(key): float(value) for key, value in zip(keys, rng.uniform(0, 2, len(keys)), strict=True)}
        steps = np.append(rng.integers(0, 100_000, 200), keys).astype(np.int32)

        def factor(step, schedule=schedule):
            value = factor_at(schedule, Traced(step))
            with binary64(step):
                return value.wide()

        expected = [piecewise_linear(schedule, int(step)) for step in steps]
        assert np.asarray(jax.jit(jax.vmap(factor))(steps)).tolist() == expected


@pytest.mark.parametrize(("role", "axis", "broken"), diagonal(ROLES, [0, 1], [True, False], also=one_of_each))
@pytest.mark.one_in(4)
def test_facts_make_a_shard_a_part_of_the_whole(role, axis, broken):
    p, g, m = near_zero()
    arrays = p, with_nan(g) if broken else g, m

    def step(p, g, m):
        rows_are_whole = role == "embedding" and axis == 0
        facts = signopt.tiger_facts(p, g, "matrix" if rows_are_whole else role)
        return signopt.tiger(p, g, m, role=role, facts=jax.lax.psum(facts, "d"))

    cut = PartitionSpec(*(None,) * axis, "d")
    mapped = shard_map(step, mesh=mesh(), in_specs=(cut,) * 3, out_specs=(cut,) * 2)
    assert differing(jax.jit(mapped)(*arrays), signopt.tiger(*arrays, role=role)) == [0, 0]


def test_facts_of_jax_arrays_are_float64():
    facts = signopt.tiger_facts(*map(jnp.asarray, near_zero()[:2]))
    assert str(facts.dtype) == "float64"
    assert signopt.tiger(*map(jnp.asarray, near_zero()), facts=np.asarray(facts))[0].shape == near_zero()[0].shape
    with pytest.raises(TypeError, match="float64"):
        signopt.tiger(*map(jnp.asarray, near_zero()), facts=jnp.asarray([1.0, 2.0, 0.0]))
