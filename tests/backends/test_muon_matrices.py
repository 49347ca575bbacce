"""Muon in place: momentum to the bit, parameters within the proven radius, on every path through the workspace."""

import functools

import ml_dtypes
import numpy as np
import pytest

import signopt
from signopt.backends import _numpy_muon as backend
from signopt.backends._muon_products import Products, pitch
from signopt.rules.muon import MuonCoefficients
from tests.bits import DTYPES, assert_same_bits, random_triple
from tests.muon_judge import DEFAULTS, expected_step, over_radius
from tests.thin import diagonal

PATHS = {"alone": 0, "stack": 1 << 13}
"""Up to how many elements matrices are stacked."""

SIXTEEN_BITS = ("float16", "bfloat16")
"""Whose storage may take all of the distance that is allowed."""

SHAPES = [(1, 1), (1, 5), (6, 1), (2, 2), (2, 4), (5, 3), (4, 6), (8, 8), (8, 12), (12, 2), (2, 2, 3), (6, 1, 2, 1)]


@pytest.fixture(params=PATHS)
def path(request, monkeypatch):
    """Step with every matrix on one path: ``step(param, grad, momentum, **options)`` in place."""
    monkeypatch.setattr(backend, "WORTH_STACKING", PATHS[request.param])

    def step(param, grad, momentum, batch_axis=None, decay="plain", threads=1, **options):
        matrices = backend.Matrices([param], [momentum], batch_axis)
        coefficients = MuonCoefficients.of(**DEFAULTS | options, decay=decay, batch_axis=batch_axis)
        matrices.prepare([grad], coefficients, threads)()

    return step


def with_singular_values(shape, values, seed):
    rng = np.random.default_rng(seed)
    rows, cols = shape[0], int(np.prod(shape[1:]))
    left, right = (np.linalg.qr(rng.standard_normal((side, side)))[0] for side in (rows, cols))
    middle = np.zeros((rows, cols))
    np.fill_diagonal(middle, np.asarray(values)[: min(rows, cols)])
    return (left @ middle @ right).reshape(shape)


SPECTRA = {
    "equal": np.ones(12),
    "condition 1e3": np.logspace(0, -3, 12),
    "condition 1e12": np.logspace(0, -12, 12),
    "rank 1": np.eye(12)[0],
    "half the rank": np.repeat([1.0, 0.0], 6),
}


HYPERS = ({"lr": 0.5}, {"lr": 0.25, "nesterov": False, "adjust_lr_fn": "match_rms_adamw", "beta": 0.5})
CASES = [(shape, spectrum, dtype) for shape in SHAPES for spectrum in SPECTRA for dtype in ("float64", "float32")]
CASES += [(shape, spectrum, dtype) for shape in [(4, 6), (8, 8)] for spectrum in SPECTRA for dtype in SIXTEEN_BITS]


@functools.cache
def expected_case(shape, spectrum, dtype, which):
    """Arrays, what the oracle expects of them, and the momentum of the rule; every path is held against it."""
    grad = with_singular_values(shape, SPECTRA[spectrum], seed=3).astype(ml_dtypes.finfo(dtype).dtype)
    param, _, momentum = random_triple(shape, grad.dtype)
    expected = expected_step(param, grad, momentum, **HYPERS[which])
    return param, grad, momentum, expected, signopt.muon(param, grad, momentum, **HYPERS[which])[1]


@pytest.mark.parametrize(("shape", "spectrum", "dtype"), CASES, ids=str)
@pytest.mark.one_in(4)
def test_a_step_is_within_the_proven_radius(path, shape, spectrum, dtype):
    for which, hyper in enumerate(HYPERS):
        param, grad, momentum, expected, wanted_momentum = expected_case(shape, spectrum, dtype, which)
        new_param, new_momentum = param.copy(), momentum.copy()
        path(new_param, grad, new_momentum, **hyper)
        assert over_radius(expected, new_param, new_momentum) <= (1.0 if dtype in SIXTEEN_BITS else 0.5)
        assert_same_bits(new_momentum, wanted_momentum)


@pytest.mark.parametrize("eps", [1e-7, 1e-20, 0.0])
@pytest.mark.parametrize(
    ("dtype", "magnitude"),
    [("float32", size) for size in (1e-44, 1e-38, 1e-30, 1e-12, 1e12, 1e30, 1e37)]
    + [("float64", size) for size in (1e-320, 1e-300, 1e-160, 1e160, 1e300)],
)
def test_no_magnitude_is_too_large_or_too_small(path, dtype, magnitude, eps):
    grad = (random_triple((3, 5), np.float64)[1] * magnitude).astype(dtype)
    assert grad.any()
    param, momentum = np.zeros_like(grad), np.zeros_like(grad)
    options = {"eps": eps, "weight_decay": 0.0, "lr": 1.0, "beta": 0.0}
    wanted = signopt.muon(param, grad, momentum, **options)[0]
    path(param, grad, momentum, **options)
    assert np.abs(wanted).max() > 0
    np.testing.assert_allclose(param, wanted, rtol=2e-4, atol=500 * np.finfo(dtype).smallest_subnormal)
    assert_same_bits(momentum, grad)


def test_an_update_of_zero_only_decays(path):
    param = random_triple((4, 6), np.float32)[0]
    zero = np.zeros_like(param)
    for eps in (1e-7, 0.0):
        stepped = param.copy()
        path(stepped, zero, zero.copy(), eps=eps, lr=0.5, weight_decay=0.25)
        assert_same_bits(stepped, param - np.float32(0.5) * (np.float32(0.25) * param))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (4, 3), (2, 8), (3, 2, 2)])
@pytest.mark.parametrize("options", [{}, {"ns_coefficients": (1.0, 0.0, 0.0), "ns_steps": 1}])
def test_what_is_not_finite_spoils_its_matrix(path, value, shape, options):
    param, grad, momentum = random_triple(shape, np.float32)
    grad[(0,) * len(shape)] = value
    wanted = signopt.muon(param, grad, momentum, **options)
    path(param, grad, momentum, **options)
    assert np.isnan(param).all()
    assert_same_bits(param, wanted[0])
    assert_same_bits(momentum, wanted[1])


@pytest.mark.parametrize("coefficients", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
@pytest.mark.parametrize("shape", [(3, 4), (3, 7), (7, 3)])
def test_one_monomial_alone(path, coefficients, shape):
    param, grad, momentum = random_triple(shape, np.float64)
    for steps in (1, 2, 3):
        hyper = {"ns_coefficients": coefficients, "ns_steps": steps, "lr": 1.0}
        expected = expected_step(param, grad, momentum, **hyper)
        new_param, new_momentum = param.copy(), momentum.copy()
        path(new_param, grad, new_momentum, **hyper)
        assert over_radius(expected, new_param, new_momentum) <= 0.5


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("preset", ["jordan", "quintic", "polar-express"])
@pytest.mark.parametrize("shape", [(4, 4), (3, 8), (8, 3)])
def test_every_step_has_its_own_coefficients(path, shape, preset, steps):
    if preset != "jordan" and steps == 6:
        steps = 5
    param, grad, momentum = random_triple(shape, np.float64)
    options = {"ns_coefficients": preset, "ns_steps": steps, "lr": 1.0}
    wanted = signopt.muon(param, grad, momentum, **options)[0]
    path(param, grad, momentum, **options)
    np.testing.assert_allclose(param, wanted, rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (1, 4), (4, 1), (3, 2, 4)])
@pytest.mark.parametrize("magnitude", [1.0, 1e30, 1e-30])
def test_spectral_decay(path, shape, magnitude):
    param, grad, momentum = (array * magnitude for array in random_triple(shape, np.float32))
    param = param.astype(np.float32)
    grad, momentum = grad.astype(np.float32), momentum.astype(np.float32)
    options = {"decay": "spectral", "weight_decay": 0.5, "lr": 1.0}
    wanted = signopt.muon(param, grad, momentum, **options)[0]
    path(param, grad, momentum, **options)
    np.testing.assert_allclose(param, wanted, rtol=0, atol=2e-4 * max(1.0, magnitude) if magnitude != 1.0 else 3e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_spectral_decay_of_what_is_not_finite(path, bad):
    param, grad, momentum = random_triple((3, 4), np.float32)
    param[1, 2] = bad
    path(param, grad, momentum, decay="spectral")
    assert np.isnan(param).all()


def test_spectral_decay_of_zero_and_of_the_null_space(path):
    for start in (np.zeros((2, 2)), np.array([[1.0, -1.0], [2.0, -2.0]]), np.array([[1.0, -1.0]])):
        param, zero = start.copy(), np.zeros_like(start)
        path(param, zero, zero.copy(), decay="spectral", weight_decay=0.5, lr=1.0)
        assert_same_bits(param, start)


LAYOUTS = {
    "fortran": np.asfortranarray,
    "every second": lambda array: np.repeat(np.repeat(array, 2, axis=0), 3, axis=1)[::2, ::3],
    "backwards": lambda array: np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("decay", ["plain", "spectral"])
@pytest.mark.parametrize("shape", [(6, 9), (9, 6)])
def test_layout_does_not_matter(path, layout, decay, shape):
    arrays = random_triple(shape, np.float32)
    wanted = signopt.muon(*arrays, lr=0.5, weight_decay=0.5, decay=decay)
    for turned in (layout, np.ascontiguousarray):
        param, grad, momentum = layout(arrays[0].copy()), turned(arrays[1]), turned(arrays[2].copy())
        path(param, grad, momentum, lr=0.5, weight_decay=0.5, decay=decay)
        np.testing.assert_allclose(param, wanted[0], rtol=0, atol=2e-6)
        assert_same_bits(momentum, wanted[1])


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("decay", ["plain", "spectral"])
def test_a_stack_of_matrices(path, axis, decay):
    param, grad, momentum = random_triple((3, 4, 5, 2), np.float64)
    wanted = signopt.muon(param, grad, momentum, lr=0.5, batch_axis=axis, decay=decay)
    path(param, grad, momentum, lr=0.5, batch_axis=axis, decay=decay)
    np.testing.assert_allclose(param, wanted[0], rtol=0, atol=1e-12)
    assert_same_bits(momentum, wanted[1])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 127, 128, 129, 200, 331])
def test_symmetric_products(dtype, size):
    rng = np.random.default_rng(size)
    products, out = Products(dtype), np.full((size, pitch(size, dtype)), np.nan, dtype)[:, :size]
    unit = 8 * size * np.finfo(dtype).eps
    for x in (rng.standard_normal((size, size + 3)), rng.standard_normal((size + 3, size))):
        x = (x / size).astype(dtype)
        products.gram(x, out)
        np.testing.assert_allclose(out, x @ x.T if len(x) == size else x.T @ x, rtol=0, atol=unit)
        assert_same_bits(out, out.T)
    s = np.zeros_like(out.base)[:, :size]
    s[...] = out
    products.quadratic(s, -2.0, 3.0, out)
    np.testing.assert_allclose(out, -2.0 * s + 3.0 * s @ s, rtol=0, atol=unit)
    assert_same_bits(out, out.T)
    square = s @ s
    products.product(s, square, out)
    np.testing.assert_allclose(out, s @ square, rtol=0, atol=unit)


def large_and_small(dtype):
    """Matrices on every path: stacks of two shapes, one on its own in a stack, and large ones, square and not."""
    shapes = {"a": (6, 4), "b": (6, 4), "c": (4, 6), "wide": (100, 200), "tall": (200, 90), "square": (120, 120)}
    shapes |= {"again": (100, 200), "conv": (30, 20, 3, 3), "none": (0, 4)}
    return {name: random_triple(shape, dtype, seed) for seed, (name, shape) in enumerate(shapes.items())}


@pytest.mark.parametrize(
    ("name", "dtype", "momentum_dtype"), diagonal(["numpy", "numba", "portable"], DTYPES, [None, "float32"])
)
def test_the_optimizer_takes_the_steps_of_the_rule(name, dtype, momentum_dtype):
    if momentum_dtype and dtype == np.float64:
        momentum_dtype = "bfloat16"
    arrays = large_and_small(dtype)
    params = {key: triple[0] for key, triple in arrays.items()}
    opt = signopt.Muon(params, lr=0.05, backend=name, momentum_dtype=momentum_dtype)
    assert opt.backend == name
    tolerance = 1e-11 if dtype == np.float64 else 2e-5 if dtype == np.float32 else 4 * float(ml_dtypes.finfo(dtype).eps)
    for step in range(2):
        grads = {key: (triple[1] * (0.5 - step)).astype(dtype) for key, triple in arrays.items()}
        before = {key: (params[key].copy(), opt.momentum[key].copy()) for key in params}
        opt.step(grads)
        for key, (param, momentum) in before.items():
            wanted = signopt.muon(param, grads[key], momentum, lr=0.05)
            assert_same_bits(opt.momentum[key], wanted[1])
            difference = np.abs(params[key].astype(np.float64) - wanted[0].astype(np.float64))
            assert difference.max(initial=0.0) <= tolerance


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_bit(threads):
    results = []
    for count in (1, threads):
        param, grad, momentum = random_triple((600, 700), np.float32)
        matrices = backend.Matrices([param], [momentum])
        matrices.prepare([grad], MuonCoefficients.of(**DEFAULTS, decay="plain", batch_axis=None), count)()
        results.append((param, momentum))
    assert_same_bits(results[0][0], results[1][0])
    assert_same_bits(results[0][1], results[1][1])


def test_a_step_repeats_its_bits():
    results = []
    for _ in range(2):
        params = {key: triple[0] for key, triple in large_and_small(np.float32).items()}
        opt = signopt.Muon(params, lr=0.05)
        opt.step({key: triple[1] for key, triple in large_and_small(np.float32).items()})
        results.append(params)
    for key, param in results[0].items():
        assert_same_bits(param, results[1][key])
