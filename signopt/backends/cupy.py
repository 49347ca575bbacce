"""The rules on CuPy arrays: raw CUDA kernels that update all tensors of one pair of dtypes together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from array_api_compat import is_torch_array

from signopt._namespace import Array, compute_dtype_name
from signopt.backends._base import Backend, Known
from signopt.backends._cuda_addresses import GradientTable, refuse_capture
from signopt.backends._cuda_compile import THREADS, load_function
from signopt.backends._cuda_gradients import Layout, Location, Recogniser
from signopt.backends._cuda_muon import prepare_muon
from signopt.backends._cuda_tables import (
    ElementTable,
    ReductionTable,
    Slot,
    contiguous_strides,
    element_table,
    reduction_table,
    tiger_table,
    words_key,
)
from signopt.backends._interop import cupy_view
from signopt.backends._storage import NEAREST, Storage
from signopt.backends.portable import PortableBackend
from signopt.roles import traits_of
from signopt.rules.coefficients import Coefficients
from signopt.rules.muon import MuonCoefficients
from signopt.rules.tiger import TigerCoefficients

__all__ = ["CupyBackend"]

OUT_OF_MEMORY = 2
"""cudaErrorMemoryAllocation."""

Unusual: TypeAlias = tuple[tuple[int, tuple[int, ...]], ...]
"""The gradients that are not contiguous, by their place among all, and their strides."""


class CupyBackend(Backend):
    """Updates CuPy arrays in place, with the bits of the rule.

    One launch serves all tensors that share their storage dtypes (Tiger takes three); tensors that are not contiguous
    form groups of their own. Work is put on CuPy's current stream, and nothing waits for it. A step can be captured
    into a CUDA graph once one step with the same gradient arrays has been taken outside of a capture; the graph then
    holds the coefficients of the step that was captured. With stochastic rounding it would also hold that step's random
    words, and repeat them whenever it is replayed, so such a step is not captured.

    Raises
    ------
    RuntimeError
        From the first step of a rule, if its kernels cannot be compiled or loaded; from a step under capture, if it
        would have to allocate or upload, or rounds stochastically.
    MemoryError
        If there is no room on the device for the tables, before anything is written.
    """

    name: ClassVar[str] = "cupy"
    reads_tensors: ClassVar[bool] = True

    def __init__(
        self,
        params: Sequence[Array],
        momenta: Sequence[Array],
        roles: Sequence[str] | None = None,
        storage: Storage = NEAREST,
    ) -> None:
        self._params = list(params)
        self._momenta = list(momenta)
        self._roles = roles
        self._traits = [traits_of(role) for role in roles or ["matrix"] * len(self._params)]
        self._device = self._params[0].device
        self._plain_strides = [contiguous_strides(param.shape, param.itemsize) for param in self._params]
        self._storage = storage
        self._draws = any(storage.of(param) == "stochastic" for param in self._params)
        self._recogniser = Recogniser(params, [*momenta, *(rest for rest in storage.rests if rest is not None)])
        self._adopted: Location | None = None
        self._grads = GradientTable(self._device.id)
        self._plans: dict[Unusual, list[_Group]] = {}
        self._groups: list[_Group] = []

    def recognises(self, grads: Sequence[Any]) -> bool:
        return self._recogniser.recognises(grads)

    def prepare(
        self,
        grads: Sequence[Array],
        coefficients: Coefficients,
        *,
        unchanged: bool = False,
        facts: Known | None = None,
    ) -> Callable[[], None]:
        """Prepare every launch, which is where memory runs out and compilers fail.

        Stages go over all groups before the next begins, so the stages that write parameters come last. The kernels
        sum the squares themselves: shards with ``facts`` are updated by the rule.
        """
        if facts is not None:
            portable = PortableBackend(self._params, self._momenta, self._roles, self._storage)
            return portable.prepare(_arrays(grads), coefficients, facts=facts)
        if self._draws:
            refuse_capture()
        if isinstance(coefficients, MuonCoefficients):
            return self._muon(grads, coefficients)
        with self._device:
            try:
                self._adopt(grads, unchanged)
                stages = zip(
                    *[group.launches(coefficients, self._grads.pointer) for group in self._groups], strict=True
                )
            except (MemoryError, RuntimeError) as error:
                _explain_memory(error)
                raise
            self._grads.about_to_launch()
            launches = [launch for stage in stages for launch in stage]
        return lambda: self._launch(launches)

    def _muon(self, grads: Sequence[Array], coefficients: MuonCoefficients) -> Callable[[], None]:
        with self._device:
            write = prepare_muon(self._params, self._momenta, _arrays(grads), coefficients, self._storage)

        def on_device() -> None:
            with self._device:
                write()

        return on_device

    def _launch(self, launches: Sequence[Launch]) -> None:
        with self._device:
            _launch(launches)

    def _adopt(self, grads: Sequence[Array], unchanged: bool) -> None:
        """Make the tables on the device those of ``grads``."""
        location = self._recogniser.look_at(grads, unchanged=unchanged)
        if location is self._adopted:
            return
        unusual = self._unusual(location.layout)
        if unusual not in self._plans:
            self._plans[unusual] = self._grouped(location.layout)
        self._grads.point_to(location.addresses)
        self._groups, self._adopted = self._plans[unusual], location

    def _unusual(self, layout: Layout) -> Unusual:
        if layout == self._plain_strides:
            return ()
        return tuple((i, own) for i, own in enumerate(layout) if own != self._plain_strides[i])

    def _grouped(self, layout: Layout) -> list[_Group]:
        groups: dict[tuple[str, str, bool], list[Slot]] = defaultdict(list)
        arrays = zip(self._params, self._momenta, layout, self._traits, strict=True)
        for index, (param, momentum, grad_strides, traits) in enumerate(arrays):
            if param.size:
                numbers = self._storage.number(index), self._storage.rest(index)
                slot = Slot(param, momentum, index, grad_strides, traits, *numbers)
                groups[slot.key].append(slot)
        return [_Group(key, slots, self._storage.of(slots[0].param), self._device.id) for key, slots in groups.items()]


def _arrays(grads: Sequence[Array]) -> list[Array]:
    """``grads`` as CuPy arrays; they may be torch's tensors."""
    return [cupy_view(grad) if is_torch_array(grad) else grad for grad in grads]


def _launch(launches: Sequence[Launch]) -> None:
    written: list[str] = []
    for launch in launches:
        try:
            launch.function((launch.blocks,), (THREADS,), launch.arguments)
        except RuntimeError as error:
            state = f"already updated: {', '.join(written)}" if written else "nothing was updated"
            raise RuntimeError(f"launching {launch.name} on {launch.arrays} failed, {state}: {error}") from error
        if launch.writes:
            written.append(launch.arrays)


def _explain_memory(error: Exception) -> None:
    """Raise MemoryError if ``error`` says that device memory ran out: CuPy has an error of its own per allocator."""
    if isinstance(error, MemoryError) or getattr(error, "status", None) == OUT_OF_MEMORY:
        raise MemoryError(
            f"no device memory left for a step's tables of addresses and sums; nothing was updated: {error}"
        ) from error


class Launch(NamedTuple):
    """A kernel launch, ready to go; ``writes`` if it changes parameters or momenta."""

    name: str
    arrays: str
    function: Any
    blocks: int
    arguments: tuple[Any, ...]
    writes: bool


class _Group:
    """Tensors that one kernel serves."""

    def __init__(self, key: tuple[str, str, bool], slots: list[Slot], rounding: str, device: int) -> None:
        self._dtypes, self._strided = key[:2], key[2]
        self._slots, self._rounding = slots, rounding
        self._device = device
        self._number = np.float64 if compute_dtype_name(key[0]) == "float64" else np.float32
        self._functions: dict[str, Any] = {}

    def launches(self, k: Coefficients, grads: int) -> list[Launch]:
        """The launches of one step; ``grads`` is the address of the table of gradients.

        A kernel takes the coefficients in the order of their fields, and at last of what its random words are made.
        """
        if isinstance(k, TigerCoefficients):
            return self._tiger(grads, k)
        table = self._elements
        numbers = [self._number(getattr(k, name)) for name in k.numbers()]
        arguments = (*self._pointers(table, grads), *numbers, *words_key(k.draw))
        return [self._launch(k.rule, f"signopt_{k.rule}", table.blocks, arguments)]

    def _tiger(self, grads: int, k: TigerCoefficients) -> list[Launch]:
        """The three launches of Tiger; a micro-step that moves nothing needs no sums of squares."""
        reductions, table = self._reductions, self._tiger_elements
        lane_blocks, fold_blocks = reductions.all_blocks if k.moves else reductions.nan_blocks
        work, lanes, folds = map(_pointer, (reductions.reductions, reductions.lanes, reductions.folds))
        to_lanes = (work, grads, _pointer(reductions.lane_owners), _pointer(table.layouts), lanes)
        to_folds = (work, _pointer(reductions.fold_owners), lanes, folds)
        half_lr = 0.5 * float(self._number(k.lr))
        numbers = (k.b1, k.b2, k.lr, half_lr, k.weight_decay, k.shrink)
        to_move = (*self._pointers(table, grads), folds, *map(self._number, numbers), np.int32(k.moves))
        to_move += words_key(k.draw)
        return [
            self._launch("tiger", "signopt_tiger_lanes", lane_blocks, to_lanes),
            self._launch("tiger", "signopt_tiger_folds", fold_blocks, to_folds),
            self._launch("tiger", "signopt_tiger", table.blocks, to_move),
        ]

    @cached_property
    def _elements(self) -> ElementTable:
        return element_table(self._slots)

    @cached_property
    def _reductions(self) -> ReductionTable:
        return reduction_table(self._slots)

    @cached_property
    def _tiger_elements(self) -> ElementTable:
        return tiger_table(self._slots, self._reductions)

    def _pointers(self, table: ElementTable, grads: int) -> tuple[int, int, int, int]:
        return _pointer(table.tensors), grads, _pointer(table.owners), _pointer(table.layouts)

    def _launch(self, rule: str, kernel: str, blocks: int, arguments: tuple[Any, ...]) -> Launch:
        if kernel not in self._functions:
            folds = kernel.endswith("_folds")
            name = f"{kernel}_strided" if self._strided and not folds else kernel
            self._functions[kernel] = load_function(rule, name, *self._dtypes, self._rounding, self._device)
        writes = kernel == f"signopt_{rule}"
        arrays = f"{'strided ' if self._strided else ''}{self._dtypes[0]} arrays"
        return Launch(kernel, arrays, self._functions[kernel], blocks, arguments, writes)


def _pointer(array: Any) -> int:
    return 0 if array is None else int(array.data.ptr)
