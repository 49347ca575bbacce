"""What only a GPU can show: the cubin path, real streams and bandwidth. Skipped, with the reason, elsewhere.

The tests of the bits and of the steps run on a GPU as well, by themselves, where there is one.
"""

from __future__ import annotations

import pytest

import signopt
from tests.backends.cupy_device import on_gpu

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not on_gpu(), reason="no CUDA device, or no driver for it")]

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
