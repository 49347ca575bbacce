"""CuPy on the CPU: real CuPy, real NVRTC and the kernels that the library loads, without a GPU. See README.md."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from importlib.metadata import version

from .device import HostDevice, Launch
from .ptx import UnsupportedPTXError
from .seam import VanishedEntryPointError, replace_entry_points

__all__ = [
    "TESTED_CUPY",
    "HostDevice",
    "Launch",
    "UnsupportedPTXError",
    "VanishedEntryPointError",
    "install",
    "why_not",
]

TESTED_CUPY = ("13.6.0", "14.0.1", "14.2.0")
"""The CuPy versions whose private entry points are known, the newest last."""

_ADDED_LATER = ("pointerGetMemoryType", "streamCreateWithPriority", "streamGetFlags", "streamGetPriority")
"""Entry points that the older ones of these versions do not have."""

_installed: list[HostDevice] = []


def why_not() -> str | None:
    """Why the harness cannot run here, or None where it can."""
    if importlib.util.find_spec("cupy_backends") is None:
        return "CuPy is not installed; pip install 'signopt[cupy]'"
    if shutil.which("gcc") is None:
        return "no gcc, which builds the translated kernels"
    if _version() not in TESTED_CUPY:
        return f"CuPy {_version()} is not one of {', '.join(TESTED_CUPY)}, whose private entry points are known"
    if "cupy" in sys.modules and not _installed:
        return "cupy was imported before the harness could be installed"
    return None


def install() -> HostDevice:
    """Replace CuPy's entry points and import CuPy; later calls return the same device.

    Raises
    ------
    RuntimeError
        Where :func:`why_not` gives a reason.
    VanishedEntryPointError
        If an entry point is missing or has another signature than the harness understands.
    """
    if _installed:
        return _installed[0]
    if reason := why_not():
        raise RuntimeError(reason)
    os.environ.update(CUPY_COMPILE_WITH_PTX="1", CUPY_ACCELERATORS="", CUPY_CACHE_DIR=tempfile.mkdtemp())
    from cupy_backends.cuda.api import driver, runtime

    device = HostDevice(runtime, driver)
    tables = {runtime: device.handlers("runtime"), driver: device.handlers("driver")}
    for name in _ADDED_LATER if _version() != TESTED_CUPY[-1] else ():
        if name not in runtime.__pyx_capi__:
            del tables[runtime][name]
    for module, handlers in tables.items():
        replace_entry_points(module, handlers)
    _installed.append(device)
    _allocate_exactly()
    return device


def _allocate_exactly() -> None:
    """Give every array an allocation of its own size, so that one byte beyond it is an illegal access."""
    import cupy

    cupy.cuda.set_allocator(None)


def _version() -> str:
    names = ("cupy-cuda13x", "cupy-cuda12x", "cupy")
    for name in names:
        if importlib.util.find_spec("cupy_backends") and _has_distribution(name):
            return version(name)
    return "unknown"


def _has_distribution(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError

    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
