"""The CUDA kernels leave the bits of the rule, element for element, and touch nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.backends.cupy_cases import COEFFICIENTS, DTYPE_PAIRS, cases, expected, tiger_coefficients, triple
from tests.backends.cupy_device import DEVICE, host_device, needs_cupy, skip_without
from tests.bits import assert_same_bits
from tests.thin import diagonal

pytestmark = needs_cupy
__all__ = ["host_device"]

PAIRS = pytest.mark.parametrize(("param_dtype", "momentum_dtype"), DTYPE_PAIRS)
ORDERS = (0, 1, 7) if DEVICE is not None else (0,)


def step(rule, tensors, coefficients, roles=None):
    """One step of all tensors together; the written buffers afterwards."""
    import cupy

    from signopt.backends.cupy import CupyBackend

    for array in tensors[0].buffers:
        skip_without(array.dtype)
    buffers = [tuple(map(cupy.asarray, case.buffers)) for case in tensors]
    params, grads, momenta = zip(*(case.views(own) for case, own in zip(tensors, buffers, strict=True)), strict=True)
    CupyBackend(params, momenta, roles).step(grads, coefficients)
    return [(cupy.asnumpy(param), cupy.asnumpy(momentum)) for param, _, momentum in buffers]


def assert_rule(rule, tensors, coefficients, roles=None):
    results = step(rule, tensors, coefficients, roles)
    for index, (case, (param, momentum)) in enumerate(zip(tensors, results, strict=True)):
        right_param, right_momentum = expected(rule, case, coefficients, roles[index] if roles else "matrix")
        assert_same_bits(param, right_param)
        assert_same_bits(momentum, right_momentum)


@pytest.mark.parametrize(
    ("rule", "pair"), diagonal(["lion", "signum"], DTYPE_PAIRS, also=lambda rule, pair: pair == ("float32", "float32"))
)
@pytest.mark.one_in(4)
def test_every_size_and_alignment(rule, pair):
    param_dtype, momentum_dtype = pair
    assert_rule(rule, cases(param_dtype, momentum_dtype), COEFFICIENTS[rule])


NARROW = {("float32", "float32"), ("bfloat16", "float32")}
"""Pairs that run with finite numbers alone too, by which a NaN cannot hide what is beside it; the others are slow."""


def marks(finite, at, pair):
    if finite:
        return [] if pair in NARROW else [pytest.mark.slow]
    return [pytest.mark.thorough] if at % 3 else []


FINITE_OR_NOT = [
    pytest.param(finite, *pair, marks=marks(finite, at, pair))
    for at, pair in enumerate(DTYPE_PAIRS)
    for finite in (True, False)
]


@pytest.mark.parametrize(("finite", "param_dtype", "momentum_dtype"), FINITE_OR_NOT)
@pytest.mark.one_in(6)
def test_tiger_without_rms_at_every_size_and_alignment(finite, param_dtype, momentum_dtype):
    tensors = cases(param_dtype, momentum_dtype, finite=finite)
    roles = [("bias", "scale")[index % 2] for index in range(len(tensors))]
    assert_rule("tiger", tensors, tiger_coefficients(0), roles)


@pytest.mark.parametrize(("step_index", "pair"), diagonal([0, 1], DTYPE_PAIRS))
@pytest.mark.one_in(9)
def test_a_micro_step_inside_a_window_keeps_the_parameter(step_index, pair):
    param_dtype, momentum_dtype = pair
    tensors = [case for case in cases(param_dtype, momentum_dtype, finite=True) if case.size < 200]
    coefficients = tiger_coefficients(step_index, accumulation_steps=3)
    assert_rule("tiger", tensors, coefficients, ["matrix"] * len(tensors))


@PAIRS
@pytest.mark.one_in(9)
def test_tiger_moves_matrices_by_their_rms(param_dtype, momentum_dtype):
    tensors = [exact_squares(case) for case in cases(param_dtype, momentum_dtype, finite=True)]
    assert_rule("tiger", tensors, tiger_coefficients(0), ["matrix"] * len(tensors))


def exact_squares(case):
    """The case with small integers for parameters: their squares add up exactly, in any order."""
    param, grad, momentum = case.buffers
    numbers = np.random.default_rng(case.size).integers(-8, 9, param.shape).astype(param.dtype)
    return type(case)((numbers, grad, momentum), case.size, case.offsets)


@pytest.mark.parametrize("order", ORDERS[1:])
@pytest.mark.parametrize("rule", ["lion", "signum", "tiger"])
@pytest.mark.one_in(4)
def test_the_order_of_threads_does_not_matter(rule, order, host_device):
    tensors = cases("float32", "float32", finite=True)
    coefficients = COEFFICIENTS.get(rule) or tiger_coefficients(0)
    roles = ["matrix"] * len(tensors)
    forwards = step(rule, tensors, coefficients, roles)
    host_device.order = order
    for first, second in zip(forwards, step(rule, tensors, coefficients, roles), strict=True):
        assert_same_bits(second[0], first[0])
        assert_same_bits(second[1], first[1])


@pytest.mark.parametrize("size", [1, 2, 31, 64, 65, 1000, 4097, 70_001])
@pytest.mark.parametrize("spread", [0, 8])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_rms_is_within_one_ulp_of_the_exact_one(size, spread, dtype):
    """With m = 0, a gradient of −1 and p = 0 the step is the RMS itself."""
    import cupy

    from signopt.backends.cupy import CupyBackend

    rng = np.random.default_rng(size)
    param = (rng.standard_normal(size) * 10.0 ** rng.uniform(-spread, spread, size)).astype(dtype)
    param[0] = 0.0
    arrays = [cupy.asarray(array) for array in (param, np.full(size, -1.0, dtype), np.zeros(size, dtype))]
    coefficients = tiger_coefficients(0, lr=1.0, beta=0.0, weight_decay=0.0)
    CupyBackend([arrays[0]], [arrays[2]], ["matrix"]).step([arrays[1]], coefficients)
    exact = math.sqrt(math.fsum(float(x) ** 2 for x in param) / size)
    assert abs(float(arrays[0][0]) - exact) <= np.spacing(np.dtype(dtype).type(exact))


@PAIRS
@pytest.mark.one_in(4)
def test_fifty_tiger_micro_steps(param_dtype, momentum_dtype):
    """Roles, windows, a schedule, rows of odd width and NaN in some tensors, against the rule run alongside.

    Parameters are set to small integers before every step, so that their RMS is the same in any order of summation.
    """
    import cupy

    from signopt.backends.cupy import CupyBackend

    skip_without(param_dtype + momentum_dtype)
    roles = ["matrix", "embedding", "bias", "scale", "embedding", "matrix", "embedding"]
    sizes = [(37, 12), (9, 7), (65,), (129,), (3, 300), (), ()]
    param_type, momentum_type = (triple(1, param_dtype, momentum_dtype, 0)[which].dtype for which in (0, 2))
    rng = np.random.default_rng(0)
    momenta = [np.zeros(shape, momentum_type) for shape in sizes]
    on_device = [[cupy.zeros(shape, dtype) for shape in sizes] for dtype in (param_type, momentum_type)]
    backend = CupyBackend(*on_device, roles)
    for t in range(50):
        params = [np.asarray(rng.integers(-8, 9, shape)).astype(param_type) for shape in sizes]
        grads = [np.asarray(rng.standard_normal(shape)).astype(param_type) for shape in sizes]
        if t % 4 == 1:
            broken = grads[t % len(grads)]
            broken[...] = np.where(rng.random(broken.shape) < 0.1, 1.0, np.nan)
        for array, values in zip(on_device[0], params, strict=True):
            array[...] = cupy.asarray(values)
        coefficients = tiger_coefficients(t, accumulation_steps=3, schedule={10: 1.0, 40: 0.1})
        backend.step([cupy.asarray(grad) for grad in grads], coefficients)
        follow_rule(params, grads, momenta, coefficients, roles)
        for side, arrays in zip((params, momenta), on_device, strict=True):
            for right, array in zip(side, arrays, strict=True):
                assert_same_bits(cupy.asnumpy(array), right)


def follow_rule(params, grads, momenta, coefficients, roles):
    from signopt.roles import traits_of
    from signopt.rules.tiger import apply_tiger

    for i, role in enumerate(roles):
        params[i], momenta[i] = apply_tiger(params[i], grads[i], momenta[i], coefficients, traits_of(role))
