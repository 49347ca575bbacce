"""The kernels compile for every architecture, and PTX and machine code are what they were written to become."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tests.backends.cupy_cases import DTYPE_PAIRS
from tests.backends.cupy_device import host_device, needs_cupy
from tests.cupy_on_cpu.machine_code import contractible, disassemble, unfit_modifiers, why_no_disassembler
from tests.thin import diagonal, keeping

pytestmark = needs_cupy
__all__ = ["host_device"]

_reason = why_no_disassembler()
needs_disassembler = pytest.mark.skipif(_reason is not None, reason=str(_reason))

ARCHITECTURES = ("75", "80", "86", "87", "88", "89", "90", "100", "103", "110", "120", "121")
OLD_AND_NEW = ("75", "80", "103")
RULES = ("lion", "signum", "tiger")
MOST_REGISTERS = 80
"""With 256 threads to a block, three blocks still fit on a multiprocessor."""

QUICK = {
    ("nearest", "float32", "float32"): OLD_AND_NEW,
    ("nearest", "bfloat16", "float32"): OLD_AND_NEW[1:2],
    ("stochastic", "bfloat16", "float32"): OLD_AND_NEW[1:2],
    ("split", "bfloat16", "float32"): OLD_AND_NEW[1:2],
}
"""The architectures to look at the machine code of without those that are slow: of each one rule in every run."""

MODES = [("nearest", *pair) for pair in DTYPE_PAIRS[:6]]
MODES += [("stochastic", *pair) for pair in DTYPE_PAIRS[2:6]]
MODES += [("split", *pair) for pair in DTYPE_PAIRS[2:6] if pair[0] == "bfloat16"]


def machine_code_marks(rule, mode, architecture):
    """Tiger, whose kernel is the largest, and one rule of each mode, in turn, are in every run."""
    last = OLD_AND_NEW[-1:] if mode[0] == "nearest" or mode[1:] == ("float16", "float16") else ()
    if architecture not in QUICK.get(mode, last):
        return [pytest.mark.slow]
    in_turn = RULES[(MODES.index(mode) + OLD_AND_NEW.index(architecture)) % len(RULES)]
    return [] if rule == in_turn or (rule, mode) == ("tiger", MODES[0]) else [pytest.mark.thorough]


COMBINATIONS = [
    pytest.param(rule, *mode, sm, marks=machine_code_marks(rule, mode, sm))
    for rule in RULES
    for mode in MODES
    for sm in (ARCHITECTURES if mode[1:] == ("float32", "float32") else OLD_AND_NEW)
]


def compiled(rule, param_dtype, momentum_dtype, architecture, rounding="nearest"):
    from signopt.backends._cuda_compile import compile_kernels

    return compile_kernels(rule, param_dtype, momentum_dtype, architecture, rounding)


def itemsize(name):
    return np.dtype(getattr(ml_dtypes, name, name)).itemsize


def test_the_architectures_are_those_of_nvrtc():
    from cupy_backends.cuda.libs import nvrtc

    assert set(map(int, ARCHITECTURES)) <= set(nvrtc.getSupportedArchs())


@pytest.mark.parametrize(("setting", "kind"), [(None, "sm_80"), ("0", "sm_80"), ("1", "compute_80")])
def test_ptx_is_loaded_where_the_environment_asks_for_it(setting, kind, monkeypatch, host_device):
    from signopt.backends._cuda_compile import architecture_of

    monkeypatch.delenv("CUPY_COMPILE_WITH_PTX")
    if setting is not None:
        monkeypatch.setenv("CUPY_COMPILE_WITH_PTX", setting)
    assert architecture_of(0) == kind


def test_a_device_newer_than_nvrtc_gets_ptx(monkeypatch, host_device):
    from cupy_backends.cuda.libs import nvrtc

    from signopt.backends._cuda_compile import architecture_of

    monkeypatch.delenv("CUPY_COMPILE_WITH_PTX")
    monkeypatch.setattr(nvrtc, "getSupportedArchs", lambda: [70, 75])
    assert architecture_of(0) == "compute_75"


@pytest.mark.parametrize(
    ("rule", "mode"),
    diagonal(RULES, [*MODES, *(("nearest", *pair) for pair in DTYPE_PAIRS[6:])]),
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
@pytest.mark.one_in(4)
def test_ptx_fixes_every_rounding(rule, mode):
    rounding, param_dtype, momentum_dtype = mode
    ptx = compiled(rule, param_dtype, momentum_dtype, "compute_75", rounding)
    assert contractible(ptx) == []
    assert unfit_modifiers(ptx) == []


@pytest.mark.parametrize("rule", RULES)
def test_threads_never_wait_for_each_other(rule):
    ptx = compiled(rule, "float32", "float32", "compute_75").decode()
    for word in ("bar.", "barrier.", ".shared", "atom.", "red.", "shfl.", "vote.", ".local"):
        assert word not in ptx


@needs_disassembler
@pytest.mark.parametrize(("rule", "rounding", "param_dtype", "momentum_dtype", "architecture"), COMBINATIONS)
@pytest.mark.one_in(4)
def test_machine_code(rule, rounding, param_dtype, momentum_dtype, architecture):
    """Random words move no bytes at all, and low halves their own two, read and written."""
    cubin = compiled(rule, param_dtype, momentum_dtype, f"sm_{architecture}", rounding)
    functions = {f.name: f for f in disassemble(cubin)}
    for function in functions.values():
        assert function.stack == 0
        assert function.spills == 0
        assert function.registers <= MOST_REGISTERS
        assert function.fused == (1 if function.divides else 0)
        assert not function.divides or "tiger" in function.name
    p, m = itemsize(param_dtype), itemsize(momentum_dtype)
    pack, rest = 16 // min(p, m), 2 if rounding == "split" else 0
    loops = [(2 * p + m + rest, p + m + rest)]
    if rule == "tiger":
        loops += [(p + m, m), (p + rest, p + rest)]
    main = functions[f"signopt_{rule}"]
    once, twice = loops, [loops[0], *loops]  # the compiler may write the loop that moves parameters out twice
    assert [main.wide_loads * 16, main.wide_stores * 16] in [
        [pack * sum(moved) for moved in zip(*written, strict=True)] for written in (once, twice)
    ]


CONTROLS = {
    "fused": "p[i] = p[i] * a + p[i + 1];",
    "spills": "float kept[64]; for (int j = 0; j < 64; j++) kept[int(p[j]) & 63] = a; p[i] = kept[int(p[i]) & 63];",
    "rounded": "p[i] = __fadd_rn(__fmul_rn(p[i], a), p[i + 1]);",
    "flushed": 'float x; asm("mul.rn.ftz.f32 %0, %1, %2;" : "=f"(x) : "f"(p[i]), "f"(a)); p[i] = x;',
    "approximate": "p[i] = __fdividef(a, p[i]);",
    "wide": "float4 x = ((float4 *)p)[i]; x.x += a, x.y += a, x.z += a, x.w += a; ((float4 *)p)[i] = x;",
}


def control(name, architecture):
    from cupy_backends.cuda.libs import nvrtc

    source = f'extern "C" __global__ void control(float *p, float a) {{ int i = threadIdx.x; {CONTROLS[name]} }}'
    program = nvrtc.createProgram(source, "control.cu", (), ())
    nvrtc.compileProgram(program, (f"--gpu-architecture={architecture}",))
    image = (nvrtc.getCUBIN if architecture.startswith("sm_") else nvrtc.getPTX)(program)
    return image if isinstance(image, bytes) else image.encode()


@needs_disassembler
@pytest.mark.parametrize("architecture", keeping(OLD_AND_NEW, ["80"]))
def test_the_machine_code_checks_can_fail(architecture):
    seen = {
        name: disassemble(control(name, f"sm_{architecture}"))[0] for name in ("fused", "spills", "rounded", "wide")
    }
    assert [seen[name].fused for name in ("fused", "rounded")] == [1, 0]
    assert seen["spills"].stack > 0
    assert seen["spills"].spills > 0
    assert [seen[name].wide_loads for name in ("fused", "wide")] == [0, 1]
    assert [seen[name].wide_stores for name in ("fused", "wide")] == [0, 1]


@pytest.mark.parametrize(
    ("name", "open_roundings", "unfit"),
    [("fused", 1, 0), ("rounded", 0, 0), ("flushed", 0, 1), ("approximate", 0, 1)],
)
def test_the_ptx_checks_can_fail(name, open_roundings, unfit):
    ptx = control(name, "compute_75")
    assert (len(contractible(ptx)), len(unfit_modifiers(ptx))) == (open_roundings, unfit)


def test_the_kernels_use_nothing_but_their_own_header():
    """So that they compile without the CUDA headers; elements.cuh includes storage.cuh."""
    from importlib.resources import files

    kernels = files("signopt.backends") / "kernels"
    includes = [
        line for rule in RULES for line in (kernels / f"{rule}.cu").read_text().splitlines() if "#include" in line
    ]
    assert includes == ['#include "elements.cuh"'] * 3
    assert (kernels / "elements.cuh").read_text().count("#include") == 1
    assert "#include" not in (kernels / "storage.cuh").read_text()
