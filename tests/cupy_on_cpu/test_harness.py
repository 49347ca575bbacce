"""The host device itself: it computes what CUDA would, and is loud where it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from tests import cupy_on_cpu
from tests.backends.cupy_device import DEVICE, host_device
from tests.cupy_on_cpu.ptx import UnsupportedPTXError, parse
from tests.cupy_on_cpu.seam import VanishedEntryPointError, replace_entry_points
from tests.cupy_on_cpu.translate import translate

__all__ = ["host_device"]

needs_device = pytest.mark.skipif(DEVICE is None, reason=f"no host device: {cupy_on_cpu.why_not()}")

HEADER = ".version 8.0\n.target sm_75\n.address_size 64\n"


def kernel(body, parameters=".param .u64 k_param_0"):
    return f"{HEADER}.visible .entry k(\n{parameters}\n)\n{{\n{body}\nret;\n}}\n"


def raw(source, name="k"):
    import cupy

    return cupy.RawKernel(f'extern "C" __global__ {source}', name)


@pytest.mark.parametrize(
    "instruction",
    [
        "atom.global.add.f32 %f1, [%rd1], %f1;",
        "shfl.sync.bfly.b32 %r1, %r1, 1, 31, -1;",
        "ex2.approx.f32 %f1, %f1;",
        "div.full.f32 %f1, %f1, %f1;",
        "bar.sync 1;",
        "ld.volatile.global.f32 %f1, [%rd1];",
        "cvt.sat.f32.f32 %f1, %f1;",
        "add.rz.f32 %f1, %f1, %f1;",
        "mov.u32 %r1, %smid;",
        "vote.sync.any.pred %p1, %p1, -1;",
    ],
)
def test_an_instruction_that_is_not_modelled_raises(instruction):
    registers = ".reg .pred %p<2>; .reg .f32 %f<2>; .reg .b32 %r<2>; .reg .b64 %rd<2>;"
    with pytest.raises((UnsupportedPTXError, KeyError)):
        translate(parse(kernel(registers + instruction))[0])


@pytest.mark.parametrize("text", [HEADER, HEADER + ".func f() { ret; }", kernel(".local .align 4 .b8 depot[8];")])
def test_a_module_that_is_not_modelled_raises(text):
    with pytest.raises(UnsupportedPTXError):
        parse(text)


@needs_device
def test_arithmetic_gives_the_nan_of_the_device():
    import cupy

    kernel_ = raw("void k(float *x) { x[0] = x[0] * 2.0f; x[1] = x[1] + 1.0f; }")
    x = cupy.asarray(np.array([0x7FC00000, 0xFFA00001], np.uint32).view(np.float32))
    kernel_((1,), (1,), (x,))
    assert x.get().view(np.uint32).tolist() == [0x7FFFFFFF, 0x7FFFFFFF]


def test_registers_of_inner_scopes_are_kept_apart():
    body = ".reg .b32 %r<2>; mov.u32 %r1, 1; { .reg .b32 t; mov.u32 t, %r1; } { .reg .b32 t; mov.u32 t, %r1; }"
    (parsed,) = parse(kernel(body))
    moves = [item.operands[0] for item in parsed.instructions() if item.opcode == "mov"]
    assert len(set(moves)) == 3


@needs_device
def test_an_entry_point_that_has_vanished():
    from cupy_backends.cuda.api import runtime

    with pytest.raises(VanishedEntryPointError, match="launchRocket: found nothing"):
        replace_entry_points(runtime, {"launchRocket": lambda: None})


@needs_device
def test_an_entry_point_that_is_not_implemented(host_device):
    from cupy_backends.cuda.api import runtime

    with pytest.raises(NotImplementedError, match="mallocManaged"):
        runtime.mallocManaged(8)


@needs_device
def test_untested_versions_are_refused(monkeypatch):
    monkeypatch.setattr(cupy_on_cpu, "TESTED_CUPY", ("1.0.0",))
    assert "not one of 1.0.0" in cupy_on_cpu.why_not()


@needs_device
@pytest.mark.parametrize("index", ["4", "-1", "1ll << 40"])
def test_an_access_outside_of_an_array(index, host_device):
    import cupy

    array = cupy.zeros(4, dtype=cupy.float32)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        raw(f"void k(float *p) {{ p[{index}] = 1; }}")((1,), (1,), (array,))
    assert len(host_device.errors) == 1
    host_device.errors.clear()


@needs_device
def test_a_misaligned_vector_access(host_device):
    import cupy

    array = cupy.zeros(9, dtype=cupy.float32)
    with pytest.raises(RuntimeError, match="misaligned address"):
        raw("void k(float4 *p) { *p = make_float4(1, 2, 3, 4); }")((1,), (1,), (array[1:],))
    host_device.errors.clear()


@needs_device
@pytest.mark.parametrize("order", [0, 1, 7, 12_345])
def test_barriers_and_shared_memory(order, host_device):
    import cupy

    host_device.order = order
    source = """void k(const float *x, float *y) {
        __shared__ float kept[64];
        for (int round = 0; round < 3; round++) {
            kept[threadIdx.x] = x[64 * blockIdx.x + threadIdx.x] + round;
            __syncthreads();
            y[64 * blockIdx.x + threadIdx.x] = kept[63 - threadIdx.x];
            __syncthreads();
        }
    }"""
    values = np.arange(192, dtype=np.float32)
    out = cupy.zeros(192, dtype=cupy.float32)
    raw(source)((3,), (64,), (cupy.asarray(values), out))
    np.testing.assert_array_equal(out.get(), values.reshape(3, 64)[:, ::-1].ravel() + 2)


@needs_device
@pytest.mark.parametrize("order", [1, 7, 12_345])
def test_orders_are_permutations(order, host_device):
    import cupy

    host_device.order = order
    counter, seen = cupy.zeros(1, dtype=cupy.int32), cupy.full(300, -1, dtype=cupy.int32)
    raw("void k(int *n, int *seen) { seen[blockIdx.x * 50 + threadIdx.x] = (*n)++; }")((6,), (50,), (counter, seen))
    ranks = seen.get()
    assert sorted(ranks) == list(range(300))
    assert ranks.tolist() != list(range(300))


@needs_device
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "divide"])
@pytest.mark.one_in(4)
def test_arithmetic_is_that_of_numpy(dtype, operation):
    import cupy

    rng = np.random.default_rng(0)
    left, right = ((rng.standard_normal(500) * 10.0 ** rng.uniform(-3, 3, 500)).astype(dtype) for _ in range(2))
    result = getattr(cupy, operation)(cupy.asarray(left), cupy.asarray(right)).get()
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(result, getattr(np, operation)(left, right))


@needs_device
@pytest.mark.parametrize(("source", "target"), [("float64", "float16"), ("float32", "float16")])
def test_conversions_are_those_of_numpy(source, target):
    """Into float32 CuPy's own kernels flush subnormals, so that target is not among them."""
    import cupy

    info = np.finfo(target)
    ends = [info.smallest_subnormal / 2, info.smallest_subnormal * 0.75, info.max, np.inf, -0.0]
    values = np.array([*ends, 1 + float(info.eps) / 2, 1 + 3 * float(info.eps) / 2, 1e-5, np.pi], dtype=source)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(cupy.asarray(values).astype(target).get(), values.astype(target))


@needs_device
def test_what_a_capture_forbids(host_device):
    import cupy

    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        for forbidden in (lambda: cupy.empty(3), stream.synchronize):
            with pytest.raises(RuntimeError, match=r"900|[Cc]apture"):
                forbidden()
        stream.end_capture()
    host_device.errors.clear()


@needs_device
def test_fresh_memory_is_poisoned():
    import cupy

    assert set(cupy.empty(16, dtype=cupy.uint8).get()) == {0xAB}
