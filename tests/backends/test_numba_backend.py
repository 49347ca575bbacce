"""What the compiled backend promises beside bits: nothing contracted, vectors, no waste of memory, safe threads."""

import gc
import importlib
import platform
import re
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="Numba is not installed: pip install 'signopt[numba]'")

from signopt.backends import _numba_kernels as kernels  # noqa: E402
from signopt.backends._numba_squares import squares_and_nan  # noqa: E402
from signopt.backends._numba_tables import TensorTable, is_compiled  # noqa: E402
from signopt.backends.numba import NumbaBackend  # noqa: E402
from signopt.backends.numpy import NumpyBackend  # noqa: E402
from tests.backends.cases import ROLES, STEPS, STORAGE, assert_is_the_rule, random_tensor  # noqa: E402
from tests.bits import assert_same_bits  # noqa: E402
from tests.thin import diagonal, keeping  # noqa: E402

FEATURES = importlib.import_module("llvmlite.binding").get_host_cpu_features()
HAS_FMA = FEATURES.get("fma", False) or platform.machine() in ("aarch64", "arm64")
CONTRACTION = re.compile(r"\bv?f(n?m(add|sub)|mla|mls)")
VECTOR = re.compile(r"\bv?(mul|add)p[sd]\b|\bf(mul|add)\tv")


def assembly(kernel, storage="f32", **options):
    """The machine code of ``kernel``, compiled afresh for one pair of dtypes, after one call with a tiny tensor."""
    p, g, m = random_tensor((64,), storage, 0)
    table = TensorTable([0], [p], [m])
    table.point_to([g])
    compiled = numba.njit(error_model="numpy", nogil=True, **options)(kernel.py_func)
    k = table.scalars(B1=0.9, A1=0.1, B2=0.99, A2=0.01, lr=0.1, weight_decay=0.1)
    arrays = (
        array.view(like.dtype) for array, like in zip((p, m, g), table.family[2:] + table.family[2:3], strict=True)
    )
    compiled(table.family, *arrays, None, k, k.lr, k.weight_decay)
    return "\n".join(compiled.inspect_asm().values())


@pytest.mark.parametrize(
    ("kernel", "storage"),
    diagonal((kernels._lion, kernels._signum), STORAGE),
    ids=lambda value: getattr(value, "__name__", value),
)
@pytest.mark.one_in(4)
def test_nothing_is_contracted_and_the_loop_is_in_vectors(kernel, storage):
    code = assembly(kernel, storage)
    assert not CONTRACTION.search(code)
    assert VECTOR.search(code)


@pytest.mark.skipif(not HAS_FMA, reason="this processor has no FMA instruction to contract to")
def test_a_contraction_would_be_seen_in_the_code():
    assert CONTRACTION.search(assembly(kernels._lion, fastmath={"contract"}))


def test_a_contraction_would_be_seen_in_the_bits(monkeypatch):
    monkeypatch.setattr(kernels, "_lion", numba.njit(fastmath={"contract"}, nogil=True)(kernels._lion.py_func))
    monkeypatch.setattr(kernels, "lion", numba.njit(nogil=True)(kernels.lion.py_func))
    with pytest.raises(AssertionError, match="is not"):
        assert_is_the_rule(NumbaBackend, [random_tensor((5000,), "f32", 0)], "lion")


NATIVE = pytest.mark.parametrize("storage", keeping(["f64", "f32", "f16", "bf16"], ["f64", "f32", "bf16"]))


@NATIVE
def test_squares_are_summed_in_the_order_of_numpy(storage):
    """In float64, where each order has other bits; RMS is rounded afterwards, which hides most of them."""
    values = random_tensor((70_000,), storage, 0)[0]
    squares = np.square(values.astype(np.float64))
    sizes = [*range(1, 1200), *range(2040, 2060), *range(4090, 4110), 65_535, 65_536, 65_537, 69_993]
    place, like = values.ctypes.data, TensorTable([0], [values], [values]).family.param_like
    for size in sizes:
        total, broken = squares_and_nan((place, place, place, None), size, like)
        assert total == np.sum(squares[:size]), size
        assert not broken


@NATIVE
def test_a_nan_is_seen_wherever_it_is(storage):
    values = random_tensor((1003,), storage, 0)[0]
    like = TensorTable([0], [values], [values]).family.param_like
    for index in range(values.size):
        grad = values.copy()
        grad[index] = np.nan
        places = values.ctypes.data, grad.ctypes.data, values.ctypes.data, None
        assert squares_and_nan(places, values.size, like)[1], index
        assert not squares_and_nan(places, index, like)[1], index


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("step", ["tiger-within", "tiger-moves"])
@pytest.mark.one_in(4)
def test_a_tensor_too_large_for_a_cache_is_looked_at_by_one_thread_where_there_are_many(step, threads):
    shapes = [(1_300, 1_024), (66, 1_024), (69_001,), (300, 255), (40_000,)]
    tensors = [random_tensor(shape, "f64", seed) for seed, shape in enumerate(shapes)]
    assert_is_the_rule(NumbaBackend, tensors, step, threads=threads, roles=["matrix", *ROLES])
    for _, grad, _ in tensors[1::2]:
        grad.flat[-1] = np.nan
    assert_is_the_rule(NumbaBackend, tensors, step, threads=threads, roles=["matrix", *ROLES])


@pytest.mark.parametrize(
    ("step", "storage"),
    diagonal(["lion", "signum"], STORAGE) + keeping([("tiger-moves", s) for s in STORAGE], [("tiger-moves", "f32")]),
)
def test_large_tensors_that_begin_anywhere_in_a_cache_line(step, storage):
    tensor = random_tensor((kernels.CHUNK + 77,), storage, 0)
    for offset in (0, 1, 3, 7, 31):

        def shifted(array, offset=offset):
            room = np.empty(array.size + 64, array.dtype)
            start = -room.ctypes.data % 64 // array.itemsize + offset
            view = room[start : start + array.size]
            view[...] = array
            return view

        assert_is_the_rule(NumbaBackend, [tensor], step, roles=["matrix"], layout=shifted)


@pytest.mark.parametrize("step", ["lion", "tiger-moves"])
def test_a_step_takes_less_than_64_kibibytes(step):
    p, g, m = (np.ones(1 << 22, np.float32) for _ in range(3))
    backend = NumbaBackend([p], [m], ["matrix"])
    _, coefficients = STEPS[step]
    backend.step([g], coefficients)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    backend.step([g], coefficients)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert peak < 64 << 10


def test_two_python_threads_may_step_at_once():
    _, coefficients = STEPS["lion"]
    models = [[random_tensor((300_000,), "f32", seed)] for seed in range(2)]
    alone = [assert_stepped(model, coefficients) for model in models]
    together = [None, None]

    def run(number):
        together[number] = assert_stepped(models[number], coefficients)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        assert_same_bits(one, other)


def assert_stepped(model, coefficients):
    ((p, g, m),) = model
    p, m = p.copy(), m.copy()
    backend = NumbaBackend([p], [m])
    backend.threads = 2
    for _ in range(5):
        backend.step([g], coefficients)
    assert not np.array_equal(p, model[0][0])
    return p


def test_new_gradients_are_read_where_they_are():
    p, _, m = random_tensor((100,), "f32", 0)
    expected_p, expected_m = p.copy(), m.copy()
    _, coefficients = STEPS["lion"]
    compiled, reference = NumbaBackend([p], [m]), NumpyBackend([expected_p], [expected_m])
    for seed in range(5):
        g = random_tensor((100,), "f32", seed)[1]
        for backend in (compiled, reference):
            backend.step([g], coefficients)
    assert_same_bits(p, expected_p)


def test_gradients_are_not_kept_alive():
    p, g, m = random_tensor((100,), "f32", 0)
    backend = NumbaBackend([p], [m])
    backend.step([g], STEPS["lion"][1])
    gone = weakref.ref(g)
    del g
    gc.collect()
    assert gone() is None


def test_bound_arrays_cannot_be_resized_away():
    p, g, m = random_tensor((100,), "f32", 0)
    backend = NumbaBackend([p], [m])
    backend.step([g], STEPS["lion"][1])
    for array in (p, g, m):
        owned = array if array.base is None else array.base
        with pytest.raises(ValueError, match=r"resize|own"):
            array.resize((10_000,), refcheck=False)
        assert owned.size == 100


def test_what_has_no_kernel_is_served_by_numpy():
    assert not is_compiled("float16", "bfloat16")
    assert is_compiled("float32", "float32")
    p, g, m = random_tensor((50,), "f32", 0)
    backend = NumbaBackend([p[::2]], [m[::2]])
    backend.step([g[::2]], STEPS["lion"][1])
    assert backend._tables == []
