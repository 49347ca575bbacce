"""Build translated kernels with gcc and run them on the host."""

from __future__ import annotations

import ctypes
import functools
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .ptx import Kernel, parse
from .translate import has_barrier, translate

__all__ = ["DeviceFaultError", "HostKernel", "build"]

FAULTS = {
    1: "illegal memory access",
    2: "misaligned address",
    3: "trap",
    4: "shared memory access out of range",
}

_FLAGS = ["-std=gnu11", "-O1", "-w", "-fPIC", "-shared", "-U_FORTIFY_SOURCE"]
_EXACT = ["-fno-strict-aliasing", "-fwrapv", "-ffp-contract=off", "-fexcess-precision=16"]

_ENTRY = """
int {name}(const uint32_t *grid, const uint32_t *block, char *const *params, uint64_t shared, const uint64_t *memory,
           uint64_t count, uint64_t order, uint64_t *outcome) {{
    return launch_kernel(body_{name}, {barrier}, grid, block, params, shared, memory, count, order, outcome);
}}
"""


class DeviceFaultError(Exception):
    """A kernel did what a device would stop it for; ``kind`` is one of the keys of :data:`FAULTS`."""

    def __init__(self, kernel: str, kind: int, address: int) -> None:
        super().__init__(f"{kernel}: {FAULTS[kind]} at {address:#x}")
        self.kind = kind


@dataclass
class HostKernel:
    """One kernel, translated; gcc builds it when it is first launched."""

    kernel: Kernel
    source: str

    @functools.cached_property
    def _entry(self) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            library, source = Path(folder, "kernel.so"), Path(folder, "kernel.c")
            source.write_text(self.source)
            subprocess.run(["gcc", *_FLAGS, *_EXACT, "-o", library, source, "-lm"], check=True)
            return getattr(ctypes.CDLL(str(library)), self.kernel.name)

    def launch(
        self,
        grid: Sequence[int],
        block: Sequence[int],
        arguments: Sequence[int],
        *,
        dynamic_shared: int = 0,
        memory: np.ndarray,
        order: int = 0,
    ) -> int:
        """Run every thread of every block, one after another.

        Parameters
        ----------
        grid, block : sequence of three int
            As for a CUDA launch.
        arguments : sequence of int
            Addresses of the arguments' bytes.
        dynamic_shared : int, default 0
            Bytes of dynamic shared memory per block.
        memory : uint64 array of shape (n, 2)
            Begin and end addresses of the device memory that exists, ascending.
        order : int, default 0
            0 runs threads in rising order, 1 in falling order, and any other number in a permutation of its own.

        Returns
        -------
        int
            Bytes of global memory that all threads together loaded and stored 128 bits at a time.

        Raises
        ------
        DeviceFaultError
            For an access outside of ``memory`` or of shared memory, a misaligned one, or a trap.
        """
        outcome = (ctypes.c_uint64 * 2)()
        result = self._entry(
            (ctypes.c_uint32 * 3)(*grid),
            (ctypes.c_uint32 * 3)(*block),
            (ctypes.c_void_p * max(1, len(arguments)))(*arguments),
            ctypes.c_uint64(-(-self.kernel.shared_size // 16) * 16 + dynamic_shared),
            memory.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint64(len(memory)),
            ctypes.c_uint64(order),
            outcome,
        )
        if result:
            raise DeviceFaultError(self.kernel.name, result, outcome[0])
        return int(outcome[1])


@functools.cache
def build(ptx: bytes) -> dict[str, HostKernel]:
    """Translate all kernels of a PTX module; the same text is translated once.

    Raises
    ------
    UnsupportedPTXError
        If the text uses what the harness does not model.
    """
    prelude = (Path(__file__).parent / "prelude.h").read_text()
    built = {}
    for kernel in parse(ptx.rstrip(b"\0").decode()):
        entry = _ENTRY.format(name=kernel.name, barrier=int(has_barrier(kernel)))
        built[kernel.name] = HostKernel(kernel, prelude + translate(kernel) + entry)
    return built
