"""Lion, Signum and Tiger on CuPy arrays: raw CUDA kernels that update all tensors of one pair of dtypes together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from signopt._identity import SameArrays
from signopt._namespace import Array, compute_dtype_name
from signopt.backends._cuda_compile import load_function
from signopt.backends._cuda_grads import GradientTable
from signopt.backends._cuda_tables import THREADS, Slot, element_table, reduction_table, tiger_table
from signopt.roles import traits_of
from signopt.rules._coefficients import LionCoefficients, SignumCoefficients, TigerCoefficients

__all__ = ["CupyBackend"]


class CupyBackend:
    """Updates CuPy arrays in place, with the bits of the rule.

    One launch serves all tensors that share their storage dtypes (Tiger takes three); tensors that are not contiguous
    form groups of their own. Work is put on CuPy's current stream, and nothing waits for it. A step can be captured
    into a CUDA graph once one step with the same gradient arrays has been taken outside of a capture; the graph then
    holds the coefficients of the step that was captured.

    Raises
    ------
    RuntimeError
        From the first step of a rule, if its kernels cannot be compiled or loaded; from a step under capture, if it
        would have to allocate or upload.
    cupy.cuda.memory.OutOfMemoryError
        If there is no room for the tables, before anything is written.
    """

    name: ClassVar[str] = "cupy"

    def __init__(self, params: Sequence[Array], momenta: Sequence[Array], roles: Sequence[str] | None = None) -> None:
        self._params = list(params)
        self._momenta = list(momenta)
        self._traits = [traits_of(role) for role in roles or ["matrix"] * len(self._params)]
        self._device = self._params[0].device
        self._same = SameArrays()
        self._grads = GradientTable(self._device.id)
        self._plans: dict[tuple[tuple[int, tuple[int, ...]], ...], list[_Group]] = {}
        self._groups: list[_Group] = []

    def lion(self, grads: Sequence[Array], coefficients: LionCoefficients) -> None:
        k = coefficients
        self._update("lion", grads, (k.lr, k.B1, k.A1, k.B2, k.A2, k.weight_decay))

    def signum(self, grads: Sequence[Array], coefficients: SignumCoefficients) -> None:
        k = coefficients
        self._update("signum", grads, (k.lr, k.B, k.A, k.weight_decay))

    def tiger(self, grads: Sequence[Array], coefficients: TigerCoefficients) -> None:
        with self._device:
            self._adopt(grads)
            steps = [group.tiger(self._grads.pointer, coefficients) for group in self._groups]
            self._grads.about_to_launch()
            for stage in zip(*steps, strict=True):
                for function, grid, arguments in stage:
                    function((grid,), (THREADS,), arguments)

    def _update(self, rule: str, grads: Sequence[Array], coefficients: tuple[float, ...]) -> None:
        with self._device:
            self._adopt(grads)
            launches = [group.update(rule, self._grads.pointer, coefficients) for group in self._groups]
            self._grads.about_to_launch()
            for function, grid, arguments in launches:
                function((grid,), (THREADS,), arguments)

    def _adopt(self, grads: Sequence[Array]) -> None:
        """Make the tables on the device those of ``grads``."""
        if self._same.are(grads):
            return
        layout = tuple((i, grad.strides) for i, grad in enumerate(grads) if not grad.flags.c_contiguous)
        if layout not in self._plans:
            self._plans[layout] = self._grouped(grads)
        self._grads.point_to([grad.data.ptr for grad in grads])
        self._groups = self._plans[layout]
        self._same.remember(grads)

    def _grouped(self, grads: Sequence[Array]) -> list[_Group]:
        groups: dict[tuple[str, str, bool], list[Slot]] = defaultdict(list)
        arrays = zip(self._params, self._momenta, grads, self._traits, strict=True)
        for index, (param, momentum, grad, traits) in enumerate(arrays):
            if param.size:
                slot = Slot(param, momentum, index, grad.strides, traits)
                groups[slot.key].append(slot)
        return [_Group(key, slots, self._device.id) for key, slots in groups.items()]


Launch = tuple[Any, int, tuple[Any, ...]]
"""A function, its number of blocks and its arguments."""


class _Group:
    """Tensors that one kernel serves."""

    def __init__(self, key: tuple[str, str, bool], slots: list[Slot], device: int) -> None:
        self._param_dtype, self._momentum_dtype, self._strided = key
        self._slots = slots
        self._device = device
        self._number = np.float64 if compute_dtype_name(self._param_dtype) == "float64" else np.float32
        self._functions: dict[str, Any] = {}

    def update(self, rule: str, grads: int, coefficients: tuple[float, ...]) -> Launch:
        """The launch of Lion or Signum."""
        table = self._elements
        arguments = (*self._pointers(table, grads), *map(self._number, coefficients))
        return self._function(rule, f"signopt_{rule}"), table.blocks, arguments

    def tiger(self, grads: int, k: TigerCoefficients) -> list[Launch]:
        """The three launches of Tiger; a micro-step that moves nothing needs no sums of squares."""
        table, reductions = self._tiger_elements, self._reductions
        lane_blocks, fold_blocks = reductions.all_blocks if k.moves else reductions.nan_blocks
        number = self._number
        lr = number(k.lr)
        numbers = (number(k.b1), number(k.b2), lr, lr * number(0.5), number(k.weight_decay), number(k.shrink))
        layouts = _pointer(table.layouts)
        lanes, folds = reductions.lanes.data.ptr, reductions.folds.data.ptr
        work = reductions.reductions.data.ptr
        return [
            (
                self._function("tiger", "signopt_tiger_lanes"),
                lane_blocks,
                (work, grads, reductions.lane_owners.data.ptr, layouts, lanes),
            ),
            (
                self._function("tiger", "signopt_tiger_folds", strided=False),
                fold_blocks,
                (work, reductions.fold_owners.data.ptr, lanes, folds),
            ),
            (
                self._function("tiger", "signopt_tiger"),
                table.blocks,
                (*self._pointers(table, grads), folds, *numbers, np.int32(k.moves)),
            ),
        ]

    @cached_property
    def _elements(self) -> Any:
        return element_table(self._slots)

    @cached_property
    def _reductions(self) -> Any:
        return reduction_table(self._slots)

    @cached_property
    def _tiger_elements(self) -> Any:
        return tiger_table(self._slots, self._reductions)

    def _pointers(self, table: Any, grads: int) -> tuple[int, int, int, int]:
        return table.tensors.data.ptr, grads, table.owners.data.ptr, _pointer(table.layouts)

    def _function(self, rule: str, kernel: str, *, strided: bool = True) -> Any:
        if kernel not in self._functions:
            name = f"{kernel}_strided" if self._strided and strided else kernel
            self._functions[kernel] = load_function(rule, name, self._param_dtype, self._momentum_dtype, self._device)
        return self._functions[kernel]


def _pointer(array: Any) -> int:
    return 0 if array is None else int(array.data.ptr)
