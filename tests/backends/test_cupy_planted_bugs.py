"""Bugs planted in the kernels' source: the tests that guard the bits see each of them."""

from __future__ import annotations

import functools

import pytest

from tests.backends import test_cupy_bits as bits
from tests.backends import test_cupy_rounding as modes
from tests.backends.cupy_cases import COEFFICIENTS, cases, tiger_coefficients
from tests.backends.cupy_device import needs_cupy
from tests.backends.test_cupy_large import test_the_last_rows_of_a_large_embedding as far_rows
from tests.backends.test_cupy_steps import test_any_strides as check_strides
from tests.backends.test_storage import test_momentum_is_rounded_once as check_rounding

pytestmark = needs_cupy

BUGS = {
    "betas swapped in c": ("lion.cu", "add(mul(B1, m), mul(A1, g))", "add(mul(B2, m), mul(A2, g))"),
    "momentum with the betas of c": ("lion.cu", "add(mul(B2, m), mul(A2, g))", "add(mul(B1, m), mul(A1, g))"),
    "sign of the new momentum": ("lion.cu", "sign(c)", "sign(add(mul(B2, m), mul(A2, g)))"),
    "decay without lr": ("lion.cu", "sub(p, mul(lr, u))", "sub(sub(p, mul(lr, sign(c))), mul(weight_decay, p))"),
    "decay of the updated parameter": (
        "lion.cu",
        "p = sub(p, mul(lr, u))",
        "p = sub(p, mul(lr, sign(c))), p = sub(p, mul(lr, mul(weight_decay, p)))",
    ),
    "fused multiply-add": ("lion.cu", "add(mul(B1, m), mul(A1, g))", "B1 * m + A1 * g"),
    "sign(0) = 1": ("elements.cuh", "x == 0 ? C(0)", "x == 0 ? C(1)"),
    "sign(NaN) = 0": ("elements.cuh", "x == 0 ? C(0) : x", "C(0)"),
    "momentum rounded before its sign": (
        "signum.cu",
        "p = sub",
        "momentum_t kept; narrow(m, kept); m = widen(kept); p = sub",
    ),
    "tail off by one": (
        "elements.cuh",
        "for (; i < end; i += THREADS) update_one",
        "for (; i < end - 1; i += THREADS) update_one",
    ),
    "one pack too many": (
        "elements.cuh",
        "i + PACK <= end; i += (long long)THREADS",
        "i < end; i += (long long)THREADS",
    ),
    "tail that starts late": ("elements.cuh", "end - end % PACK + threadIdx.x", "end - end % PACK + threadIdx.x + 1"),
    "first block only": (
        "elements.cuh",
        "i = begin + (long long)threadIdx.x * PACK",
        "i = (long long)threadIdx.x * PACK",
    ),
    "lanes crossed": ("elements.cuh", "&m.at[j], &g.at[j], ", "&m.at[j], &g.at[j ^ 1], "),
    "alignment of the gradient forgotten": ("elements.cuh", " && aligned(start.grad)", ""),
    "alignment of the momentum forgotten": ("elements.cuh", " && aligned(start.momentum)", ""),
    "stride of a loop too long": ("elements.cuh", "for (; i < end; i += THREADS)", "for (; i < end; i += 2 * THREADS)"),
    "a stride of the parameter for the momentum": ("elements.cuh", "index * at.momentum", "index * at.param"),
    "an axis forgotten": ("elements.cuh", "i = left;", "i = 0;"),
    "lanes in 32 bits": ("tiger.cu", "const long long lane = (blockIdx", "const int lane = (blockIdx"),
    "truncated to half": ("elements.cuh", ': "f"(x));', ': "f"(__uint_as_float(__float_as_uint(x) & 0xffffe000)));'),
    "bfloat16 ties away from zero": ("elements.cuh", "bits + 0x7fff + (bits >> 16 & 1)", "bits + 0x8000"),
    "float64 rounded to float on its way to bfloat16": ("elements.cuh", "__uint_as_float(toward_zero | 1)", "near"),
    "float64 rounded to float on its way to half": (
        "elements.cuh",
        'asm("cvt.rn.f16.f64 %0, %1;" : "=h"(to.bits) : "d"(x));',
        "narrow(__double2float_rn(x), to);",
    ),
    "bfloat16 NaN becomes Inf": (
        "elements.cuh",
        "x == x ? (unsigned short)((bits",
        "true ? (unsigned short)((bits & 0xff800000 + bits * 0",
    ),
    "window that always decays": (
        "tiger.cu",
        "m = add(mul(b1, m), mul(b2, g));\n    }",
        "m = add(mul(compute_t(0.9), m), mul(b2, g));\n    }",
    ),
    "NaN rule without its centre": ("tiger.cu", "add(mul(sub(p, centre), shrink), centre)", "mul(p, shrink)"),
    "NaN overlooked inside a window": ("tiger.cu", "if (sum_folds", "if (moves && sum_folds"),
    "Inf taken for NaN": ("tiger.cu", "x == x ? 0.0 : 1.0", "sub(x, x) == 0 ? 0.0 : 1.0"),
    "NaN looked for in the first lane only": (
        "tiger.cu",
        "i < work.lanes.value; i += work.folds.value",
        "i < work.folds.value; i += work.folds.value",
    ),
    "bias that decays": ("tiger.cu", "work.decays ? weight_decay : compute_t(0)", "weight_decay"),
    "full rate for a bias": ("tiger.cu", "work.width, half_lr, 0}", "work.width, lr, 0}"),
    "sum instead of mean": ("tiger.cu", "__ddiv_rn(squares, (double)count)", "squares"),
    "last pack of a lane left out": ("tiger.cu", "i + READ_PACK < end ? i + READ_PACK : end", "i"),
    "folds added twice": ("tiger.cu", "sum.include(numbers[i * stride]);", "sum.include(numbers[0]);"),
    "eight lanes of which one counts": ("tiger.cu", "numbers[(i + j) * stride]", "numbers[i * stride]"),
    "packs of which one counts": ("tiger.cu", "(at(i + n * stride))", "(at(i))"),
    "a batch of packs too far": ("tiger.cu", "i + (PACKS_AT_ONCE - 1) * stride + READ_PACK <= end", "i < end"),
    "low halves of another axis": ("elements.cuh", "index * at.rest", "index * at.param + 2"),
    "alignment of the low halves forgotten": ("elements.cuh", " || aligned(start.rest))", " || true)"),
    "words of the first block of eight": ("elements.cuh", "storage.words(i + first)", "storage.words(first)"),
    "a word for another lane": ("elements.cuh", "storage.words(i - lane), lane)", "storage.words(i - lane), 0)"),
    "squares of the upper halves": (
        "tiger.cu",
        "squares ? storage_t::read(element, rest) : (compute_t)widen(element)",
        "widen(element)",
    ),
    "nine rounds": ("storage.cuh", "round < 10", "round < 9"),
    "key not raised": ("storage.cuh", "k1 += 0xbb67ae85", "k1 += 0"),
    "words without the step": ("storage.cuh", "c2 = step", "c2 = 0"),
    "words without the tensor": ("storage.cuh", "c3 = tensor", "c3 = 0"),
    "half of the seed": ("storage.cuh", "k1 = (unsigned)(key >> 32)", "k1 = 0"),
    "counters of 32 bits": ("storage.cuh", "c1 = (unsigned)(block >> 32)", "c1 = 0"),
    "halves of a word crossed": ("storage.cuh", "word & 0xffff : word >> 16", "word >> 16 : word & 0xffff"),
    "a carry out of a NaN": (
        "storage.cuh",
        "magnitude > INFINITE ? 0x7fc0 : (unsigned short)((magnitude + word)",
        "false ? 0x7fc0 : (unsigned short)((magnitude + word)",
    ),
    "the place turned round": ("storage.cuh", "word > ~fraction", "word > fraction"),
    "subnormal halves flushed": ("storage.cuh", "significand >> min(dropped, 31u)", "0"),
    "ties of halves to even": (
        "storage.cuh",
        "(magnitude + 0x8000) >> 16",
        "(magnitude + 0x7fff + (magnitude >> 16 & 1)) >> 16",
    ),
    "no borrow from the upper half": ("storage.cuh", "magnitude - borrowed << 16", "magnitude << 16"),
    "low half of the first element": ("storage.cuh", "joined(p, *rest)", "joined(p, 0)"),
    "row of the next element": ("tiger.cu", "i >= row_end) {", "i > row_end) {"),
}


def lion():
    bits.assert_rule("lion", small("float32", "float32"), COEFFICIENTS["lion"])


def signum():
    bits.assert_rule("signum", small("float16", "float16"), COEFFICIENTS["signum"])


def bfloat16():
    bits.assert_rule("lion", small("bfloat16", "bfloat16"), COEFFICIENTS["lion"])


def tiger():
    for step in (0, 1, 2):
        for finite in (True, False):
            tensors = [bits.exact_squares(case) for case in small("float32", "float32", finite=finite)]
            roles = [("matrix", "bias", "scale")[index % 3] for index in range(len(tensors))]
            coefficients = tiger_coefficients(step, accumulation_steps=2)
            bits.assert_rule("tiger", tensors, coefficients, roles)


def rounding():
    for narrow in ("float16", "bfloat16"):
        check_rounding("float64", narrow, "cupy")


def strides():
    check_strides("lion", "float32", "both", None)


def rows():
    bits.test_fifty_tiger_micro_steps("float32", "float32")


def stochastic():
    for dtype in ("bfloat16", "float16"):
        modes.assert_rule(small(dtype, dtype), "stochastic", modes.drawn("lion"))


def far_words():
    with pytest.MonkeyPatch.context() as patch:
        modes.test_words_at_the_end_of_a_large_tensor("lion", patch)


def halves():
    modes.assert_rule(small("bfloat16", "float32"), "split", modes.drawn("signum"))


def strided_halves():
    modes.test_any_strides("lion", "split", "bfloat16")
    modes.test_any_strides("lion", "stochastic", "bfloat16")


def split_rms():
    modes.test_tiger_moves_by_the_rms_of_what_is_stored("matrix", "split", "bfloat16")


CHECKS = {
    "lion.cu": (lion,),
    "signum.cu": (signum,),
    "tiger.cu": (tiger, rows, far_rows, split_rms),
    "elements.cuh": (lion, signum, bfloat16, rounding, strides, stochastic, halves, strided_halves),
    "storage.cuh": (stochastic, halves, far_words),
}


@functools.cache
def small(param_dtype, momentum_dtype, *, finite=False):
    """Cases of every kind, but few enough to run them once per bug."""
    return tuple(case for case in cases(param_dtype, momentum_dtype, finite=finite) if case.size % 8 in (0, 1, 7))


@pytest.fixture
def fresh_modules():
    from signopt.backends import _cuda_compile

    def forget():
        _cuda_compile.compile_kernels.cache_clear()
        _cuda_compile._load_module.cache_clear()

    forget()
    yield
    forget()


QUICK = {
    *("betas swapped in c", "fused multiply-add", "sign(0) = 1", "momentum rounded before its sign", "tail off by one"),
    *("lanes crossed", "alignment of the momentum forgotten", "an axis forgotten", "bfloat16 ties away from zero"),
    *("window that always decays", "NaN overlooked inside a window", "folds added twice", "lanes in 32 bits"),
}
"""Bugs of every kind, planted in every run; each costs a compilation, so the others are slow."""


@pytest.mark.parametrize("bug", [pytest.param(b, marks=[] if b in QUICK else pytest.mark.slow) for b in BUGS])
@pytest.mark.one_in(4)
def test_a_planted_bug_is_seen(bug, monkeypatch, fresh_modules):
    from signopt.backends import _cuda_compile

    file, right, wrong = BUGS[bug]
    source, options = _cuda_compile._source, _cuda_compile._options
    assert right in source(file)
    monkeypatch.setattr(
        _cuda_compile, "_source", lambda name: source(name).replace(right, wrong) if name == file else source(name)
    )
    if bug == "fused multiply-add":
        monkeypatch.setattr(_cuda_compile, "_options", lambda *names: (*options(*names), "--fmad=true"))
    assert any(fails(check) for check in CHECKS[file])


def test_flushed_subnormals_are_seen(monkeypatch, fresh_modules):
    from signopt.backends import _cuda_compile

    options = _cuda_compile._options
    monkeypatch.setattr(_cuda_compile, "_options", lambda *names: (*options(*names), "--ftz=true"))
    assert fails(lion)


@pytest.mark.parametrize("check", dict.fromkeys(check for checks in CHECKS.values() for check in checks))
@pytest.mark.one_in(9)
def test_the_kernels_as_they_are_pass(check):
    check()


def fails(check) -> bool:
    """Whether ``check`` finds a difference, or the device stops the kernel."""
    from tests.backends.cupy_device import DEVICE

    try:
        check()
    except (AssertionError, RuntimeError) as error:
        if "could not compile" in str(error):
            raise
        return True
    finally:
        if DEVICE is not None:
            DEVICE.reset_log()
    return False
