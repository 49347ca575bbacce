"""Compiling the CUDA kernels with NVRTC and loading them.

CuPy's own compiler adds ``-ftz=true`` after every option that it is given, which flushes subnormals to zero. These
kernels keep them, so NVRTC is called directly; CuPy loads the result.
"""

from __future__ import annotations

import functools
import os
from importlib.resources import files
from typing import Any

__all__ = ["THREADS", "architecture_of", "compile_kernels", "load_function"]

THREADS = 256
"""Threads of a block, in all kernels."""

MAX_THREADS_PER_BLOCK = 0
"""CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK."""

_KERNELS = files("signopt.backends") / "kernels"
_HEADERS = ("elements.cuh", "storage.cuh")
_C_TYPES = {"float64": "double", "float32": "float", "float16": "float16", "bfloat16": "bfloat16"}


@functools.cache
def compile_kernels(
    rule: str, param_dtype: str, momentum_dtype: str, architecture: str, rounding: str = "nearest"
) -> bytes:
    """The kernels of one rule for one pair of storage dtypes.

    Parameters
    ----------
    rule : str
    param_dtype, momentum_dtype : str
        Names of the storage dtypes.
    architecture : str
        ``"sm_90"`` gives machine code (a cubin), ``"compute_90"`` gives PTX.
    rounding : {"nearest", "stochastic", "split"}
        How parameters are stored; all but nearest is for those of 16 bits.

    Raises
    ------
    NotImplementedError
        If the rule has no kernels.
    RuntimeError
        If NVRTC is not installed or does not accept the source; the message has its log.
    """
    if not (_KERNELS / f"{rule}.cu").is_file():
        raise NotImplementedError(f"the rule {rule} has no CUDA kernels; make its optimizer with backend='portable'")
    nvrtc = _nvrtc()
    headers = [_source(name).encode() for name in _HEADERS], [name.encode() for name in _HEADERS]
    program = nvrtc.createProgram(_source(f"{rule}.cu"), f"{rule}.cu", *headers)
    try:
        nvrtc.compileProgram(program, _options(param_dtype, momentum_dtype, architecture, rounding))
        image: bytes | str = (nvrtc.getCUBIN if architecture.startswith("sm_") else nvrtc.getPTX)(program)
    except nvrtc.NVRTCError as error:
        raise RuntimeError(
            f"NVRTC could not compile {rule}.cu for {param_dtype} with {momentum_dtype} momentum on {architecture}: "
            f"{error}\n{nvrtc.getProgramLog(program)}"
        ) from error
    finally:
        nvrtc.destroyProgram(program)
    return image if isinstance(image, bytes) else image.encode()


def load_function(rule: str, kernel: str, param_dtype: str, momentum_dtype: str, rounding: str, device: int) -> Any:
    """The function ``kernel``, compiled for CUDA device ``device``, loaded on it and fit to be launched there.

    CUDA may put off loading the code of a function until something asks for it. Asking for its limits does, so that
    what can go wrong in loading does so here and not between the launches of a step.

    Raises
    ------
    RuntimeError
        If it cannot be compiled or loaded, or the device does not have the registers for a block of it.
    """
    import cupy

    function = _load_module(rule, param_dtype, momentum_dtype, rounding, device).get_function(kernel)
    most = cupy.cuda.driver.funcGetAttribute(MAX_THREADS_PER_BLOCK, function.ptr)
    if most < THREADS:
        raise RuntimeError(f"{kernel} needs {THREADS} threads to a block, and device {device} allows it {most}")
    return function


@functools.cache
def _load_module(rule: str, param_dtype: str, momentum_dtype: str, rounding: str, device: int) -> Any:
    import cupy
    from cupy.cuda.function import Module

    image = compile_kernels(rule, param_dtype, momentum_dtype, architecture_of(device), rounding)
    with cupy.cuda.Device(device):
        module = Module()
        module.load(image)
    return module


def architecture_of(device: int) -> str:
    """What to compile for: the device's own machine code, or PTX as CuPy does.

    PTX is chosen if ``CUPY_COMPILE_WITH_PTX=1`` asks for it and for devices newer than NVRTC.
    """
    import cupy

    capability = int(cupy.cuda.Device(device).compute_capability)
    newest = max(_nvrtc().getSupportedArchs())
    if capability > newest or os.environ.get("CUPY_COMPILE_WITH_PTX", "0") not in ("", "0"):
        return f"compute_{min(capability, newest)}"
    return f"sm_{capability}"


def _options(param_dtype: str, momentum_dtype: str, architecture: str, rounding: str) -> tuple[str, ...]:
    return (
        f"--gpu-architecture={architecture}",
        "--std=c++17",
        "--ftz=false",
        "--fmad=false",
        f"-DPARAM={_C_TYPES[param_dtype]}",
        f"-DMOMENTUM={_C_TYPES[momentum_dtype]}",
        f"-DCOMPUTE={'double' if param_dtype == 'float64' else 'float'}",
        f"-DSTORAGE={rounding.title()}",
    )


def _source(name: str) -> str:
    return (_KERNELS / name).read_text(encoding="utf-8")


def _nvrtc() -> Any:
    """CuPy's binding of NVRTC, whose library is looked for at the first call."""
    from cupy_backends.cuda.libs import nvrtc

    try:
        nvrtc.getVersion()
    except (RuntimeError, OSError, ImportError) as error:
        raise RuntimeError(
            "the CUDA kernels are compiled with NVRTC, which cannot be loaded; pip install 'signopt[cupy]'"
        ) from error
    return nvrtc
