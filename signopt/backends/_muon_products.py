"""Products of matrices whose result is symmetric, at the price of about half of it.

None of them allocates an array: they run while a step is being written.

All are made by NumPy's own BLAS, which computes one triangle if both factors are one array. scipy has the routine too
(syrk), but in a BLAS of its own, whose waiting threads and those of NumPy's keep each other from the processors.
"""

from __future__ import annotations

import numpy as np

from signopt.backends._numpy_blocks import Floats

__all__ = ["Products", "pitch"]

BLOCK = 64
"""Rows that are transposed at once, so that what is read of their cache lines is not read again."""

PART = 1 << 15
"""Elements that are added at once: few enough for the cache, and enough to hide the price of a call."""

LINE = 64
"""Bytes of a line of a processor's cache."""

WORTH_HALVING = 128
"""Sides above which a symmetric product is cut in four, of which three parts are computed."""


def pitch(side: int, compute: str) -> int:
    """From one row of a square matrix to the next, in elements.

    An odd number of cache lines: NumPy mirrors a triangle by columns, whose elements would else share few places in the
    cache.
    """
    each = LINE // np.dtype(compute).itemsize
    return (-(-side // each) + 2 | 1) * each


class Products:
    """The symmetric products of one compute dtype."""

    def __init__(self, compute: str) -> None:
        self._room = np.empty(PART, compute)
        self._factors = np.zeros((), compute), np.zeros((), compute)

    def gram(self, x: Floats, out: Floats) -> None:
        """X·Xᵀ, or Xᵀ·X if that is as large as ``out``."""
        wide = len(x) == len(out)
        np.matmul(x if wide else x.T, x.T if wide else x, out=out)

    def quadratic(self, x: Floats, b: float, c: float, out: Floats) -> None:
        """b·X + c·X² of a symmetric X; both lie in memory alike, and what is between their rows is lost."""
        self.gram(x, out)
        of_x, of_square = self._factors
        of_x[()], of_square[()] = b, c
        x, out = _with_gaps(x), _with_gaps(out)
        for start in range(0, len(x), PART):
            part = out[start : start + PART]
            linear = np.multiply(x[start : start + PART], of_x, self._room[: len(part)])
            np.multiply(part, of_square, part)
            np.add(part, linear, part)

    def product(self, x: Floats, y: Floats, out: Floats) -> None:
        """X·Y of symmetric matrices that commute, so that it is symmetric too."""
        size = len(out)
        if size <= WORTH_HALVING:
            np.matmul(x, y, out=out)
            return
        half = size // 2 // 16 * 16
        np.matmul(x[half:], y[:, :half], out=out[half:, :half])
        _transpose(out[half:, :half], out[:half, half:])
        self.product(x[:half], y[:, :half], out[:half, :half])
        self.product(x[half:], y[:, half:], out[half:, half:])


def _transpose(x: Floats, out: Floats) -> None:
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        np.copyto(out[:, rows], x[rows].T)


def _with_gaps(x: Floats) -> Floats:
    """All memory from the first element to the last."""
    between, each = x.strides
    return np.lib.stride_tricks.as_strided(x, ((len(x) - 1) * (between // each) + x.shape[1],), (each,))
