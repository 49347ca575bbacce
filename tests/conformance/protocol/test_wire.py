"""Spelling and reading an array changes no bit of it."""

import errno
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signopt.conformance.causes import lacking, text_is_lacking
from signopt.conformance.protocol.wire import decode_arrays, decode_float, encode_arrays, encode_float, encode_hyper

DTYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64}


@pytest.mark.parametrize("name", DTYPES)
def test_every_bit_pattern_survives(name):
    itemsize = np.dtype(DTYPES[name]).itemsize
    bits = np.random.default_rng(0).integers(0, 2 ** (8 * itemsize) - 1, 4096, dtype=f"u{itemsize}", endpoint=True)
    array = bits.view(DTYPES[name]).reshape(64, 64)
    back = decode_arrays(encode_arrays({"w": array}))["w"]
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    np.testing.assert_array_equal(back.view(f"u{itemsize}"), bits.reshape(64, 64))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3)])
def test_shapes_survive(shape):
    assert decode_arrays(encode_arrays({"w": np.zeros(shape)}))["w"].shape == shape


def test_the_spelling_is_the_documented_one():
    assert encode_arrays({"w": np.float32([[1.0, 0.5]]).T})["w"] == {
        "dtype": "float32",
        "shape": [2, 1],
        "data": "3f8000003f000000",
    }


def test_strides_do_not_matter():
    base = np.arange(12.0).reshape(3, 4)
    for view in (base.T, base[::-1], base[:, ::2], np.asfortranarray(base)):
        np.testing.assert_array_equal(decode_arrays(encode_arrays({"w": view}))["w"], view)


@settings(derandomize=True)
@given(st.floats(allow_nan=False))
def test_a_hyperparameter_survives(value):
    back = decode_float(encode_float(value))
    assert back == value
    assert math.copysign(1, back) == math.copysign(1, value)


def test_hyperparameters_are_spelled_as_documented():
    hyper = {
        "lr": 1.0,
        "betas": (0.5, 0.75),
        "accumulation_steps": 4,
        "schedule": {10: 1.0, 2: 0.5},
        "roles": {"w": "matrix"},
    }
    assert encode_hyper(hyper) == {
        "lr": "3ff0000000000000",
        "betas": ["3fe0000000000000", "3fe8000000000000"],
        "accumulation_steps": 4,
        "schedule": [[2, "3fe0000000000000"], [10, "3ff0000000000000"]],
        "roles": {"w": "matrix"},
    }
    assert encode_hyper({"schedule": None, "roles": None}) == {"schedule": None, "roles": None}


def test_an_integer_array_has_no_spelling():
    with pytest.raises(TypeError, match="int64 has no spelling"):
        encode_arrays({"w": np.arange(3)})


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("ModuleNotFoundError: No module named 'torch'", True),
        ("Error: Cannot find module 'lion'", True),
        ("./port: error while loading shared libraries: libx.so.1: cannot open shared object file", True),
        ("memory allocation of 4294967296 bytes failed", True),
        ("terminate called after throwing an instance of 'std::bad_alloc'", True),
        ("torch.OutOfMemoryError: CUDA out of memory.", True),
        ("IndexError: list index out of range", False),
        ("thread 'main' panicked at src/main.rs:7: index out of bounds", False),
        ("Segmentation fault", False),
        ("", False),
    ],
)
def test_messages_of_what_is_missing_are_known(text, lacks):
    assert text_is_lacking(text) is lacks


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (ModuleNotFoundError("x"), True),
        (MemoryError(), True),
        (TimeoutError("peer"), True),
        (OSError(errno.ENOMEM, "x"), True),
        (RuntimeError("CUDA out of memory"), True),
        (OSError("no such accelerator"), False),
        (ValueError("out of memory of shapes"), False),
        (RuntimeError("shape mismatch"), False),
    ],
)
def test_exceptions_of_what_is_missing_are_known(error, lacks):
    assert lacking(error) is lacks
    cause = RuntimeError("cannot start")
    cause.__cause__ = error
    assert lacking(cause) is lacks
