"""Muon on every array library: momentum to the bit, parameters within rounding, inputs left alone; jit and vmap."""

import importlib

import numpy as np
import pytest

import signopt
from tests.bits import assert_same_bits, random_triple
from tests.rules.test_namespaces import LIBRARIES, LIBRARY_DTYPES, _jax, _layouts
from tests.thin import diagonal, some

OPTIONS = {
    "default": {},
    "spectral": {"decay": "spectral"},
    "no look-ahead": {"nesterov": False, "adjust_lr_fn": "match_rms_adamw", "ns_coefficients": "quintic"},
}
SHAPES = [(5, 7), (7, 5), (4, 4), (6, 2, 3)]
TOLERANCE = {"float64": 1e-13, "float32": 1e-5, "float16": 2e-3, "bfloat16": 1.6e-2}
"""In units of the largest step or parameter; 16 bits are one unit in the last place of those."""


def close(actual, expected):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    assert difference.max(initial=0.0) <= TOLERANCE[expected.dtype.name]


def costs_little(library_and_dtype, name, shape):
    """JAX compiles every operation for every shape, and dask builds a graph."""
    return library_and_dtype[0] not in ("jax", "dask.array")


def name_of(value):
    return f"{value[0]}-{value[1].__name__}" if isinstance(value[0], str) and not isinstance(value, str) else str(value)


@pytest.mark.parametrize(
    ("library_and_dtype", "name", "shape"), diagonal(LIBRARY_DTYPES, OPTIONS, SHAPES, also=costs_little), ids=name_of
)
@pytest.mark.one_in(4)
def test_every_library_takes_numpys_step(library_and_dtype, name, shape):
    (library, dtype), options = library_and_dtype, OPTIONS[name]
    into, out_of = LIBRARIES[library]
    arrays = random_triple(shape, dtype)
    expected = signopt.muon(*arrays, lr=0.25, **options)
    param, momentum = signopt.muon(*map(into, arrays), lr=0.25, **options)
    assert_same_bits(out_of(momentum), expected[1])
    close(out_of(param), expected[0])


@pytest.mark.parametrize(("library", "dtype"), LIBRARY_DTYPES, ids=lambda value: getattr(value, "__name__", value))
def test_the_final_bracket_has_the_same_bits(library, dtype):
    """For the identity as iteration, a norm of 1 and exact squares, X is the same everywhere; so is all the rest."""
    into, out_of = LIBRARIES[library]
    param = random_triple((2, 2), dtype)[0]
    grad, momentum = np.array([[0.5, -0.5], [0.5, 0.5]], dtype), np.zeros((2, 2), dtype)
    options = {"lr": 0.3, "beta": 0.0, "weight_decay": 0.7, "eps": 0.0}
    options |= {"ns_coefficients": (1.0, 0.0, 0.0), "ns_steps": 1}
    expected = signopt.muon(param, grad, momentum, **options)
    for result, wanted in zip(signopt.muon(*map(into, (param, grad, momentum)), **options), expected, strict=True):
        assert_same_bits(out_of(result), wanted)


@pytest.mark.parametrize(("value", "library"), diagonal([np.nan, np.inf, -np.inf], LIBRARIES))
@pytest.mark.one_in(4)
def test_what_is_not_finite_spoils_the_matrix_everywhere(library, value):
    into, out_of = LIBRARIES[library]
    arrays = random_triple((3, 4), np.float32)
    arrays[1][1, 2] = value
    param, momentum = signopt.muon(*map(into, arrays))
    with np.errstate(all="ignore"):
        assert np.isnan(out_of(param)).all()
        assert_same_bits(out_of(momentum), signopt.muon(*arrays)[1])
        for function in (signopt.msign, signopt.spectral_decay):
            for options in ({}, {"method": "svd"}):
                assert np.isnan(out_of(function(into(arrays[1]), **options))).all()


@pytest.mark.parametrize(
    ("magnitude", "library"),
    diagonal([0.0, 1e-35, 1e-30, 1e30, 1e38], LIBRARIES, also=lambda magnitude, library: library != "jax"),
)
@pytest.mark.one_in(4)
def test_magnitudes_everywhere(library, magnitude):
    """Of normal numbers: XLA flushes others to zero on a CPU."""
    into, out_of = LIBRARIES[library]
    matrix = random_triple((3, 4), np.float32)[1].clip(-1, 1) * np.float32(magnitude)
    for options in ({"eps": 0.0}, {"method": "svd"}):
        expected = signopt.msign(matrix, **options)
        np.testing.assert_allclose(out_of(signopt.msign(into(matrix), **options)), expected, rtol=0, atol=1e-4)
    expected = signopt.spectral_decay(matrix)
    actual = out_of(signopt.spectral_decay(into(matrix)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * magnitude)


@pytest.mark.parametrize(("shape", "library"), diagonal([(3, 5), (5, 3), (4, 4)], LIBRARIES))
def test_the_exact_sign_everywhere(library, shape):
    into, out_of = LIBRARIES[library]
    rng = np.random.default_rng(2)
    matrix = (rng.standard_normal((shape[0], 2)) @ rng.standard_normal((2, shape[1]))).astype(np.float32)
    u, s, v = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    sign, part = u[:, :2] @ v[:2], s[0] * np.outer(u[:, 0], v[0])
    np.testing.assert_allclose(out_of(signopt.msign(into(matrix), method="svd")), sign, rtol=0, atol=1e-5)
    np.testing.assert_allclose(out_of(signopt.spectral_decay(into(matrix), method="svd")), part, rtol=0, atol=1e-5)


def test_read_only_inputs_are_read_only():
    arrays = random_triple((5, 4), np.float32)
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    for decay in ("plain", "spectral"):
        for result in signopt.muon(*arrays, decay=decay):
            assert not any(np.shares_memory(result, array) for array in arrays)
    for array, copy in zip(arrays, before, strict=True):
        assert_same_bits(array, copy)


def test_layout_changes_no_bit_of_the_momentum():
    arrays = random_triple((6, 7), np.float32, seed=3)
    expected = signopt.muon(*arrays, lr=0.25)
    variants = [dict(_layouts(array)) for array in arrays]
    for layout in variants[0]:
        param, momentum = signopt.muon(*(variant[layout] for variant in variants), lr=0.25)
        close(param, expected[0])
        assert_same_bits(momentum, expected[1])


@pytest.mark.parametrize("options", some(OPTIONS.values(), every=3), ids=OPTIONS)
def test_jit_and_vmap(options):
    jax = importlib.import_module("jax")
    stacks = random_triple((3, 4, 6), np.float32)
    singles = [signopt.muon(*(stack[index] for stack in stacks), **options) for index in range(3)]
    wanted = [np.stack([single[part] for single in singles]) for part in range(2)]

    def rule(*arrays):
        return signopt.muon(*arrays, **options)

    stacked = tuple(map(_jax, stacks))
    for results in (jax.vmap(rule)(*stacked), jax.jit(jax.vmap(rule))(*stacked)):
        for result, expected in zip(results, wanted, strict=True):
            np.testing.assert_allclose(np.asarray(result), expected, rtol=0, atol=1e-5)
    one = tuple(array[0] for array in stacked)
    for result, expected in zip(jax.jit(rule)(*one), wanted, strict=True):
        np.testing.assert_allclose(np.asarray(result), expected[0], rtol=0, atol=1e-5)


def test_jax_is_asked_for_all_bits_of_a_product(monkeypatch):
    jnp = importlib.import_module("jax.numpy")
    asked = []
    original = jnp.matmul

    def matmul(*arrays, **options):
        asked.append(options.get("precision"))
        return original(*arrays, **options)

    monkeypatch.setattr(jnp, "matmul", matmul)
    signopt.muon(*map(_jax, random_triple((2, 3), np.float32)))
    assert asked
    assert set(asked) == {"highest"}
