"""Products of matrices whose result is symmetric, at the price of about half of it.

None of them allocates an array: they run while a step is being written.

scipy brings the BLAS routine for X·Xᵀ that leaves one triangle; NumPy uses the same routine if it sees that both
factors are one array, and fills the other triangle itself, more slowly.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from signopt.backends._numpy_blocks import Floats

__all__ = ["Products", "mirror"]

BLOCK = 64
"""Elements of a side that are transposed at once: two such blocks fit in the cache next to the processor."""

WORTH_HALVING = 128
"""Sides above which a symmetric product is cut in four, of which three parts are computed."""


class Products:
    """The symmetric products of one compute dtype.

    Attributes
    ----------
    blas : str
        ``"scipy"`` or ``"numpy"``: whose BLAS computes X·Xᵀ.
    """

    def __init__(self, compute: str, library: str | None = None) -> None:
        self.blas = library or ("scipy" if find_spec("scipy") else "numpy")
        self._room = np.empty(BLOCK * BLOCK, compute)
        self._number = np.zeros((), compute)
        self._syrk: Any = None
        if self.blas == "scipy":
            from scipy.linalg import blas as routines

            self._syrk = routines.dsyrk if compute == "float64" else routines.ssyrk

    def gram(self, x: Floats, out: Floats) -> None:
        """X·Xᵀ, or Xᵀ·X if that is as large as ``out``, which is C-contiguous; so is ``x``."""
        wide = len(x) == len(out)
        if self._syrk is None:
            np.matmul(x if wide else x.T, x.T if wide else x, out=out)
            return
        # For Fortran, which counts columns first, x is its own transpose; and so is the triangle.
        self._syrk(1.0, x.T, beta=0.0, c=out.T, trans=int(wide), overwrite_c=1)
        mirror(out, self._room)

    def quadratic(self, x: Floats, b: float, c: float, out: Floats) -> None:
        """b·X + c·X² of a symmetric X."""
        if self._syrk is None:
            np.matmul(x, x.T, out=out)
            self._number[()] = c
            np.multiply(out, self._number, out)
            self._number[()] = b
            add_multiple(out.reshape(-1), x.reshape(-1), self._number, self._room)
            return
        np.copyto(out, x)
        self._syrk(c, x.T, beta=b, c=out.T, trans=1, overwrite_c=1)
        mirror(out, self._room)

    def product(self, x: Floats, y: Floats, out: Floats) -> None:
        """X·Y of symmetric matrices that commute, so that it is symmetric too."""
        size = len(out)
        if size <= WORTH_HALVING:
            np.matmul(x, y, out=out)
            return
        half = size // 2 // 16 * 16
        np.matmul(x[half:], y[:, :half], out=out[half:, :half])
        np.copyto(out[:half, half:], out[half:, :half].T)
        self.product(x[:half], y[:, :half], out[:half, :half])
        self.product(x[half:], y[:, half:], out[half:, half:])


def add_multiple(out: Floats, x: Floats, factor: Floats, room: Floats) -> None:
    """out += factor·x of 1-D arrays, as many elements at a time as there is room for their product."""
    for start in range(0, len(x), len(room)):
        part = out[start : start + len(room)]
        product = np.multiply(x[start : start + len(room)], factor, room[: len(part)])
        np.add(part, product, part)


def mirror(x: Floats, room: Floats) -> None:
    """Copy the triangle below the diagonal to the one above; ``room`` is for a block of it."""
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        square = x[rows, rows]
        turned = room[: square.size].reshape(square.shape)
        np.copyto(turned, square.T)
        np.copyto(square, turned, where=_ABOVE[: len(square), : len(square)])
        for other in range(0, start, BLOCK):
            columns = slice(other, other + BLOCK)
            np.copyto(x[columns, rows], x[rows, columns].T)


_ABOVE = np.triu(np.ones((BLOCK, BLOCK), bool), 1)
