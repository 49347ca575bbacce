"""Tensors of more than 2^32 elements, of which one block's worth exists: the kernels index with 64 bits.

An array that claims to begin far before the memory that it has is updated by the one block whose elements are there.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.backends.cupy_cases import COEFFICIENTS, Case, expected, tiger_coefficients, triple
from tests.backends.cupy_device import needs_cupy
from tests.bits import assert_same_bits

pytestmark = needs_cupy

CHUNK = 4096
"""Elements of float32 that one block updates."""
BLOCK = 2_000_003
FIRST = BLOCK * CHUNK
EXISTING = CHUNK - 2
"""Elements of the last block that are in the tensor."""


def claim(array, offset, shape, strides):
    """An array of ``shape`` whose byte number ``offset`` is the first of ``array``."""
    import cupy

    memory = cupy.cuda.UnownedMemory(array.data.ptr - offset, offset + array.nbytes, array, array.device.id)
    return cupy.ndarray(shape, array.dtype, cupy.cuda.MemoryPointer(memory, 0), strides)


def claimed(array, step):
    """FIRST elements that do not exist and EXISTING that do: pairs that begin every ``step`` elements of memory."""
    return claim(array, 2 * FIRST * step, ((FIRST + EXISTING) // 2, 2), (4 * step, 4))


def only_the_last_block(make_table):
    """``make_table`` for one tensor, of which the one block that is launched takes itself for number BLOCK."""

    def table(*arguments):
        import cupy

        whole = make_table(*arguments)
        assert whole.blocks == BLOCK + 1
        whole.tensors[0, 4] = -BLOCK % 2**64
        return dataclasses.replace(whole, owners=cupy.zeros(1, dtype=np.int32), blocks=1)

    return table


def without_nan(make_table):
    """Tiger's sums as if the gradients, most of which do not exist, had been read."""

    def table(*arguments):
        whole = make_table(*arguments)
        whole.folds[...] = 0
        return whole

    return table


@pytest.fixture
def one_block(monkeypatch):
    """Only the last launch of a step is made, and of that only the last block."""
    from signopt.backends import cupy as backend

    launch = backend._launch
    monkeypatch.setattr(backend, "element_table", only_the_last_block(backend.element_table))
    monkeypatch.setattr(backend, "tiger_table", only_the_last_block(backend.tiger_table))
    monkeypatch.setattr(backend, "reduction_table", without_nan(backend.reduction_table))
    monkeypatch.setattr(backend, "_launch", lambda launches: launch(launches[-1:]))


@pytest.mark.parametrize("step", [2, 4], ids=["contiguous", "strided"])
@pytest.mark.parametrize("rule", ["lion", "signum", "tiger"])
def test_the_end_of_a_large_tensor(rule, step, one_block):
    """``step`` 2: three contiguous arrays; 4: gaps in the momentum."""
    import cupy

    from signopt.backends.cupy import CupyBackend

    coefficients = COEFFICIENTS.get(rule) or tiger_coefficients(0)
    param, grad, momentum = triple(CHUNK, "float32", "float32", 0, finite=True)
    spaced = np.zeros((CHUNK // 2, step), np.float32)
    spaced[:, :2] = momentum.reshape(-1, 2)
    on_device = [cupy.asarray(array) for array in (param, grad, spaced)]
    views = [claimed(array, gap) for array, gap in zip(on_device, (2, 2, step), strict=True)]
    CupyBackend(views[:1], views[2:], ["bias"]).step(views[1:2], coefficients)
    case = Case((param, grad, momentum), EXISTING, (0, 0, 0))
    right_param, right_momentum = expected(rule, case, coefficients, "bias")
    assert_same_bits(on_device[0].get(), right_param)
    spaced[:, :2] = right_momentum.reshape(-1, 2)
    assert_same_bits(on_device[2].get(), spaced)


def test_the_last_rows_of_a_large_embedding():
    """Pairs, one RMS each: what both of Tiger's reductions make of the last 256."""
    import cupy

    from signopt.backends import _cuda_tables as tables
    from signopt.backends.cupy import _Group, _launch
    from signopt.roles import traits_of

    pairs = np.random.default_rng(0).integers(-8, 9, (tables.THREADS, 2)).astype(np.float32)
    on_device, sums = cupy.asarray(pairs), cupy.zeros((2, tables.THREADS))
    param = claim(on_device, 8 * FIRST, (FIRST + tables.THREADS, 2), (8, 4))
    slot = tables.Slot(param, param, 0, param.strides, traits_of("embedding"))
    group = _Group(slot.key, [slot], "nearest", cupy.cuda.Device().id)
    reduction = tables._reduction(slot, squares=True)
    reduction.first_lane_block = reduction.first_fold_block = -FIRST // tables.THREADS
    work, owners = tables._upload([reduction.words(0)]), cupy.zeros(1, dtype=np.int32)
    lanes, folds = (row.data.ptr - 8 * FIRST for row in sums)
    to_lanes = (work.data.ptr, 0, owners.data.ptr, 0, lanes)
    to_folds = (work.data.ptr, owners.data.ptr, lanes, folds)
    _launch(
        [
            group._launch("tiger", "signopt_tiger_lanes", 1, to_lanes),
            group._launch("tiger", "signopt_tiger_folds", 1, to_folds),
        ]
    )
    squares = (pairs.astype(np.float64) ** 2).sum(axis=1)
    assert_same_bits(sums[0].get(), squares)
    assert_same_bits(sums[1].get(), np.sqrt(squares / 2).astype(np.float32).astype(np.float64))
