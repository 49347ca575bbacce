"""Both CPU backends leave the bits of the rule: every dtype, layout, size and number of threads."""

import itertools
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import signopt.backends.numpy as numpy_backend
from signopt.backends.numpy import NumpyBackend
from tests.backends.cases import LAYOUTS, STEPS, STORAGE, assert_is_the_rule, costly, random_tensor, special_tensor

BACKENDS = [NumpyBackend]
if find_spec("numba"):
    import signopt.backends.numba as numba_backend

    BACKENDS.append(numba_backend.NumbaBackend)

EDGES = [
    0,
    1,
    2,
    3,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    65,
    127,
    128,
    129,
    255,
    256,
    257,
    1023,
    1024,
    1025,
    4095,
    4096,
    4097,
]


EVERY = pytest.mark.parametrize(
    ("backend", "storage", "step"),
    [
        pytest.param(
            backend, *case, id="-".join((backend.name, *case)),
            marks=pytest.mark.thorough if costly(*case, backend.name) else [],
        )
        for backend in BACKENDS
        for case in itertools.product(STORAGE, STEPS)
    ],
    indirect=["backend"],
)  # fmt: skip


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request, monkeypatch):
    """Each backend, threaded from 1 000 elements on."""
    monkeypatch.setattr(numpy_backend, "WORTH_A_THREAD", 1000)
    if request.param.name == "numba":
        monkeypatch.setattr(numba_backend, "WORTH_A_THREAD", 1000)
    return request.param


@EVERY
@pytest.mark.one_in(9)
def test_special_values(backend, storage, step):
    tensors = [special_tensor(storage)] + [
        tuple(array.reshape(13, -1) for array in special_tensor(storage)) for _ in range(3)
    ]
    finite = [tuple(np.where(np.isfinite(g), array, array.dtype.type(0)) for array in (p, g, m)) for p, g, m in tensors]
    assert_is_the_rule(backend, tensors + finite, step)


@EVERY
@pytest.mark.one_in(4)
def test_sizes_around_vectors_and_groups(backend, storage, step):
    tensors = [random_tensor((size,), storage, size) for size in EDGES]
    assert_is_the_rule(backend, tensors, step, roles=["matrix"] * len(tensors))
    assert_is_the_rule(backend, tensors, step)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("size", [8191, 8193, 32768, 40959, 40961, 65535, 65537, 81921, 131073, 327680, 327683])
@pytest.mark.one_in(4)
def test_sizes_around_blocks_and_chunks(backend, size, step):
    for role in ("matrix", "embedding"):
        assert_is_the_rule(backend, [random_tensor((size,), "f32", size)], step, roles=[role], threads=2)


@pytest.mark.parametrize("threads", range(1, 9))
@pytest.mark.parametrize("storage", ["f32", "f64", "bf16"])
@pytest.mark.one_in(4)
def test_threads_change_nothing(backend, threads, storage):
    shapes = [(70_001,), (9, 10_007), (301, 101), (1000,), (5,), (3, 4)]
    tensors = [random_tensor(shape, storage, seed) for seed, shape in enumerate(shapes)]
    for step in ("lion", "tiger-moves"):
        assert_is_the_rule(backend, tensors, step, threads=threads)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("grad_layout", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(backend, layout, grad_layout, step):
    shapes = [(), (7,), (3, 5), (40, 2, 30), (70, 101), (20_011,), (1, 9), (0, 4)]
    tensors = [random_tensor(shape, "f32", seed) for seed, shape in enumerate(shapes)]
    for roles in (["matrix"] * len(shapes), ["embedding"] * len(shapes)):
        assert_is_the_rule(
            backend, tensors, step, roles=roles, layout=LAYOUTS[layout], grad_layout=LAYOUTS[grad_layout]
        )


def test_unaligned_memory(backend):
    def unaligned(array):
        room = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        room[...] = array
        return room

    assert_is_the_rule(
        backend, [random_tensor((5000,), "f32", 0), random_tensor((9,), "f64", 1)], "lion", layout=unaligned
    )


def test_broadcast_gradient(backend):
    p, _, m = random_tensor((300, 50), "f32", 0)
    g = np.broadcast_to(np.float32(0.25), p.shape)
    assert_is_the_rule(backend, [(p, g, m)], "lion", grad_layout=lambda array: array)


@pytest.mark.parametrize("role", ["matrix", "embedding", "bias", "scale"])
@pytest.mark.parametrize("shape", [(30, 4), (300, 400)])
@pytest.mark.parametrize("step", ["tiger-within", "tiger-moves"])
def test_nan_in_one_gradient_stays_with_its_tensor(backend, step, shape, role):
    tensors = [random_tensor(shape, "f32", seed) for seed in range(3)]
    tensors[1][1][-1, -1] = np.nan
    assert_is_the_rule(backend, tensors, step, roles=[role] * 3, threads=2)


@settings(max_examples=40)
@given(data=st.data())
def test_generated_models(data):
    dimension = st.integers(0, 40)
    shapes = data.draw(st.lists(st.lists(dimension, max_size=3).map(tuple), min_size=1, max_size=6))
    storage = data.draw(st.sampled_from(list(STORAGE)))
    tensors = [random_tensor(shape, storage, seed) for seed, shape in enumerate(shapes)]
    roles = data.draw(st.lists(st.sampled_from(["matrix", "embedding"]), min_size=len(shapes), max_size=len(shapes)))
    for backend in BACKENDS:
        layout = LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))]
        steps = [step for step in STEPS if not costly(storage, step, backend.name)]
        assert_is_the_rule(backend, tensors, data.draw(st.sampled_from(steps)), roles=roles, layout=layout)
