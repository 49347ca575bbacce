"""Rules whose step of one element depends on that element alone, so that each rank takes it on its own shards."""

from __future__ import annotations

from signopt.torch._base import SignOptimizer
from signopt.torch._rows import Row, is_distributed, local_row

__all__ = ["ElementwiseOptimizer"]


class ElementwiseOptimizer(SignOptimizer):
    """An optimizer of such a rule."""

    def _here(self, row: Row) -> Row | None:
        if not is_distributed(row.param):
            return row
        return None if row.rounding == "stochastic" else local_row(row)
