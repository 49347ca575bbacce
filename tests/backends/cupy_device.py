"""CuPy for the tests: on a GPU where there is one, else on the host device."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest

from signopt.conformance.adapters.candidate import cuda_devices
from tests.cupy_on_cpu import HostDevice, install, why_not

__all__ = ["DEVICE", "NO_GPU", "host_device", "needs_cupy", "no_errors", "on_gpu", "skip_without"]


NO_GPU = "no CUDA device, or no driver for it"


@functools.cache
def on_gpu() -> bool:
    """Whether a driver finds a device."""
    return cuda_devices() > 0


_REASON = None if on_gpu() else why_not()
needs_cupy = pytest.mark.skipif(_REASON is not None, reason=str(_REASON))
DEVICE: HostDevice | None = None if on_gpu() or _REASON else install()


def skip_without(dtype: Any) -> None:
    """Skip the test where this CuPy has no ``dtype``, a NumPy dtype or its name."""
    import cupy

    if "bfloat16" in str(dtype) and int(cupy.__version__.split(".")[0]) < 14:
        pytest.skip("CuPy has bfloat16 since version 14")


@pytest.fixture
def host_device() -> Iterator[HostDevice]:
    """The host device with an empty log; the test fails if an entry point raised and nobody cleared ``errors``."""
    if DEVICE is None:
        pytest.skip(_REASON or "looks into the host device, which is not installed where there is a GPU")
    DEVICE.reset_log()
    yield DEVICE
    errors = list(DEVICE.errors)
    DEVICE.reset_log()
    DEVICE.order, DEVICE.memory_limit, DEVICE.fail_launches_of = 0, 1 << 32, None
    assert not errors


@pytest.fixture
def no_errors(request: pytest.FixtureRequest) -> None:
    """Without a GPU the test fails if an entry point of the host device raised, and CuPy swallowed it."""
    if not on_gpu():
        request.getfixturevalue("host_device")
