"""Muon on CuPy arrays: the kernels' bits, and a step on all matrices or on none. The products are NumPy's here."""

from __future__ import annotations

import importlib

import ml_dtypes
import numpy as np
import pytest

import signopt
from tests.backends.cupy_device import host_device, needs_cupy, on_gpu, skip_without
from tests.bits import DTYPES, assert_same_bits, random_triple
from tests.thin import keeping, some

pytestmark = needs_cupy
__all__ = ["host_device"]


@pytest.fixture(autouse=True)
def products(monkeypatch):
    """Without a GPU there is no cuBLAS; the arrays then are on the host, where NumPy multiplies them."""
    if on_gpu():
        return
    import cupy

    def matmul(xp, left, right):
        product = np.matmul(cupy.asnumpy(left), cupy.asnumpy(right))
        return product if isinstance(left, np.ndarray) else cupy.asarray(product)

    for module in ("newton_schulz", "spectral_decay"):
        monkeypatch.setattr(importlib.import_module(f"signopt.rules.{module}"), "matmul", matmul)


SHAPES = {"wide": (5, 7), "tall": (7, 5), "conv": (4, 2, 3, 1), "row": (1, 300), "none": (0, 3)}
OPTIONS = {
    "default": {},
    "no look-ahead": {"nesterov": False, "adjust_lr_fn": "match_rms_adamw"},
    "spectral": {"decay": "spectral", "weight_decay": 0.5},
}


def tensors(dtype, seed=0):
    return {name: random_triple(shape, dtype, seed + i)[:2] for i, (name, shape) in enumerate(SHAPES.items())}


CASES = [(dtype, None, "default") for dtype in DTYPES] + [(np.float32, None, name) for name in list(OPTIONS)[1:]]
CASES += [(np.float16, "float32", "default"), (np.float64, "bfloat16", "default"), (np.float32, "float16", "default")]


EVERY_RUN = [(np.float32, None, "default"), (np.float32, "float16", "default")]
"""Float32, alone and with another momentum; every dtype takes CuPy seconds to compile."""


@pytest.mark.parametrize(("dtype", "momentum_dtype", "options"), keeping(CASES, EVERY_RUN))
def test_a_step_is_that_of_the_rule(dtype, momentum_dtype, options):
    import cupy

    skip_without(dtype)
    options = OPTIONS[options]
    arrays = tensors(dtype)
    params = {name: cupy.asarray(param) for name, (param, _) in arrays.items()}
    opt = signopt.Muon(params, lr=0.25, momentum_dtype=momentum_dtype, **options)
    assert opt.backend == "cupy"
    tolerance = 1e-12 if dtype == np.float64 else 2e-5 if dtype == np.float32 else 2**-6
    for step in range(2):
        grads = {name: np.roll(grad, step) for name, (_, grad) in arrays.items()}
        before = {name: (cupy.asnumpy(params[name]), cupy.asnumpy(opt.momentum[name])) for name in params}
        opt.step({name: cupy.asarray(grad) for name, grad in grads.items()})
        for name, (param, momentum) in before.items():
            wanted = signopt.muon(param, grads[name], momentum, lr=0.25, **options)
            assert_same_bits(cupy.asnumpy(opt.momentum[name]), wanted[1])
            moved = cupy.asnumpy(params[name]).astype(np.float64) - wanted[0].astype(np.float64)
            assert np.abs(moved).max(initial=0.0) <= tolerance


@pytest.mark.parametrize(
    "dtype", keeping(DTYPES, [np.float32, ml_dtypes.bfloat16]), ids=lambda dtype: np.dtype(dtype).name
)
def test_the_bracket_has_the_rules_bits(dtype):
    """For the identity as iteration, a norm of 1 and exact squares, X is the same everywhere; so is all the rest.

    The matrix is four times as tall as it is wide, so that it is scaled by 2.
    """
    import cupy

    skip_without(dtype)
    tiny = np.finfo(np.float32).smallest_subnormal if dtype == np.float32 else 0.25
    param = np.resize([tiny, -3 * tiny, 0.7, -1e-3], (8, 2)).astype(dtype)
    grad = np.resize([0.25, -0.25, 0.25], (8, 2)).astype(dtype)
    options = {"lr": 1.0, "beta": 0.0, "weight_decay": 0.7, "eps": 0.0}
    options |= {"ns_coefficients": (1.0, 0.0, 0.0), "ns_steps": 1}
    wanted = signopt.muon(param, grad, np.zeros_like(param), **options)
    on_device = cupy.asarray(param)
    opt = signopt.Muon({"w": on_device}, **options)
    opt.step({"w": cupy.asarray(grad)})
    assert_same_bits(cupy.asnumpy(on_device), wanted[0])
    assert_same_bits(cupy.asnumpy(opt.momentum["w"]), wanted[1])


def test_subnormal_momenta_are_kept():
    import cupy

    grad = np.full((2, 2), 3e-44, np.float32)
    param = cupy.zeros((2, 2), dtype=cupy.float32)
    opt = signopt.Muon({"w": param}, beta=0.5)
    opt.step({"w": cupy.asarray(grad)})
    assert_same_bits(cupy.asnumpy(opt.momentum["w"]), np.float32(0.5) * grad)
    assert (grad * np.float32(0.5)).all()


def test_arrays_that_are_not_contiguous():
    import cupy

    param, grad, _ = random_triple((6, 8), np.float32)
    big = cupy.zeros((12, 24), dtype=cupy.float32)
    view = big[::2, ::3]
    view[...] = cupy.asarray(param)
    signopt.Muon({"w": view}, lr=0.25).step({"w": cupy.asarray(np.asfortranarray(grad), order="F")})
    wanted = signopt.muon(param, grad, np.zeros_like(param), lr=0.25)[0]
    np.testing.assert_allclose(cupy.asnumpy(view), wanted, rtol=0, atol=2e-5)
    assert not cupy.asnumpy(big[1::2]).any()


def test_what_fails_before_the_launches_writes_nothing(monkeypatch):
    import cupy

    params = [cupy.ones((3, 4)), cupy.ones((5, 2))]
    opt = signopt.Muon(params)
    calls = []

    def fail(_coefficients, stack):
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError("no room")
        return cupy.zeros_like(stack)

    monkeypatch.setattr("signopt.backends._cuda_muon._iterated", fail)
    with pytest.raises(MemoryError):
        opt.step([cupy.ones((3, 4)), cupy.ones((5, 2))])
    for name, param in opt.params.items():
        assert (cupy.asnumpy(param) == 1).all()
        assert not cupy.asnumpy(opt.momentum[name]).any()


@pytest.mark.parametrize("decay", ["plain", "spectral"])
@pytest.mark.parametrize("most", [1 << 26, 2 * 4 * 12])
def test_matrices_of_one_shape_are_multiplied_together(decay, most, monkeypatch):
    """In stacks as large as is allowed, beside others, and each gets what is its own."""
    import cupy

    from signopt.backends import _cuda_stacks

    monkeypatch.setattr(_cuda_stacks, "STACK", most)
    shapes = [(3, 4), (4, 3), (3, 4), (3, 2, 2), (3, 4), (1, 5)]
    made = [random_triple(shape, np.float32, seed)[:2] for seed, shape in enumerate(shapes)]
    params = [cupy.asarray(param) for param, _ in made]
    stacks = []
    iterated = importlib.import_module("signopt.backends._cuda_muon")._iterated
    monkeypatch.setattr(
        "signopt.backends._cuda_muon._iterated", lambda k, stack: [stacks.append(stack.shape), iterated(k, stack)][1]
    )
    signopt.Muon(params, lr=0.25, weight_decay=0.5, decay=decay).step([cupy.asarray(grad) for _, grad in made])
    threes = [(4, 3, 4)] if most > 1000 else [(2, 3, 4), (2, 3, 4)]
    assert stacks == [*threes, (4, 3), (1, 5)]
    for param, (before, grad) in zip(params, made, strict=True):
        wanted = signopt.muon(before, grad, np.zeros_like(before), lr=0.25, weight_decay=0.5, decay=decay)[0]
        np.testing.assert_allclose(cupy.asnumpy(param), wanted, rtol=0, atol=2e-5)


def test_without_cublas_the_error_says_what_to_install(monkeypatch):
    import cupy

    def matmul(*_arrays):
        raise RuntimeError("Failure finding libcublas.so")

    monkeypatch.setattr(importlib.import_module("signopt.rules.newton_schulz"), "matmul", matmul)
    param = cupy.ones((3, 4), "float32")
    with pytest.raises(ModuleNotFoundError, match=r"need cuBLAS: pip install 'signopt\[cupy-muon\]'"):
        signopt.Muon([param]).step([cupy.ones((3, 4), "float32")])
    assert (cupy.asnumpy(param) == 1).all()


PLANTED = {
    "a momentum that is a sum": ("return add(mul(B, m), step);", "return add(m, step);"),
    "g weighs 1": ("add(step, mul(B, average))", "add((compute_t)widen(g[i]), mul(B, average))"),
    "never a look-ahead": ("nesterov ? add(step, mul(B, average)) : average", "average"),
    "ascent": ("sub(old, mul(lr,", "add(old, mul(lr,"),
    "no scale": ("mul(scale, x[i])", "x[i]"),
    "decay scaled with the update": ("mul(weight_decay, decaying)", "mul(scale, mul(weight_decay, decaying))"),
    "the spectral part ignored": ("d ? d[i] : old", "old"),
    "decay of X": ("mul(weight_decay, decaying)", "mul(weight_decay, x[i])"),
    "the last element left": (
        "i < size; i += stride) {\n        short *low",
        "i < size - 1; i += stride) {\n        short *low",
    ),
}


@pytest.mark.parametrize(("old", "new"), some(PLANTED.values(), every=3), ids=PLANTED)
def test_a_bug_in_a_kernel_is_seen(old, new, monkeypatch):
    from signopt.backends import _cuda_compile

    if on_gpu():
        pytest.skip("modules that are loaded are kept")
    original = _cuda_compile._source
    assert original("muon.cu").count(old) == 1

    def planted(name):
        return original(name).replace(old, new) if name == "muon.cu" else original(name)

    monkeypatch.setattr(_cuda_compile, "_source", planted)
    for cached in (_cuda_compile.compile_kernels, _cuda_compile._load_module):
        cached.cache_clear()
    try:
        failures = 0
        for options in OPTIONS:
            try:
                test_a_step_is_that_of_the_rule(np.float32, None, options)
            except AssertionError:
                failures += 1
                break
        assert failures
    finally:
        for cached in (_cuda_compile.compile_kernels, _cuda_compile._load_module):
            cached.cache_clear()
