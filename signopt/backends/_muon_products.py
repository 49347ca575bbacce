"""Products of matrices whose result is symmetric, at the price of about half of it.

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
        mirror(out)

    def quadratic(self, x: Floats, b: float, c: float, out: Floats) -> None:
        """b·X + c·X² of a symmetric X."""
        if self._syrk is None:
            np.matmul(x, x.T, out=out)
            np.multiply(out, c, out)
            add_multiple(out, x, b)
            return
        np.copyto(out, x)
        self._syrk(c, x.T, beta=b, c=out.T, trans=1, overwrite_c=1)
        mirror(out)

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


def add_multiple(out: Floats, x: Floats, factor: float) -> None:
    """out += factor·x, a few rows at a time, since NumPy needs room for the product."""
    rows = max(1, (BLOCK * BLOCK) // len(x))
    for start in range(0, len(x), rows):
        out[start : start + rows] += factor * x[start : start + rows]


def mirror(x: Floats) -> None:
    """Copy the triangle below the diagonal to the one above."""
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        square = x[rows, rows]
        np.copyto(square, square.T, where=_ABOVE[: len(square), : len(square)])
        for other in range(0, start, BLOCK):
            columns = slice(other, other + BLOCK)
            np.copyto(x[columns, rows], x[rows, columns].T)


_ABOVE = np.triu(np.ones((BLOCK, BLOCK), bool), 1)
