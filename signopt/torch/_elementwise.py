"""Rules whose step of one element depends on that element alone, so that each rank takes it on its own shards."""

from __future__ import annotations

from collections.abc import Callable

from torch.autograd.graph import increment_version

from signopt.rules.coefficients import Coefficients
from signopt.torch._base import SignOptimizer
from signopt.torch._rows import Row, local_row

__all__ = ["ElementwiseOptimizer"]


class ElementwiseOptimizer(SignOptimizer):
    """Lion and Signum."""

    def _prepare(self, plan: list[tuple[list[Row], Coefficients]]) -> Callable[[], None]:
        update = super()._prepare([([local_row(row) for row in rows], coefficients) for rows, coefficients in plan])
        written = [tensor for rows, _ in plan for row in rows for tensor in (row.param, row.momentum)]

        def write() -> None:
            update()
            increment_version(written)  # of DTensors too, whose shards the update has seen

        return write
