"""A CUDA device made of host memory: what the replaced entry points do.

Work on a stream happens at once and in order, unless the stream is capturing: then launches and copies are recorded and
run when the graph is launched, and what CUDA forbids during capture raises. Everything is logged, so that tests can
count launches, allocations, copies and synchronisations.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from .runner import DeviceFaultError, HostKernel, build

__all__ = ["HostDevice", "Launch"]

INVALID_VALUE, OUT_OF_MEMORY = 1, 2
ILLEGAL_ADDRESS, MISALIGNED_ADDRESS, LAUNCH_FAILED = 700, 716, 719
CAPTURE_UNSUPPORTED = 900
NOT_FOUND = 500
_FAULT_CODES = {1: ILLEGAL_ADDRESS, 2: MISALIGNED_ADDRESS, 3: LAUNCH_FAILED, 4: LAUNCH_FAILED}

_ATTRIBUTES = {1: 1024, 2: 1024, 3: 1024, 4: 64, 5: 2**31 - 1, 6: 65535, 7: 65535, 8: 49152, 10: 32, 16: 80, 39: 2048}
_ATTRIBUTES.update({88: 0, 115: 0})

_libc = ctypes.CDLL(None)
_libc.aligned_alloc.restype = ctypes.c_void_p
_libc.aligned_alloc.argtypes = [ctypes.c_size_t] * 2
_libc.free.argtypes = [ctypes.c_void_p]
_ALIGNMENT = 512


@dataclass(frozen=True)
class Launch:
    """One kernel launch as CuPy asked for it; ``arguments`` are the bytes of each argument."""

    name: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    stream: int
    arguments: tuple[bytes, ...]


@dataclass
class _Allocation:
    size: int
    device: int
    host: bool


@dataclass
class HostDevice:
    """State of the host device, and one method per entry point that it implements.

    Attributes
    ----------
    order : int
        The order in which threads run; see :meth:`cupy_on_cpu.runner.HostKernel.launch`.
    run_kernels : bool
        False makes launches return at once, so that the host's part of a step can be timed.
    memory_limit : int
        Bytes after which an allocation fails with cudaErrorMemoryAllocation.
    allocations_left : int, optional
        How many allocations will succeed before one fails in that way; the ones after it succeed again.
    launches, copies, errors : list
        What has happened: launches, (kind, bytes) of copies, and every exception an entry point raised. CuPy swallows
        exceptions in destructors, so a test is only clean when ``errors`` is empty.
    allocations, synchronisations : int
        How many there have been.
    traffic : int
        Bytes of global memory that kernels loaded and stored 128 bits at a time.
    lent : dict
        Memory that somebody else has allocated and kernels may use: {address: bytes}.
    """

    runtime: ModuleType
    driver: ModuleType
    capability: tuple[int, int] = (8, 0)
    device_count: int = 2
    order: int = 0
    run_kernels: bool = True
    memory_limit: int = 1 << 32
    allocations_left: int | None = None
    fail_launches_of: str | None = None
    launches: list[Launch] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    allocations: int = 0
    synchronisations: int = 0
    traffic: int = 0
    _current: int = 0
    _in_use: int = 0
    _memory: dict[int, _Allocation] = field(default_factory=dict)
    _objects: dict[int, Any] = field(default_factory=dict)
    lent: dict[int, int] = field(default_factory=dict)
    _capturing: dict[int, list[Callable[[], None]]] = field(default_factory=dict)

    def handlers(self, group: str) -> dict[str, Callable[..., Any]]:
        """{entry point: function}, of ``"runtime"`` or ``"driver"``, each recording the exceptions that it raises."""
        table = self._runtime_handlers() if group == "runtime" else self._driver_handlers()
        return {name: self._recording(function) for name, function in table.items()}

    def reset_log(self) -> None:
        """Forget what has happened so far."""
        self.launches.clear()
        self.copies.clear()
        self.errors.clear()
        self.allocations = self.synchronisations = self.traffic = 0

    def _recording(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def recorded(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except BaseException as error:
                self.errors.append(error)
                raise

        return recorded

    def _runtime_error(self, code: int) -> Exception:
        return self.runtime.CUDARuntimeError(code)  # type: ignore[no-any-return]

    def _driver_error(self, code: int, what: str) -> Exception:
        """A CUDADriverError without its constructor, which asks libcuda for the text."""
        error = self.driver.CUDADriverError.__new__(self.driver.CUDADriverError, what)
        error.status = code
        return error  # type: ignore[no-any-return]

    def _handle(self, thing: Any) -> int:
        handle = 0x1000 + 16 * len(self._objects)
        self._objects[handle] = thing
        return handle

    def _forbidden_in_capture(self) -> None:
        if self._capturing:
            raise self._runtime_error(CAPTURE_UNSUPPORTED)

    def _on_stream(self, stream: int, work: Callable[[], None]) -> None:
        if stream in self._capturing:
            self._capturing[stream].append(work)
        else:
            work()

    def _malloc(self, size: int, *_: Any, host: bool = False) -> int:
        self._forbidden_in_capture()
        if self._in_use + size > self.memory_limit or self._is_refused():
            raise self._runtime_error(OUT_OF_MEMORY)
        address: int = _libc.aligned_alloc(_ALIGNMENT, max(1, -(-size // _ALIGNMENT)) * _ALIGNMENT)
        ctypes.memset(address, 0xAB, size)
        self._memory[address] = _Allocation(size, self._current, host)
        self.allocations += 1
        self._in_use += size
        return address

    def _is_refused(self) -> bool:
        if self.allocations_left is None:
            return False
        self.allocations_left -= 1
        return self.allocations_left == -1

    def _free(self, address: int, *_: Any) -> None:
        allocation = self._memory.pop(address, None)
        if allocation is not None:
            self._in_use -= allocation.size
            _libc.free(address)

    def _copy(self, target: int, source: int, size: int, kind: int) -> None:
        self._forbidden_in_capture()
        self.copies.append((kind, size))
        ctypes.memmove(target, source, size)

    def _copy_async(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        self.copies.append((kind, size))
        self._on_stream(stream, lambda: ctypes.memmove(target, source, size) and None)

    def _set_async(self, target: int, value: int, size: int, stream: int) -> None:
        self._on_stream(stream, lambda: ctypes.memset(target, value, size) and None)

    def _synchronise(self, *_: Any) -> None:
        self._forbidden_in_capture()
        self.synchronisations += 1

    def _set_device(self, device: int) -> None:
        self._current = device

    def _attribute(self, attribute: int, _: int) -> int:
        return {75: self.capability[0], 76: self.capability[1], **_ATTRIBUTES}[attribute]

    def _pointer_attributes(self, pointer: int) -> Any:
        for address, allocation in self._memory.items():
            if address <= pointer < address + max(1, allocation.size):
                kind = 1 if allocation.host else 2
                return self.runtime.PointerAttributes(allocation.device, pointer, pointer, kind)
        return self.runtime.PointerAttributes(-2, 0, pointer, 0)

    def _begin_capture(self, stream: int, *_: Any) -> None:
        self._capturing[stream] = []

    def _end_capture(self, stream: int) -> int:
        return self._handle(self._capturing.pop(stream))

    def _launch_graph(self, graph: int, _: int) -> None:
        for work in self._objects[graph]:
            work()

    def _runtime_handlers(self) -> dict[str, Callable[..., Any]]:
        version = self.runtime.runtimeGetVersion()
        nothing = _returning(None)
        return {
            "_ensure_context": nothing,
            "_deviceEnsurePeerAccess": nothing,
            "_getCUDAMajorVersion": _returning(version // 1000),
            "check_status": nothing,
            "deviceCanAccessPeer": _returning(1),
            "deviceGetAttribute": self._attribute,
            "deviceGetDefaultMemPool": _returning(1),
            "deviceGetMemPool": _returning(1),
            "deviceSynchronize": self._synchronise,
            "driverGetVersion": _returning(version),
            "eventCreate": lambda: self._handle("event"),
            "eventCreateWithFlags": lambda flags: self._handle("event"),
            "eventDestroy": nothing,
            "eventElapsedTime": _returning(0.0),
            "eventQuery": _returning(0),
            "eventRecord": nothing,
            "eventSynchronize": self._synchronise,
            "free": self._free,
            "freeAsync": self._free,
            "freeHost": self._free,
            "getDevice": lambda: self._current,
            "getDeviceCount": _returning(self.device_count),
            "graphDestroy": nothing,
            "graphExecDestroy": nothing,
            "graphInstantiate": lambda graph: graph,
            "graphLaunch": self._launch_graph,
            "graphUpload": nothing,
            "hostAlloc": lambda size, flags: self._malloc(size, host=True),
            "malloc": self._malloc,
            "mallocAsync": self._malloc,
            "memGetInfo": _returning((1 << 32, 1 << 32)),
            "memcpy": self._copy,
            "memcpyAsync": self._copy_async,
            "memset": lambda target, value, size: ctypes.memset(target, value, size) and None,
            "memsetAsync": self._set_async,
            "pointerGetAttributes": self._pointer_attributes,
            "pointerGetMemoryType": lambda pointer: self._pointer_attributes(pointer).type,
            "runtimeGetVersion": _returning(version),
            "setDevice": self._set_device,
            "streamBeginCapture": self._begin_capture,
            "streamCreate": lambda: self._handle("stream"),
            "streamCreateWithFlags": lambda flags: self._handle("stream"),
            "streamCreateWithPriority": lambda flags, priority: self._handle("stream"),
            "streamDestroy": nothing,
            "streamEndCapture": self._end_capture,
            "streamGetFlags": _returning(0),
            "streamGetPriority": _returning(0),
            "streamIsCapturing": lambda stream: int(stream in self._capturing),
            "streamQuery": _returning(0),
            "streamSynchronize": self._synchronise,
            "streamWaitEvent": nothing,
        }

    def _driver_handlers(self) -> dict[str, Callable[..., Any]]:
        return {
            "ctxGetCurrent": _returning(1),
            "ctxGetDevice": lambda: self._current,
            "funcGetAttribute": lambda attribute, function: 1024 if attribute == 0 else 0,
            "funcSetAttribute": _returning(None),
            "get_build_version": _returning(self.runtime.runtimeGetVersion()),
            "launchKernel": self._launch,
            "moduleGetFunction": self._function,
            "moduleLoadData": self._load,
            "moduleUnload": _returning(None),
            "occupancyMaxActiveBlocksPerMultiprocessor": _returning(2),
            "occupancyMaxPotentialBlockSize": _returning((160, 256)),
        }

    def _load(self, image: bytes) -> int:
        image = bytes(image)
        if image.startswith(b"\x7fELF"):
            raise RuntimeError("the host device runs PTX only; a cubin was loaded")
        return self._handle(build(image))

    def _function(self, module: int, name: str | bytes) -> int:
        key = name if isinstance(name, str) else name.decode()
        if key not in self._objects[module]:
            raise self._driver_error(NOT_FOUND, f"CUDA_ERROR_NOT_FOUND: {key}")
        return self._handle(self._objects[module][key])

    def _launch(self, function: int, *rest: int) -> None:
        if not self.run_kernels:
            return
        (*dimensions, shared, stream, arguments, _) = rest
        grid, block = tuple(dimensions[:3]), tuple(dimensions[3:])
        host_kernel: HostKernel = self._objects[function]
        threads = block[0] * block[1] * block[2]
        if not 0 < threads <= 1024 or min(grid) < 1 or host_kernel.kernel.name == self.fail_launches_of:
            raise self._driver_error(INVALID_VALUE, f"CUDA_ERROR_INVALID_VALUE: {host_kernel.kernel.name}")
        parameters = host_kernel.kernel.parameters
        pointers = (ctypes.c_void_p * len(parameters)).from_address(arguments) if parameters else []
        values = tuple(
            ctypes.string_at(pointer, parameter.size) for pointer, parameter in zip(pointers, parameters, strict=True)
        )
        launch = Launch(host_kernel.kernel.name, grid, block, stream, values)  # type: ignore[arg-type]
        self.launches.append(launch)
        self._on_stream(stream, lambda: self._run(host_kernel, launch, shared))

    def _run(self, host_kernel: HostKernel, launch: Launch, shared: int) -> None:
        buffers = [ctypes.create_string_buffer(value, len(value)) for value in launch.arguments]
        try:
            self.traffic += host_kernel.launch(
                launch.grid,
                launch.block,
                [ctypes.addressof(buffer) for buffer in buffers],
                dynamic_shared=shared,
                memory=self._ranges(),
                order=self.order,
            )
        except DeviceFaultError as fault:
            raise self._driver_error(_FAULT_CODES[fault.kind], str(fault)) from fault

    def _ranges(self) -> np.ndarray:
        own = {address: item.size for address, item in self._memory.items() if not item.host}
        device = sorted((address, address + size) for address, size in (own | self.lent).items())
        return np.asarray(device, dtype=np.uint64).reshape(-1, 2)


def _returning(value: Any) -> Callable[..., Any]:
    return lambda *_: value
