"""Every allocation of a step fails once: the step has then not begun, or is whole, and can be taken again."""

import importlib.util
import shutil
import subprocess
import sysconfig
from collections import Counter
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import signopt

NEEDS_NUMBA = pytest.mark.skipif(find_spec("numba") is None, reason="Numba is not installed")


@pytest.fixture(scope="module")
def allocator(tmp_path_factory):
    """The extension beside this file, compiled."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: allocations cannot be made to fail")
    include = sysconfig.get_paths()["include"]
    if not Path(include, "Python.h").exists():
        pytest.skip(f"no Python.h in {include}: allocations cannot be made to fail")
    target = tmp_path_factory.mktemp("allocator") / f"failing_allocator{sysconfig.get_config_var('EXT_SUFFIX')}"
    source = Path(__file__).with_name("failing_allocator.c")
    options = ["-shared", "-fPIC", "-O1", f"-I{include}", f"-I{np.get_include()}"]
    subprocess.run([compiler, *options, str(source), "-o", str(target)], check=True, capture_output=True, timeout=300)
    spec = importlib.util.spec_from_file_location("failing_allocator", target)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MIXED = {
    "a/kernel": ((300, 400), np.float32),
    "b/bias": ((50,), np.float32),
    "e/embeddings": ((40, 30), np.float32),
    "f/gamma": ((7,), np.float64),
    "h": ((200, 300), np.float16),
    "d": ((100, 200), np.float64),
    "hs": ((20,), np.float16),
    "bf": ((100, 200), ml_dtypes.bfloat16),
    "long/embeddings": ((3, 90_000), np.float32),
}
NO_BFLOAT16 = {name: each for name, each in MIXED.items() if each[1] is not ml_dtypes.bfloat16}
NO_HALVES = {name: each for name, each in MIXED.items() if each[1] is not np.float16}
MATRICES = {
    "stack/0": ((6, 4), np.float32),
    "stack/1": ((6, 4), np.float32),
    "square": ((100, 100), np.float32),
    "tall": ((200, 50), np.float64),
    "wide": ((50, 200), np.float16),
}
SMALL = {f"p{i}": ((40,), np.float32) for i in range(30)} | {"q": ((3, 4), np.float64)}


def contiguous(array):
    return array.copy()


def strided(array):
    room = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    view = room[..., ::2]
    view[...] = array
    return view


def arrays(shapes, seed, layout):
    rng = np.random.default_rng(seed)
    return {n: layout((rng.standard_normal(shape) + 1).astype(dtype)) for n, (shape, dtype) in shapes.items()}


def bits(opt):
    return [array.tobytes() for array in (*opt.params.values(), *opt.momentum.values())]


def put(opt, values):
    for array, value in zip((*opt.params.values(), *opt.momentum.values()), values, strict=True):
        array[...] = value
    opt._steps = 0


MAKERS = {name: getattr(signopt, name) for name in ("Lion", "Signum", "Tiger", "Muon")}
MAKERS["spectral Muon"] = partial(signopt.Muon, decay="spectral")
CASES = [
    ("numpy", "Muon", MATRICES, strided),
    ("numpy", "spectral Muon", MATRICES, contiguous),
    ("numpy", "Lion", MIXED, contiguous),
    ("numpy", "Signum", MIXED, strided),
    ("numpy", "Tiger", MIXED, contiguous),
    ("numpy", "Tiger", SMALL, contiguous),
    ("numpy", "Lion", SMALL, strided),
    ("portable", "Lion", NO_BFLOAT16, contiguous),
    ("numba", "Lion", MIXED, contiguous),
    ("numba", "Tiger", NO_HALVES, contiguous),
]


ALIKE = {
    *(("numpy", "Lion", 1, "narrow"), ("numpy", "Signum", 1, "narrow")),
    *(("portable", "Lion", 3, None), ("numba", "Lion", 3, None)),
}
"""Like cases that every run has: of threads and of narrow momenta one of each backend is enough."""


def marks(backend, rule, threads, momentum_dtype):
    """Numba compiles Tiger for every pair of dtypes, ten seconds each: with a narrow momentum it is slow."""
    own = [pytest.mark.thorough] if (backend, rule, threads, momentum_dtype) in ALIKE else []
    if momentum_dtype and (threads > 1 or (backend, rule) == ("numba", "Tiger")):
        own = [pytest.mark.slow]
    return [*([NEEDS_NUMBA] if backend == "numba" else []), *own]


@pytest.mark.parametrize(
    ("backend", "rule", "shapes", "layout", "threads", "momentum_dtype"),
    [
        pytest.param(*case, threads, momentum_dtype, marks=marks(*case[:2], threads, momentum_dtype))
        for case in CASES
        for threads in (1, 3)
        for momentum_dtype in (None, "narrow")
    ],
)
@pytest.mark.one_in(4)
def test_a_step_without_memory(allocator, backend, rule, shapes, layout, threads, momentum_dtype):
    if backend == "portable" and momentum_dtype:
        pytest.skip("NumPy ends the process if it finds no memory while it copies bfloat16 as a whole")
    params = arrays(shapes, 0, layout)
    dtype = ml_dtypes.bfloat16 if momentum_dtype else None
    opt = MAKERS[rule](params, lr=0.01, weight_decay=0.1, backend=backend, momentum_dtype=dtype)
    if hasattr(opt._backend, "threads"):
        opt._backend.threads = threads
    grads = arrays(shapes, 1, layout)
    if rule == "Tiger":
        for name in ("a/kernel", "p3", "b/bias"):
            if name in grads:
                grads[name].flat[3] = np.nan
    start = [array.copy() for array in (*opt.params.values(), *opt.momentum.values())]
    before = bits(opt)
    opt.step({name: layout(grad) for name, grad in grads.items()})
    after, seen, points = bits(opt), Counter(), 0
    old = allocator.install()
    try:
        while True:
            put(opt, start)
            fresh = {name: layout(grad) for name, grad in grads.items()}
            outcome = "no error"
            allocator.fail_after(points)
            try:
                opt.step(fresh)
            except MemoryError:
                outcome = "MemoryError"
            finally:
                asked = allocator.times_asked()
                allocator.fail_after(-1)
            now = bits(opt)
            state = {True: "before", False: "mixed"}[now == before] if now != after else "after"
            seen[outcome, state, opt.step_count] += 1
            points += 1
            if asked < points:
                break
    finally:
        allocator.restore(old)
    assert set(seen) <= {("MemoryError", "before", 0), ("no error", "after", 1)}, dict(seen)
    assert seen["MemoryError", "before", 0] > 3
