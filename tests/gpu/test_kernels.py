"""What only a GPU can show: the cubin path, real streams and bandwidth. Skipped, with the reason, elsewhere.

The tests of the bits and of the steps run on a GPU as well, by themselves, where there is one.
"""

from __future__ import annotations

import contextlib
import runpy
from pathlib import Path

import numpy as np
import pytest

import signopt
from tests.backends.cupy_device import NO_GPU, on_gpu
from tests.bits import assert_same_bits

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not on_gpu(), reason=NO_GPU)]

BENCHMARKS = Path(__file__).parents[2] / "asv_benchmarks" / "benchmarks"
SIZE = 1 << 26
RUNS = 20


def milliseconds(call):
    """Time on the device of one call, the median of several."""
    import cupy
    from cupyx.profiler import benchmark

    timing = benchmark(call, n_repeat=RUNS, n_warmup=3)
    return float(cupy.median(cupy.asarray(timing.gpu_times))) * 1e3


def test_the_kernels_are_loaded_as_machine_code(monkeypatch):
    import cupy

    from signopt.backends._cuda_compile import architecture_of

    monkeypatch.delenv("CUPY_COMPILE_WITH_PTX", raising=False)
    assert architecture_of(cupy.cuda.Device().id).startswith("sm_")


@pytest.mark.parametrize(
    ("rule", "dtype", "bytes_per_parameter"),
    [
        (signopt.Lion, "float32", 20),
        (signopt.Signum, "float32", 20),
        (signopt.Tiger, "float32", 28),
        (signopt.Lion, "float16", 10),
    ],
)
def test_a_step_reaches_most_of_the_copy_bandwidth(rule, dtype, bytes_per_parameter, record_property):
    import cupy

    param, grad = (cupy.random.standard_normal(SIZE, dtype=cupy.float32).astype(dtype) for _ in range(2))
    opt = rule([param])
    target = cupy.empty_like(param)
    copy = 2 * param.nbytes / milliseconds(lambda: cupy.copyto(target, param))
    step = bytes_per_parameter * SIZE / milliseconds(lambda: opt.step([grad]))
    record_property("fraction of copy bandwidth", step / copy)
    assert step > 0.7 * copy


def test_a_side_stream_is_ordered_with_events():
    import cupy

    param, grad = cupy.zeros(SIZE, dtype=cupy.float32), cupy.ones(SIZE, dtype=cupy.float32)
    opt = signopt.Signum([param], lr=0.5, beta=0.0)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        for _ in range(8):
            opt.step([grad])
        done = stream.record()
    cupy.cuda.get_current_stream().wait_event(done)
    assert bool((param == -4).all())


def test_the_last_elements_of_a_tensor_beyond_32_bits():
    """5·10⁹ bfloat16 elements, 30 GB: an index of 32 bits would update others, or none."""
    import cupy

    size = 5 * 10**9 + 3
    free, _ = cupy.cuda.runtime.memGetInfo()
    if free < 7 * size:
        pytest.skip(f"needs {7 * size / 1e9:.0f} GB of device memory, and {free / 1e9:.0f} are free")
    tail = 1 << 16
    rng = np.random.default_rng(0)
    ends = [rng.standard_normal(tail).astype(np.float32) for _ in range(2)]
    param, grad = (cupy.zeros(size, dtype="bfloat16") for _ in range(2))
    for array, end in zip((param, grad), ends, strict=True):
        array[-tail:] = cupy.asarray(end).astype("bfloat16")
    right, right_momentum = (cupy.asnumpy(array[-tail:]) for array in (param, grad))
    right, right_momentum = signopt.lion(right, right_momentum, np.zeros_like(right), lr=0.5, weight_decay=0.1)
    opt = signopt.Lion({"w": param}, lr=0.5, weight_decay=0.1)
    opt.step({"w": grad})
    assert_same_bits(cupy.asnumpy(param[-tail:]), right)
    assert_same_bits(cupy.asnumpy(opt.momentum["w"][-tail:]), right_momentum)
    assert not cupy.count_nonzero(param[: size - tail].view(np.uint16))
    del opt, param, grad
    cupy.get_default_memory_pool().free_all_blocks()


@pytest.mark.parametrize("rule", ["lion", "signum", "tiger"])
def test_the_benchmark_of_asv_runs(rule):
    benchmark = runpy.run_path(str(BENCHMARKS / "cupy_steps.py"))["GpuStep"]()
    benchmark.setup(rule, "1000 tensors")
    benchmark.time_step(rule, "1000 tensors")
    assert benchmark.track_bytes_per_second(rule, "1000 tensors") > 0


def test_a_capture_of_muon_is_refused_or_right():
    """A step under capture allocates from CuPy's pool, which CUDA may refuse; it must not be half captured."""
    import cupy

    param, grad = (cupy.random.standard_normal((64, 32), dtype=cupy.float32) for _ in range(2))
    twin = param.copy()
    opt, straight = (signopt.Muon([array], lr=0.1) for array in (param, twin))
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        for _ in range(2):
            opt.step([grad])
        before = param.copy()
        stream.begin_capture()
        try:
            opt.step([grad])
            graph = stream.end_capture()
        except (RuntimeError, MemoryError) as error:
            print(f"refused: {type(error).__name__}: {error}")
            with contextlib.suppress(RuntimeError):
                stream.end_capture()
            assert bool((param == before).all())
            return
        graph.launch(stream)
        stream.synchronize()
    for _ in range(3):
        straight.step([grad])
    assert_same_bits(cupy.asnumpy(param), cupy.asnumpy(twin))
