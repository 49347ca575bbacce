"""The same code gives the same bits on every array library, and leaves its inputs alone."""

import importlib

import array_api_compat
import numpy as np
import pytest

import signopt
from tests.bits import DTYPES, assert_same_bits, random_triple, special_triple
from tests.rules.cases import RULES


def _torch(array):
    torch = importlib.import_module("torch")
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


def _from_torch(array):
    torch = importlib.import_module("torch")
    if array.dtype == torch.bfloat16:
        return array.view(torch.int16).numpy().view(importlib.import_module("ml_dtypes").bfloat16)
    return array.numpy()


def _jax(array):
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    return jax.numpy.asarray(array)


LIBRARIES = {
    "array_api_strict": (lambda array: importlib.import_module("array_api_strict").asarray(array), np.asarray),
    "torch": (_torch, _from_torch),
    "jax": (_jax, np.asarray),
    "mlx": (lambda array: importlib.import_module("mlx.core").array(array), np.array),
    "dask.array": (lambda array: importlib.import_module("dask.array").from_array(array, chunks=5), np.asarray),
}
LACKS = {("array_api_strict", "float16"), ("array_api_strict", "bfloat16"), ("mlx", "bfloat16"), ("mlx", "float64")}
LIBRARY_DTYPES = [
    (library, dtype) for library in LIBRARIES for dtype in DTYPES if (library, np.dtype(dtype).name) not in LACKS
]


@pytest.mark.parametrize(("library", "dtype"), LIBRARY_DTYPES, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.one_in(4)
def test_every_library_gives_numpys_bits(rule, library, dtype):
    into, out_of = LIBRARIES[library]
    arrays = random_triple((7, 6), dtype)
    expected = RULES[rule](*arrays)
    actual = RULES[rule](*map(into, arrays))
    for result, wanted in zip(actual, expected, strict=True):
        assert_same_bits(out_of(result), wanted)


@pytest.mark.parametrize("library", ["array_api_strict", "torch", "mlx", "dask.array"])
@pytest.mark.parametrize("rule", ["lion", "lion-no-decay", "signum"])
def test_special_values_have_numpys_bits(rule, library):
    into, out_of = LIBRARIES[library]
    arrays = special_triple(np.float32)
    for result, wanted in zip(RULES[rule](*map(into, arrays)), RULES[rule](*arrays), strict=True):
        with np.errstate(all="ignore"):
            assert_same_bits(out_of(result), wanted)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_sign_of_nan_is_nan(library):
    into, out_of = LIBRARIES[library]
    one, nan, zero = (into(np.full(1, value, np.float32)) for value in (1.0, np.nan, 0.0))
    param, momentum = signopt.lion(one, nan, zero)
    assert np.isnan(out_of(param)).all()
    assert np.isnan(out_of(momentum)).all()


@pytest.mark.parametrize("rule", RULES)
def test_read_only_inputs_are_read_only(rule):
    arrays = random_triple((5, 4), np.float32)
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    for result in RULES[rule](*arrays):
        assert not any(np.shares_memory(result, array) for array in arrays)
    for array, copy in zip(arrays, before, strict=True):
        assert_same_bits(array, copy)


def _layouts(array):
    yield "fortran", np.asfortranarray(array)
    padded = np.zeros((array.shape[0] * 2, array.shape[1] * 3), array.dtype)
    padded[::2, ::3] = array
    yield "strided", padded[::2, ::3]
    yield "negative", np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    yield "transposed", np.ascontiguousarray(array.T).T


@pytest.mark.parametrize("rule", RULES)
def test_layout_does_not_matter(rule):
    arrays = random_triple((6, 7), np.float32, seed=3)
    expected = RULES[rule](*arrays)
    variants = [dict(_layouts(array)) for array in arrays]
    for layout in variants[0]:
        for result, wanted in zip(RULES[rule](*(variant[layout] for variant in variants)), expected, strict=True):
            if rule in {"tiger-matrix", "tiger-schedule"}:
                assert np.abs(result.view(np.int32) - wanted.view(np.int32)).max() <= 1
            else:
                assert_same_bits(result, wanted)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (1, 1, 1)])
@pytest.mark.parametrize("rule", RULES)
def test_shapes_and_dtypes_are_kept(rule, shape):
    param, grad, momentum = random_triple(shape, np.float16)
    for result in RULES[rule](param, grad, momentum.astype(np.float32)):
        assert isinstance(result, np.ndarray)
        assert result.shape == shape
    assert [result.dtype for result in RULES[rule](param, grad, momentum.astype(np.float32))] == [
        np.float16,
        np.float32,
    ]


@pytest.mark.parametrize("rule", RULES)
def test_scalars_are_zero_dimensional(rule):
    arrays = random_triple((), np.float64)
    expected = RULES[rule](*arrays)
    for kind in (float, np.float64):
        actual = RULES[rule](*map(kind, arrays))
        assert [type(result) for result in actual] == [np.float64, np.float64]
        assert actual == tuple(expected)


def test_a_numpy_scalar_keeps_its_dtype():
    param, momentum = signopt.lion(np.float32(1), np.float32(1), np.float32(0), lr=np.float32(0.25))
    assert (param.dtype, momentum.dtype) == (np.float32, np.float32)
    assert param == 0.75


def test_jit_compiles_the_rule():
    jax = importlib.import_module("jax")
    param, grad, momentum = map(_jax, random_triple((16,), np.float32))
    compiled = jax.jit(lambda *arrays: signopt.lion(*arrays, lr=0.5, betas=(0.5, 0.75), weight_decay=0.25))
    expected = signopt.lion(param, grad, momentum, lr=0.5, betas=(0.5, 0.75), weight_decay=0.25)
    for result, wanted in zip(compiled(param, grad, momentum), expected, strict=True):
        assert result.shape == wanted.shape
        assert np.abs(np.asarray(result - wanted)).max() < 1e-6


def test_sign_needs_no_library_sign():
    from signopt import _namespace

    xp = array_api_compat.array_namespace(np.empty(0))
    assert_same_bits(
        _namespace.sign(xp, np.array([0.0, -0.0, np.nan, 5e-324, -5e-324, np.inf])),
        np.array([0.0, 0.0, np.nan, 1.0, -1.0, 1.0]),
    )
