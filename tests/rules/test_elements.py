"""The quick recognition of a gradient: it may say "unknown" to a good one, and never yes to a bad one."""

import numpy as np
import pytest

from signopt._checks import certainly_matches


class Placed:
    """What recognition looks at, on a device that can be chosen; without one where ``device`` is None."""

    def __init__(self, shape=(2, 3), dtype="float32", device="here"):
        self.shape, self.dtype = shape, dtype
        if device is not None:
            self.device = device


class Other(Placed):
    """The same under another type."""


@pytest.mark.parametrize("device", ["here", None])
def test_a_gradient_alike_in_all_is_a_twin(device):
    assert certainly_matches(Placed(device=device), Placed(device=device)) is True


@pytest.mark.parametrize(
    "grad",
    [Other(), Placed(shape=(3, 2)), Placed(dtype="float64"), Placed(device="there"), Placed(device=None)],
    ids=["type", "shape", "dtype", "device", "no device"],
)
def test_a_gradient_that_differs_in_one_thing_is_none(grad):
    assert certainly_matches(Placed(), grad) is False
    assert type(grad) is Other or certainly_matches(grad, Placed()) is False


@pytest.mark.parametrize("grad", [None, [1.0, 2.0], 1.0, np.zeros(3), np.zeros(2, np.float32), np.ma.zeros(2)])
def test_whatever_is_given_only_an_array_like_the_parameter_is_recognised(grad):
    assert certainly_matches(np.zeros(2), grad) is False
    assert certainly_matches(np.zeros(2), np.ones(2)) is True
