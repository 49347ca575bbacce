"""One step of each rule on tensors of 2^26 elements, for a profiler to count the bytes that the memory moves.

ncu --clock-control none --kernel-name regex:signopt --csv
    --metrics dram__bytes_read.sum,dram__bytes_write.sum,gpu__time_duration.sum python docs/gpu_counters.py
"""

import sys
from pathlib import Path

import cupy

sys.path.insert(0, str(Path(__file__).parents[1]))

import signopt

SHAPE = (1 << 13, 1 << 13)


def main() -> None:
    """Take the steps; what they cost is the profiler's to say."""
    for dtype in ("float32", "bfloat16"):
        grad = cupy.random.standard_normal(SHAPE, dtype=cupy.float32).astype(dtype)
        for rule in (signopt.Lion, signopt.Signum, signopt.Tiger):
            for rounding in ("nearest", "stochastic", "split") if dtype == "bfloat16" else ("nearest",):
                opt = rule([grad.copy()], lr=1e-2, rounding=rounding)
                opt.step([grad])
                cupy.cuda.Device().synchronize()


if __name__ == "__main__":
    main()
