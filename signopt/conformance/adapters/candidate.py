"""What is known about a port before its framework is imported."""

from __future__ import annotations

import ctypes
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

from signopt.conformance.port import Port

__all__ = ["A_CUDA_DEVICE", "Candidate", "cuda_devices", "defaults_of", "lone_module", "version_of"]

A_CUDA_DEVICE = "a CUDA device"
"""What :meth:`Candidate.missing` calls a device that is not there."""


@dataclass(frozen=True)
class Candidate:
    """One implementation of one rule that somebody publishes.

    Parameters
    ----------
    name
        Unique among all candidates; by custom the distribution, then a slash and the variant.
    rule
        ``"lion"``, ``"signum"`` or ``"tiger"``.
    distribution
        What to install, as the package index names it.
    modules
        What must be importable for :meth:`build` to work.
    build
        Returns a new port; the framework is imported only here.
    environment
        Variables that the process must have been started with, such as ``KERAS_BACKEND``.
    device
        ``"cuda"`` if it works on such a device only.
    variant
        Empty for an implementation of the rule. Otherwise one sentence on the documented choice by which this computes
        another rule on purpose, so that no reader takes its failures for bugs.
    """

    name: str
    rule: str
    distribution: str
    modules: tuple[str, ...]
    build: Callable[[], Port]
    environment: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    variant: str = ""

    def missing(self) -> list[str]:
        """Return what stands in the way, as modules, a device and ``VARIABLE=value``; nothing is imported."""
        modules = [name for name in self.modules if find_spec(name) is None]
        if self.device == "cuda" and not cuda_devices():
            modules.append(A_CUDA_DEVICE)
        unset = [f"{key}={value}" for key, value in self.environment.items() if os.environ.get(key) != value]
        return modules + unset

    def version(self) -> str:
        """Return the installed version of the distribution, or an empty string."""
        return version_of(self.distribution)


def cuda_devices() -> int:
    """How many CUDA devices the driver finds; 0 without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int()
    found = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return count.value if found else 0


_HYPERPARAMETERS = ("lr", "learning_rate", "betas", "beta", "beta_1", "beta_2", "b1", "b2", "momentum", "weight_decay")


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the default hyperparameters in a signature, under the names that it gives them."""
    parameters = inspect.signature(function).parameters
    found = {name: parameters[name].default for name in _HYPERPARAMETERS if name in parameters}
    return {name: value for name, value in found.items() if value is not inspect.Parameter.empty}


def version_of(distribution: str) -> str:
    """Return the version of an installed distribution, or an empty string."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def lone_module(name: str) -> ModuleType:
    """Import one module of a package without running the ``__init__`` files above it.

    Some packages that publish an optimizer import a whole model zoo first, and with it dependencies that the optimizer
    does not need. If the package is already imported, this is an ordinary import. Only for pure Python modules: the
    package is forgotten again afterwards, so that a later import of it is a complete one.
    """
    root = name.partition(".")[0]
    if root in sys.modules:
        return importlib.import_module(name)
    parents = [name.rsplit(".", depth)[0] for depth in range(name.count("."), 0, -1)]
    try:
        for parent in parents:
            sys.modules[parent] = _bare_package(parent)
        return importlib.import_module(name)
    finally:
        for loaded in [key for key in sys.modules if key.partition(".")[0] == root]:
            del sys.modules[loaded]


def _bare_package(name: str) -> ModuleType:
    spec = find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"no package named {name!r}", name=name)
    package = module_from_spec(spec)
    package.__path__ = list(spec.submodule_search_locations)
    return package
