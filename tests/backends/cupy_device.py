"""CuPy for the tests: on a GPU where there is one, else on the host device."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.cupy_on_cpu import HostDevice, install, why_not

__all__ = ["bfloat16", "dtype_of", "host_device", "needs_cupy", "needs_gpu", "on_gpu", "same_bits"]


@functools.cache
def on_gpu() -> bool:
    """Whether a driver finds a device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


_REASON = None if on_gpu() else why_not()
needs_cupy = pytest.mark.skipif(_REASON is not None, reason=str(_REASON))
needs_gpu = pytest.mark.skipif(not on_gpu(), reason="no CUDA device, or no driver for it")
DEVICE: HostDevice | None = None if on_gpu() or _REASON else install()


@pytest.fixture
def host_device() -> Iterator[HostDevice]:
    """The host device with an empty log; the test fails if an entry point raised and nobody looked at ``errors``."""
    if DEVICE is None:
        pytest.skip("looks into the host device, which is not installed where there is a GPU")
    DEVICE.reset_log()
    yield DEVICE
    errors = list(DEVICE.errors)
    DEVICE.reset_log()
    DEVICE.order, DEVICE.memory_limit, DEVICE.fail_launches_of = 0, 1 << 32, None
    assert not errors


def bfloat16() -> np.dtype[Any]:
    """The dtype, from ml_dtypes."""
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)


def dtype_of(name: str) -> np.dtype[Any]:
    """The NumPy dtype of that name, bfloat16 included."""
    return bfloat16() if name == "bfloat16" else np.dtype(name)


def same_bits(actual: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> bool:
    """Whether both have the same shape, dtype and bits, all NaN counting as one value."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    nan = np.isnan(expected.astype(np.float64))
    if not np.array_equal(nan, np.isnan(actual.astype(np.float64))):
        return False
    bits = f"u{expected.itemsize}"
    return np.array_equal(np.atleast_1d(actual).view(bits)[~np.atleast_1d(nan)],
                          np.atleast_1d(expected).view(bits)[~np.atleast_1d(nan)])
