"""NumPy's order of summation, cut into pieces that can be summed apart.

NumPy sums a contiguous array of more than 128 elements as the sum of its halves, the first half rounded down to a
multiple of 8. Cutting at some depth of that tree, summing the leaves apart and then the sums in pairs gives the bits of
``np.sum`` over the whole, on any number of threads.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

__all__ = ["combined", "leaves"]

Numbers: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def leaves(size: int, limit: int) -> Numbers:
    """The bounds of the leaves of a tree over ``size`` elements, cut at the first depth with none above ``limit``.

    >>> leaves(1000, 512)
    array([   0,  496, 1000])
    """
    sizes = np.array([size])
    while sizes.max(initial=0) > limit:
        first = sizes // 2
        first -= first % 8
        sizes = np.stack([first, sizes - first], axis=-1).reshape(-1)
    return np.concatenate([[0], np.cumsum(sizes)])


def combined(sums: Numbers) -> Numbers:
    """The sum over the whole, from the sums of its leaves along the last axis."""
    while sums.shape[-1] > 1:
        sums = sums[..., 0::2] + sums[..., 1::2]
    return sums[..., 0]
