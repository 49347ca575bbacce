"""The tables that tell the CUDA kernels where each tensor is and which blocks work on it.

Every field of a row takes 8 bytes and follows the structs of ``kernels/elements.cuh`` and ``kernels/tiger.cu``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from signopt._namespace import Array, dtype_name
from signopt.backends._cuda_compile import THREADS
from signopt.roles import RoleTraits
from signopt.rules.coefficients import Draw

__all__ = [
    "ElementTable",
    "ReductionTable",
    "Slot",
    "contiguous_strides",
    "divisor",
    "element_table",
    "reduction_table",
    "tiger_table",
    "words_key",
]

PACKS_PER_THREAD = 4
PACKS_PER_LANE = 16
MOST_LANES = 32768
MOST_LANES_OF_A_ROW = 32
LANES_PER_FOLD = 8
MOST_FOLDS = 32


@dataclass(frozen=True)
class Slot:
    """One parameter: its arrays, its place in the optimizer's order, and for Tiger what its role asks for.

    ``grad_strides`` are in bytes: gradients come and go, and the kernels need no more of them than that and an address.
    ``number`` and ``rest`` are those of :class:`~signopt.backends._storage.Storage`.
    """

    param: Array
    momentum: Array
    index: int
    grad_strides: tuple[int, ...]
    traits: RoleTraits
    number: int = 0
    rest: Array | None = None

    @property
    def strided(self) -> bool:
        """Whether any of the arrays is not contiguous in the order of its indices."""
        strides = contiguous_strides(self.param.shape, self.param.itemsize)
        return not (
            self.param.flags.c_contiguous
            and self.momentum.flags.c_contiguous
            and (self.rest is None or self.rest.flags.c_contiguous)
            and _same_steps(self.param.shape, self.grad_strides, strides)
        )

    @property
    def rest_address(self) -> int:
        """Where its low halves are; 0 where it has none."""
        return 0 if self.rest is None else int(self.rest.data.ptr)

    @property
    def rest_strides(self) -> tuple[int, ...]:
        """The strides of its low halves in bytes, or zeros."""
        return (0,) * self.param.ndim if self.rest is None else tuple(self.rest.strides)

    @property
    def key(self) -> tuple[str, str, bool]:
        """What decides which kernel serves it: the storage dtypes, and whether it is strided."""
        return dtype_name(self.param), dtype_name(self.momentum), self.strided


@dataclass(frozen=True)
class ElementTable:
    """Device arrays of one group: a row per tensor, and which tensor each block works on."""

    tensors: Any
    owners: Any
    layouts: Any
    blocks: int


@dataclass
class Reduction:
    """Sums over the rows of one array: how they are shared out, and where their parts are among all of a group's."""

    slot: Slot
    squares: bool
    rows: int
    width: int
    lanes: int
    folds: int
    first_lane: int = 0
    first_lane_block: int = 0
    first_fold: int = 0
    first_fold_block: int = 0

    @property
    def lane_blocks(self) -> int:
        """Blocks of threads that sum lanes, one lane each."""
        return -(-self.rows * self.lanes // THREADS)

    @property
    def fold_blocks(self) -> int:
        """Blocks of threads that fold lanes, one fold each."""
        return -(-self.rows * self.folds // THREADS)

    def words(self, first_layout: int) -> list[int]:
        """Its row of the table; ``first_layout`` is where the axes of its arrays begin."""
        start = self.slot.param.data.ptr if self.squares else 0
        lanes = [*divisor(self.lanes), self.first_lane, self.first_lane_block]
        folds = [*divisor(self.folds), self.first_fold, self.first_fold_block]
        row = [start, self.slot.index, self.rows, self.width, *lanes, *folds, int(self.squares)]
        return [*row, first_layout, self.slot.param.ndim, self.slot.rest_address if self.squares else 0]


@dataclass(frozen=True)
class ReductionTable:
    """Device arrays of Tiger's reductions: NaN counts first, so that they can be run alone, then sums of squares.

    ``nan_blocks`` and ``all_blocks`` are how many blocks of (lanes, folds) the NaN counts and all reductions take.
    """

    work: dict[tuple[int, bool], Reduction]
    reductions: Any
    lane_owners: Any
    fold_owners: Any
    lanes: Any
    folds: Any
    nan_blocks: tuple[int, int]
    all_blocks: tuple[int, int]


def divisor(value: int) -> tuple[int, int, int]:
    """``(value, magic, shift)`` such that n // value = (h + ((n − h) >> 1)) >> shift with h = (n·magic) >> 64.

    Holds for 0 ≤ n < 2^64 and value ≥ 2; the kernels treat 1 apart.
    """
    if value == 1:
        return 1, 0, 0
    exponent = (value - 1).bit_length()
    return value, ((1 << 64) * ((1 << exponent) - value)) // value + 1, exponent - 1


def element_table(slots: Sequence[Slot], extra: Sequence[Iterable[int]] | None = None) -> ElementTable:
    """The table of a group of tensors of equal dtypes, each row followed by ``extra`` words of its own."""
    first_layouts, layouts = _layouts(slots)
    blocks = [-(-slot.param.size // _chunk(slot)) for slot in slots]
    first_blocks = [0, *accumulate(blocks)]
    rows = []
    for position, slot in enumerate(slots):
        row = [slot.param.data.ptr, slot.momentum.data.ptr, slot.index, slot.param.size, first_blocks[position]]
        row += [first_layouts[position], slot.param.ndim, slot.number, slot.rest_address]
        row += extra[position] if extra else ()
        rows.append(row)
    return ElementTable(_upload(rows), _owners(blocks), layouts, first_blocks[-1])


def tiger_table(slots: Sequence[Slot], reductions: ReductionTable) -> ElementTable:
    """The table of Tiger's update: as :func:`element_table`, with where each tensor's sums are."""
    return element_table(slots, [_tiger_words(slot, reductions.work) for slot in slots])


def _tiger_words(slot: Slot, work: dict[tuple[int, bool], Reduction]) -> list[int]:
    traits = slot.traits
    nan, squares = work[slot.index, False], work.get((slot.index, True))
    rms = [squares.first_fold, squares.folds, *divisor(squares.width)] if squares else [0, 0, *divisor(1)]
    return [nan.first_fold, nan.folds, *rms, int(traits.decays), _bits(traits.centre)]


def reduction_table(slots: Sequence[Slot]) -> ReductionTable:
    """The reductions that a group of tensors needs, and room for their parts."""
    import cupy

    counts = [_reduction(slot, squares=False) for slot in slots]
    work = counts + [_reduction(slot, squares=True) for slot in slots if slot.traits.rms]
    lanes, folds = _place(work)
    first_layouts, _ = _layouts(slots)
    layout = {slot.index: first for slot, first in zip(slots, first_layouts, strict=True)}
    return ReductionTable(
        work={(item.slot.index, item.squares): item for item in work},
        reductions=_upload([item.words(layout[item.slot.index]) for item in work]),
        lane_owners=_owners([item.lane_blocks for item in work]),
        fold_owners=_owners([item.fold_blocks for item in work]),
        lanes=cupy.empty(lanes, dtype=cupy.float64),
        folds=cupy.empty(folds, dtype=cupy.float64),
        nan_blocks=_block_counts(counts),
        all_blocks=_block_counts(work),
    )


def _reduction(slot: Slot, *, squares: bool) -> Reduction:
    by_row = squares and slot.traits.rms == "row" and slot.param.ndim > 0
    width = int(slot.param.shape[-1]) if by_row else slot.param.size
    rows = slot.param.size // width
    packs = -(-width * slot.param.itemsize // 16)
    lanes = min(-(-packs // PACKS_PER_LANE), MOST_LANES if rows == 1 else MOST_LANES_OF_A_ROW)
    folds = min(-(-lanes // LANES_PER_FOLD), MOST_FOLDS) if rows == 1 else 1
    return Reduction(slot, squares, rows, width, lanes, folds)


def _place(work: Sequence[Reduction]) -> tuple[int, int]:
    """Lay the reductions' lanes and folds out one after another; how many there are of each."""
    lane = lane_block = fold = fold_block = 0
    for item in work:
        item.first_lane, item.first_lane_block = lane, lane_block
        item.first_fold, item.first_fold_block = fold, fold_block
        lane, lane_block = lane + item.rows * item.lanes, lane_block + item.lane_blocks
        fold, fold_block = fold + item.rows * item.folds, fold_block + item.fold_blocks
    return lane, fold


def _block_counts(work: Sequence[Reduction]) -> tuple[int, int]:
    return sum(item.lane_blocks for item in work), sum(item.fold_blocks for item in work)


def _chunk(slot: Slot) -> int:
    """Elements that one block updates."""
    narrowest: int = min(slot.param.itemsize, slot.momentum.itemsize)
    return THREADS * PACKS_PER_THREAD * (16 // narrowest)


def _layouts(slots: Sequence[Slot]) -> tuple[list[int], Any]:
    """Where each tensor's axes begin, and the axes of all of them: nothing if all are contiguous."""
    if not slots[0].strided:
        return [0] * len(slots), None
    firsts: list[int] = []
    axes: list[list[int]] = []
    for slot in slots:
        firsts.append(len(axes))
        strides = slot.param.strides, slot.momentum.strides, slot.grad_strides, slot.rest_strides
        steps = zip(slot.param.shape, *strides, strict=True)
        axes += [[*divisor(length), *own] for length, *own in reversed([*steps])]
    return firsts, _upload(axes or [[0]])


def _upload(rows: Sequence[Sequence[int]]) -> Any:
    import cupy

    return cupy.asarray(np.array([[word % 2**64 for word in row] for row in rows], dtype=np.uint64))


def _owners(blocks: Sequence[int]) -> Any:
    """For each block, which row of the table it works on."""
    import cupy

    return cupy.asarray(np.repeat(np.arange(len(blocks), dtype=np.int32), blocks))


def _bits(number: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", number))[0])


def words_key(draw: Draw) -> tuple[Any, Any]:
    """Of what a step's random words are a function, as the last arguments of every kernel that writes."""
    return np.uint64(draw.seed), np.uint32(draw.step & 0xFFFFFFFF)


def contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The strides, in bytes, of an array whose elements follow each other in the order of their indices."""
    strides = [itemsize]
    for length in reversed(shape[1:]):
        strides.append(strides[-1] * length)
    return tuple(reversed(strides[: len(shape)]))


def _same_steps(shape: tuple[int, ...], strides: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(length == 1 or a == b for length, a, b in zip(shape, strides, wanted, strict=True))
