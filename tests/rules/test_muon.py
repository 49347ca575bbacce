"""Muon against exact arithmetic: every shape, every option, and every row of the edge cases."""

import tracemalloc

import ml_dtypes
import numpy as np
import pytest

import signopt
from tests.bits import DTYPES, assert_same_bits, random_triple
from tests.rules import exact_matrices as exact

F5 = 0.696436
"""F(1) after five steps of the default coefficients, to six digits."""

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24}
SHAPES = [(1, 1), (1, 5), (5, 1), (2, 2), (4, 4), (3, 7), (7, 3), (12, 2), (6, 2, 3), (2, 3, 2, 2), (8, 1, 2, 1)]
OPTIONS = {
    "default": {},
    "no look-ahead": {"nesterov": False},
    "like AdamW": {"adjust_lr_fn": "match_rms_adamw"},
    "a large ε": {"eps": 0.5},
    "no ε": {"eps": 0.0},
    "other numbers": {"beta": 0.6, "weight_decay": 1.5},
    "two triples": {"ns_coefficients": [(1.5, -0.5, 0.0), (2.0, -1.5, 0.5), (9.0, 9.0, 9.0)], "ns_steps": 2},
    "the identity": {"ns_coefficients": (1.0, 0.0, 0.0), "ns_steps": 1},
}


def exact_options(options, compute):
    """What a case asks of the exact rule, its coefficients rounded to the compute dtype."""
    triples = np.array(options.get("ns_coefficients", exact.JORDAN), ndmin=2)
    steps = options.get("ns_steps", 5)
    triples = np.repeat(triples, steps, axis=0) if len(triples) == 1 else triples[:steps]
    rest = {name: value for name, value in options.items() if not name.startswith("ns_")}
    return {"triples": triples.astype(compute).astype(float), **rest}


def assert_close(actual, expected, unit, sensitivity=500.0):
    """Within rounding: the derivative of five steps of the default coefficients is at most 485."""
    actual = np.asarray(actual, dtype=np.float64)
    rounding = unit * (np.abs(expected) * 8 + sensitivity * 2 * max(1, actual.size) ** 0.5)
    assert (np.abs(actual - expected) <= rounding).all(), f"off by {np.abs(actual - expected).max()}"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_rule_is_the_exact_rule(shape, options, dtype):
    arrays = random_triple(shape, dtype, seed=5)
    param, momentum = signopt.muon(*arrays, lr=0.25, **options)
    wanted, _, wanted_momentum = exact.muon(*arrays, lr=0.25, **exact_options(options, dtype))
    assert_close(param, wanted, UNIT[dtype])
    assert_close(momentum, wanted_momentum, UNIT[dtype], sensitivity=1.0)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_sixteen_bits_are_computed_in_float32_and_rounded_once(dtype):
    p, g, m = random_triple((6, 4), dtype)
    wide = signopt.muon(*(array.astype(np.float32) for array in (p, g, m)), lr=0.25)
    for result, wanted in zip(signopt.muon(p, g, m, lr=0.25), wide, strict=True):
        assert_same_bits(result, wanted.astype(dtype))


@pytest.mark.parametrize("momentum_dtype", DTYPES[1:])
def test_the_update_is_of_the_momentum_before_it_is_rounded(momentum_dtype):
    p, g, m = random_triple((4, 4), np.float32)
    m = m.astype(momentum_dtype)
    param, momentum = signopt.muon(p, g, m, lr=0.25)
    wide = signopt.muon(p, g, m.astype(np.float32), lr=0.25)
    assert_same_bits(param, wide[0])
    assert_same_bits(momentum, wide[1].astype(momentum_dtype))


def one_step(shape, dtype=np.float64, **options):
    """Minus X, for parameters of zero: what is left of an update with rate 1 and no decay."""
    p, g, m = random_triple(shape, dtype)
    return signopt.muon(np.zeros_like(p), g, m, lr=1.0, weight_decay=0.0, **options)[0]


@pytest.mark.parametrize("eps", [1e-7, 0.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_where_the_update_is_zero_the_parameter_only_decays(dtype, eps):
    p = random_triple((3, 4), dtype)[0]
    zero = np.zeros_like(p)
    param, momentum = signopt.muon(p, zero, zero, lr=0.5, weight_decay=0.25, eps=eps)
    wide = p.astype(np.float64 if dtype == np.float64 else np.float32)
    assert_same_bits(param, (wide - wide.dtype.type(0.5) * (wide * wide.dtype.type(0.25))).astype(dtype))
    assert_same_bits(momentum, zero)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("exponent", [-140, -100, -60, -31, -29, 0, 39, 41, 63, 100, 120])
def test_without_epsilon_a_power_of_two_changes_no_bit(exponent, dtype):
    g = random_triple((3, 4), dtype)[1]
    exponent *= 1 if dtype == "float32" else 8
    scaled = np.ldexp(g, exponent)
    assert np.isfinite(scaled).all()
    if np.abs(np.ldexp(scaled, -exponent) - g).any():
        assert_close(signopt.msign(scaled, eps=0.0), exact.matrix_sign(exact.fractions(scaled), eps=0), UNIT[dtype])
    else:
        assert_same_bits(signopt.msign(scaled, eps=0.0), signopt.msign(g, eps=0.0))


MAGNITUDES = {
    "float32": [1e-44, 1e-38, 1e-30, 1e-20, 1e-9, 1e9, 1e20, 1e30, 1e38],
    "float64": [1e-322, 1e-300, 1e-160, 1e-120, 1e-30, 1e30, 1e120, 1e160, 1e307],
}


@pytest.mark.parametrize(("dtype", "magnitude"), [(dtype, size) for dtype in MAGNITUDES for size in MAGNITUDES[dtype]])
@pytest.mark.parametrize("eps", [1e-7, 1e-20, 0.0])
def test_no_magnitude_is_too_large_or_too_small(magnitude, eps, dtype):
    matrix = (random_triple((3, 4), np.float64)[1].clip(-3, 3) * magnitude).astype(dtype)
    assert np.isfinite(matrix).all()
    assert matrix.any()
    rounded = float(np.dtype(dtype).type(eps))
    expected = exact.matrix_sign(exact.fractions(matrix), [np.array(exact.JORDAN, dtype)] * 5, rounded)
    actual = signopt.msign(matrix, eps=eps).astype(np.float64)
    tiny = 500 * float(np.finfo(dtype).smallest_subnormal)
    assert (np.abs(actual - expected) <= UNIT[dtype] * 2000 * np.abs(expected).max() + tiny).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (4, 3), (2, 2, 2)])
@pytest.mark.parametrize("options", [{}, {"ns_coefficients": (1.0, 0.0, 0.0), "ns_steps": 1}])
def test_one_element_that_is_not_finite_spoils_the_matrix_and_one_momentum(value, shape, options):
    p, g, m = random_triple(shape, np.float32)
    g[(0,) * len(shape)] = value
    param, momentum = signopt.muon(p, g, m, **options)
    assert np.isnan(param).all()
    assert np.isfinite(momentum).sum() == momentum.size - 1
    expected = np.float32(0.95) * m + np.float32(1 - 0.95) * g
    assert_same_bits(momentum, expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1)])
def test_a_single_singular_value_becomes_f_of_one(shape):
    grad = random_triple(shape, np.float64)[1]
    step = signopt.msign(grad, eps=0.0)
    np.testing.assert_allclose(step, F5 * grad / np.linalg.norm(grad), rtol=1e-5)


@pytest.mark.parametrize("method", ["power", "svd"])
@pytest.mark.parametrize("magnitude", [1.0, 1e-30, 1e30])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1)])
def test_the_spectral_part_of_a_single_row_or_column_is_itself(shape, magnitude, method):
    """To the bit by power iteration, also if squares would overflow."""
    matrix = (random_triple(shape, np.float32)[1] * np.float32(magnitude)).astype(np.float32)
    part = signopt.spectral_decay(matrix, method=method)
    np.testing.assert_allclose(part, matrix, rtol=0 if method == "power" else 1e-5)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 3)])
@pytest.mark.parametrize("decay", ["plain", "spectral"])
def test_arrays_without_elements_stay(shape, decay):
    empty = np.zeros(shape, np.float32)
    for result in signopt.muon(empty, empty, empty, decay=decay):
        assert_same_bits(result, empty)
    assert_same_bits(signopt.msign(empty, method="svd"), empty)
    assert_same_bits(signopt.spectral_decay(empty), empty)


@pytest.mark.parametrize("shape", [(8, 1, 2, 1), (2, 4, 1, 1), (6, 2, 3), (2, 3, 2, 2)])
def test_more_axes_are_one_matrix_of_outputs_by_the_rest(shape):
    arrays = random_triple(shape, np.float32)
    flat = [array.reshape(shape[0], -1) for array in arrays]
    for result, wanted in zip(signopt.muon(*arrays, lr=0.25), signopt.muon(*flat, lr=0.25), strict=True):
        assert_same_bits(result, wanted.reshape(shape))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, 3])
@pytest.mark.parametrize("decay", ["plain", "spectral"])
def test_a_stack_is_updated_matrix_by_matrix(axis, decay):
    arrays = random_triple((3, 4, 5, 2), np.float64)
    results = signopt.muon(*arrays, lr=0.25, batch_axis=axis, decay=decay)
    for index in range(arrays[0].shape[axis]):
        singles = [array.take(index, axis) for array in arrays]
        for result, wanted in zip(results, signopt.muon(*singles, lr=0.25, decay=decay), strict=True):
            np.testing.assert_allclose(result.take(index, axis), wanted, rtol=1e-12, atol=1e-13)


def test_the_scale_is_of_the_shape():
    for shape, scale in (((8, 2), 2.0), ((2, 8), 1.0), ((3, 3), 1.0), ((8, 1, 2, 1), 2.0)):
        g = random_triple(shape, np.float64)[1]
        step = signopt.muon(np.zeros(shape), g, np.zeros(shape), lr=1.0)[0]
        np.testing.assert_allclose(step, -scale * signopt.msign(g * 0.0975, eps=1e-7), rtol=1e-9, atol=1e-12)
        step = signopt.muon(np.zeros(shape), g, np.zeros(shape), lr=1.0, adjust_lr_fn="match_rms_adamw")[0]
        size = 0.2 * max(shape[0], g.size // shape[0]) ** 0.5
        np.testing.assert_allclose(step, -size * signopt.msign(g * 0.0975, eps=1e-7), rtol=1e-9, atol=1e-12)


def test_none_is_the_original_adjustment():
    assert_same_bits(one_step((8, 2), adjust_lr_fn=None), one_step((8, 2), adjust_lr_fn="original"))


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_decay_takes_the_spectral_part(shape):
    p, g, m = random_triple(shape, np.float64)
    plain = signopt.muon(p, g, m, lr=0.25, weight_decay=0.0)[0]
    spectral = signopt.muon(p, g, m, lr=0.25, weight_decay=0.5, decay="spectral")[0]
    np.testing.assert_allclose(plain - spectral, 0.125 * exact.spectral_decay(p), rtol=1e-9, atol=1e-13)


def test_a_state_of_the_sum_form_gives_the_same_parameters():
    p, g, m = random_triple((5, 4), np.float64)
    scaled = signopt.muon(p, 20 * g, 20 * m, lr=0.25, eps=0.0)
    np.testing.assert_allclose(scaled[0], signopt.muon(p, g, m, lr=0.25, eps=0.0)[0], rtol=1e-12)


@pytest.mark.parametrize("shape", [(3000, 2), (2, 3000), (1, 3000, 2)])
def test_the_gram_matrix_is_of_the_shorter_side(shape):
    matrix = np.ones(shape)
    signopt.msign(matrix, batch_axis=0 if len(shape) == 3 else None)
    tracemalloc.start()
    signopt.msign(matrix, batch_axis=0 if len(shape) == 3 else None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * matrix.nbytes


def test_msign_adds_epsilon_of_a_ten_millionth():
    matrix = np.full((1, 1), 1e-7)
    half = signopt.msign(matrix, ns_coefficients=(1.0, 0.0, 0.0), ns_steps=1)
    np.testing.assert_allclose(half, 0.5, rtol=1e-12)
