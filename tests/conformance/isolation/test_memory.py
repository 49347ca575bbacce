"""Arrays cross to a port's process as they lie in memory, and what either side does to them reaches the other."""

import gc

import hostile_ports
import ml_dtypes
import numpy as np
import pytest

from signopt.conformance import check
from signopt.conformance.errors import ProtocolViolation
from signopt.conformance.isolation.borrower import Borrower
from signopt.conformance.isolation.lender import ALIGNMENT, Lender
from signopt.conformance.isolation.packets import join, split
from signopt.conformance.isolation.run import check_isolated
from signopt.conformance.protocol.values import Foreign, read, spell


class Pair:
    """A lender and its borrower, with the message between them cut short."""

    def __init__(self):
        self.lender, self.borrower = Lender(), Borrower()

    def hand_over(self, *arrays):
        for number in self.lender.forget():
            self.borrower.forget(number)
        for number, content in self.lender.update():
            self.borrower.update(number, memoryview(content))
        new = []
        spelled = [self.lender.lend(array, new) for array in arrays]
        for number, misalignment, content in new:
            self.borrower.enter(number, misalignment, memoryview(content))
        return [self.borrower.array(each) for each in spelled]

    def hand_back(self):
        for number, content in self.borrower.changes():
            self.lender.take_back(number, memoryview(content))


BASE = np.arange(60, dtype=np.float32).reshape(5, 12)
LAYOUTS = {
    "whole": BASE.copy(),
    "Fortran": np.asfortranarray(BASE),
    "transposed": BASE.copy().T,
    "strided": BASE.copy()[:, ::2],
    "reversed": BASE.copy()[::-1, ::-1],
    "offset": BASE.copy()[1:],
    "broadcast": np.broadcast_to(BASE[:, :1].copy(), (5, 12)),
    "permuted": BASE.reshape(5, 3, 4).transpose(1, 0, 2).copy(order="K"),
    "scalar": np.array(1.5),
    "empty": np.zeros((0, 3)),
    "half": np.ones(3, np.float16),
    "bfloat16": np.ones((2, 3), ml_dtypes.bfloat16),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_array_arrives_as_it_lies_in_memory(name):
    array = LAYOUTS[name]
    (arrived,) = Pair().hand_over(array)
    assert arrived.dtype == array.dtype
    assert (arrived.shape, arrived.strides) == (array.shape, array.strides)
    assert arrived.flags.writeable == array.flags.writeable
    assert arrived.tobytes() == array.tobytes()
    assert not np.shares_memory(arrived, array)


def test_an_array_of_its_own_is_one_there_and_a_view_is_misaligned_alike():
    whole, view = np.ones(8, np.float32), np.ones(9, np.float32)[1:]
    arrived_whole, arrived_view = Pair().hand_over(whole, view)
    assert arrived_whole.flags.owndata
    assert not arrived_view.flags.owndata
    assert arrived_view.ctypes.data % ALIGNMENT == view.ctypes.data % ALIGNMENT


def test_two_arrays_that_share_memory_share_it_there():
    base = np.zeros(6)
    one, two = Pair().hand_over(base[:4], base[2:])
    one[3] = 7.0
    assert two[1] == 7.0


def test_changes_reach_the_other_side():
    pair, array = Pair(), np.arange(6.0).reshape(2, 3)
    kept = array.T
    (arrived,) = pair.hand_over(kept)
    array[0, 1] = -1.0
    (again,) = pair.hand_over(kept)
    assert arrived[1, 0] == -1.0
    assert np.shares_memory(arrived, again)
    arrived[2, 1] = 9.0
    pair.hand_back()
    assert array[1, 2] == 9.0


def test_what_the_suite_has_not_kept_is_forgotten():
    pair = Pair()
    (arrived,) = pair.hand_over(np.arange(3.0))
    gc.collect()
    pair.hand_over()
    arrived += 1
    assert pair.borrower.changes() == []


@pytest.mark.parametrize(("number", "size"), [(1, 23), (2, 24), (0, 24), (-1, 0)])
def test_a_change_of_what_was_not_lent_is_a_violation(number, size):
    lender, array = Lender(), np.zeros(3)
    lender.lend(array, [])
    with pytest.raises(ProtocolViolation, match="was not lent"):
        lender.take_back(number, memoryview(bytes(size)))
    assert not array.any()


def test_values_survive_and_the_rest_is_named():
    value = {"a": [1, (2.5, None)], 3: {"nan": float("inf")}, "s": "\ud800", "x": object}
    back = read(spell(value, None), None)
    assert {key: back[key] for key in ("a", 3, "s")} == {key: value[key] for key in ("a", 3, "s")}
    assert isinstance(back["x"], Foreign)
    nested = []
    nested.append(nested)
    assert "list" in repr(spell(nested, None))


@pytest.mark.parametrize(
    "spelled", [{}, {"d": 7}, {"d": [[{"l": []}, 1]]}, {"d": [[1]]}, {"f": 1, "r": ""}, {"l": None}, {"pickle": "x"}]
)
def test_what_is_no_value_is_a_violation(spelled):
    with pytest.raises(ProtocolViolation):
        read(spelled, None)


@pytest.mark.parametrize(
    "message", [b"", b"\0\0\0\2{}", b"\xff" * 9, b"\0\0\0\4null", b'\0\0\0\x0e{"sizes":[-1]}', join({}, [b"abc"])[:-1]]
)
def test_what_is_no_message_is_a_violation(message):
    with pytest.raises(ProtocolViolation):
        split(message)


@pytest.mark.parametrize("name", ["Right", "ChangesItsInputs", "KeepsTheGradient", "ReadsMemory", "NeedsContiguity"])
@pytest.mark.one_in(4)
def test_a_port_in_another_process_gets_the_report_that_it_gets_here(name):
    options = {"only": ["inputs", "sizes/empty", "sizes/scalar"], "dtypes": ["float32"], "diagnose": False}
    here = check(getattr(hostile_ports, name), **options)
    there = check_isolated(f"hostile_ports:{name}", **options)
    assert here.to_dict() == there.to_dict()
    assert (here.verdict == "pass") == (name in ("Right", "NeedsContiguity"))
