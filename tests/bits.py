"""Comparing arrays by their bits."""

import ml_dtypes
import numpy as np

DTYPES = (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)
"""Every storage dtype, as NumPy knows them."""


def bits(array):
    """The bit patterns of ``array`` as unsigned integers, every NaN given one pattern."""
    array = np.ascontiguousarray(array)
    pattern = array.view(f"u{array.dtype.itemsize}").copy()
    with np.errstate(invalid="ignore"):
        pattern[array != array] = np.iinfo(pattern.dtype).max
    return pattern


def assert_same_bits(actual, expected):
    """Fail, naming the first elements, unless both arrays have one dtype, shape and bits (NaN as a class)."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    differs = np.argwhere(bits(actual).reshape(-1) != bits(expected).reshape(-1)).ravel()
    assert not differs.size, "\n".join(
        f"element {i}: {actual.ravel()[i]!r} is not {expected.ravel()[i]!r}" for i in differs[:5]
    )


def random_triple(shape, dtype, seed=0):
    """A parameter, gradient and momentum with values of the usual size."""
    rng = np.random.default_rng(seed)
    return tuple(np.asarray(rng.standard_normal(shape) * scale).astype(dtype) for scale in (0.1, 1.0, 0.5))


def special_triple(dtype, seed=0):
    """All combinations of zero, subnormal, ordinary, huge and non-finite parameters, gradients and momenta."""
    info = ml_dtypes.finfo(dtype)
    tiny, huge = float(info.smallest_subnormal), float(info.max)
    values = [0.0, -0.0, tiny, -tiny, 3 * tiny, 1.0, -1.5, 1e-3, huge, -huge, np.inf, -np.inf, np.nan]
    grid = np.meshgrid(values, values, values)
    return tuple(axis.ravel().astype(dtype) for axis in grid)
