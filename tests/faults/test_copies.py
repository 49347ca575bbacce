"""``copy.deepcopy`` and ``pickle`` give an optimizer of its own, over arrays of its own."""

import copy
import gc
import pickle

import numpy as np
import pytest

import signopt
from tests.backends.cupy_device import host_device, needs_cupy
from tests.bits import assert_same_bits
from tests.thin import diagonal

__all__ = ["host_device"]

WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda opt: pickle.loads(pickle.dumps(opt))}
BACKENDS = ["portable", "numpy", "numba", "auto"]
SHAPES = {"dense/kernel": (300, 1000), "dense/bias": (7,), "embeddings": (5, 3), "s": ()}


def twice(step):
    return 1.0 + (step == 0)


def schedule_of(rule):
    return {"schedule": {10: 1.0, 20: 0.5}} if rule == "Tiger" else {}


def make(rule, backend, library="numpy"):
    rng = np.random.default_rng(0)
    arrays = [{name: rng.standard_normal(shape) for name, shape in SHAPES.items()} for _ in range(2)]
    params, grads = ({name: placed(array, library) for name, array in each.items()} for each in arrays)
    return getattr(signopt, rule)(params, lr=0.25, backend=backend, **schedule_of(rule)), grads


def placed(array, library):
    if library == "torch":
        return pytest.importorskip("torch").from_numpy(np.array(array))
    if library == "cupy":
        import cupy

        return cupy.asarray(array)
    return np.array(array)


def fetched(array):
    if hasattr(array, "detach"):
        array = array.detach().numpy()
    return array.get() if hasattr(array, "get") else array.copy()


def values(opt):
    return [fetched(array) for array in (*opt.params.values(), *opt.momentum.values())]


def assert_independent(opt, grads, way):
    """A copy after some steps does what the original does next; neither moves the other."""
    before = values(opt)
    twin = WAYS[way](opt)
    twin.step(grads)
    for now, old in zip(values(opt), before, strict=True):
        assert_same_bits(now, old)
    assert (twin.step_count, twin.backend) == (opt.step_count + 1, opt.backend)
    stepped = values(twin)
    opt.step(grads)
    for one, other in zip(values(opt), stepped, strict=True):
        assert_same_bits(one, other)
    for one, other in zip(values(twin), stepped, strict=True):
        assert_same_bits(one, other)


@pytest.mark.parametrize(
    ("backend", "library", "rule", "steps", "way"),
    diagonal(
        *(BACKENDS, ["numpy", "torch"], ["Lion", "Signum", "Tiger"], [0, 1], WAYS),
        also=lambda backend, library, rule, steps, way: steps == 1 and (library, way) != ("torch", "pickle"),
    ),
)
@pytest.mark.one_in(4)
def test_a_copy_is_independent(backend, library, rule, steps, way):
    if backend == "numba":
        pytest.importorskip("numba", reason="Numba is not installed")
    opt, grads = make(rule, backend, library)
    for _ in range(steps):
        opt.step(grads)
    assert_independent(opt, grads, way)


@needs_cupy
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("steps", [0, 1])
def test_a_copy_on_cupy_is_independent(host_device, steps, way):
    opt, grads = make("Lion", "cupy", "cupy")
    for _ in range(steps):
        opt.step(grads)
    assert_independent(opt, grads, way)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_copy_outlives_the_original(backend):
    params = {"w": np.ones(1000)}
    opt = signopt.Lion(params, lr=0.25, backend=backend)
    twin = copy.deepcopy(opt)
    del opt, params
    gc.collect()
    others = [np.full(1000, 7.0) for _ in range(8)]
    twin.step({"w": np.ones(1000)})
    assert all((other == 7.0).all() for other in others)
    assert (twin.params["w"] == 0.75).all()


def test_arrays_that_are_copied_along_stay_the_optimizers():
    model = {"w": np.ones(3)}
    model_twin, opt_twin = copy.deepcopy((model, signopt.Lion(model, lr=0.25)))
    assert opt_twin.params["w"] is model_twin["w"]
    opt_twin.step({"w": np.ones(3)})
    assert model_twin["w"].tolist() == [0.75] * 3
    assert model["w"].tolist() == [1.0] * 3


@pytest.mark.parametrize("way", WAYS)
def test_schedules_are_copied(way):
    for schedule in ({0: 1.0, 4: 0.5}, twice, None):
        twin = WAYS[way](signopt.Tiger({"bias": np.ones(3)}, lr=0.25, schedule=schedule))
        assert twin.schedule == schedule
        twin.lr = 0.5
        twin.step([np.ones(3)])


def test_a_copy_keeps_roles_and_momentum_dtype():
    opt = signopt.Tiger([np.ones((2, 3), np.float32)], roles=["embedding"], momentum_dtype=np.float16)
    twin = copy.deepcopy(opt)
    assert dict(twin.roles) == {"0": "embedding"}
    assert twin.momentum["0"].dtype == np.float16
