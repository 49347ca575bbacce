"""The addresses of the gradients, on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["GradientTable", "refuse_capture"]

HOST_TO_DEVICE = 1


@dataclass
class _Staging:
    """Page-locked host memory that a copy reads from, and the event that says when it has."""

    memory: Any
    copied: Any


class GradientTable:
    """One address per gradient, uploaded only when one has changed, without waiting for the device.

    A CUDA graph reads the table again whenever it is replayed, so a table that was used in a capture is left as it is,
    and the next change goes to a new one.
    """

    def __init__(self, device: int) -> None:
        self._device = device
        self._addresses: np.ndarray[Any, Any] | None = None
        self._table: Any = None
        self._captured: list[Any] = []
        self._staging: list[_Staging] = []

    @property
    def pointer(self) -> int:
        """Address of the table on the device."""
        return int(self._table.data.ptr)

    def point_to(self, addresses: np.ndarray[Any, Any]) -> None:
        """Make the table hold ``addresses``, in the order of the current stream.

        Raises
        ------
        RuntimeError
            If they have changed while the current stream is capturing.
        """
        if self._addresses is not None and np.array_equal(addresses, self._addresses):
            return
        import cupy

        stream = cupy.cuda.get_current_stream()
        if _capturing(stream):
            raise RuntimeError(
                "the gradients are at other addresses than in the step before, and new addresses cannot be uploaded "
                "while a CUDA graph is captured; take one step with these gradient arrays before the capture"
            )
        if self._table is None:
            self._table = cupy.empty(len(addresses), dtype=np.uint64)
        self._addresses = None
        self._upload(addresses, stream)
        self._addresses = addresses

    def about_to_launch(self) -> None:
        """Set the table aside if the launches that follow will be part of a graph."""
        import cupy

        if _capturing(cupy.cuda.get_current_stream()) and not self._is_captured():
            self._captured.append(self._table)

    def _upload(self, addresses: np.ndarray[Any, Any], stream: Any) -> None:
        import cupy

        if self._is_captured():
            self._table = cupy.empty(len(addresses), dtype=np.uint64)
        staging = self._free_staging(addresses.nbytes)
        np.frombuffer(staging.memory, dtype=addresses.dtype, count=len(addresses))[:] = addresses
        cupy.cuda.runtime.memcpyAsync(self.pointer, staging.memory.ptr, addresses.nbytes, HOST_TO_DEVICE, stream.ptr)
        staging.copied.record(stream)

    def _is_captured(self) -> bool:
        return any(table is self._table for table in self._captured)

    def _free_staging(self, size: int) -> _Staging:
        """Staging memory that no copy is still reading; a new one rather than waiting."""
        import cupy

        for staging in self._staging:
            if staging.copied.done:
                return staging
        self._staging.append(
            _Staging(cupy.cuda.alloc_pinned_memory(max(size, 8)), cupy.cuda.Event(disable_timing=True))
        )
        return self._staging[-1]


def refuse_capture() -> None:
    """Raise RuntimeError if the current stream is capturing a step that has random words."""
    import cupy

    if _capturing(cupy.cuda.get_current_stream()):
        raise RuntimeError(
            "a CUDA graph would repeat the random words of this one step of rounding='stochastic' whenever it is "
            "replayed; take such steps outside of the capture, or use rounding='split'"
        )


def _capturing(stream: Any) -> bool:
    import cupy

    return bool(cupy.cuda.runtime.streamIsCapturing(stream.ptr))
