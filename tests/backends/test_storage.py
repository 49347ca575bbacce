"""Results are rounded once to their storage dtype, in every backend."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import signopt
from tests.backends.test_every_backend import BACKENDS, fetch, place
from tests.bits import assert_same_bits


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("narrow", ["float16", "bfloat16"])
@pytest.mark.parametrize("wide", ["float32", "float64"])
@pytest.mark.one_in(4)
def test_momentum_is_rounded_once(wide, narrow, backend):
    """With β = 0 the momentum becomes the gradient, rounded: of one large tensor, and of some small ones."""
    values, right = around_every_middle(wide, narrow)
    parts = [slice(None), *(slice(first, None, 500) for first in range(20))]
    for sign in (1, -1):
        grads = [place(sign * values[part], backend) for part in parts]
        params = [place(np.zeros(len(grad), wide), backend) for grad in grads]
        opt = signopt.Signum(params, lr=0.0, beta=0.0, momentum_dtype=right.dtype, backend=backend)
        opt.step(grads)
        for momentum, part in zip(opt.momentum.values(), parts, strict=True):
            assert_same_bits(fetch(momentum), sign * right[part])


def around_every_middle(wide, narrow):
    """Values just below, at and just above the middle of any two neighbours of ``narrow``, and what they round to.

    That is the lower neighbour, the even one, and the upper one; past the largest number comes infinity.
    """
    dtype = np.dtype(getattr(ml_dtypes, narrow, narrow))
    lower = np.arange(np.array(np.inf, dtype).view(np.uint16), dtype=np.uint16)
    upper = lower + np.uint16(1)
    begin, end = (bits.view(dtype).astype(np.float64) for bits in (lower, upper))
    end[-1] = 2 * begin[-1] - begin[-2]
    middle = ((begin + end) / 2).astype(wide)
    values = [np.nextafter(middle, middle.dtype.type(0)), middle, np.nextafter(middle, middle.dtype.type(np.inf))]
    return np.concatenate(values), np.concatenate([lower, np.where(lower & 1, upper, lower), upper]).view(dtype)
