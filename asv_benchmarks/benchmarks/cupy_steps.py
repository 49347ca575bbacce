"""Steps on a GPU. Without one, every benchmark here is skipped and says why."""

from __future__ import annotations

import signopt

RULES = {"lion": signopt.Lion, "signum": signopt.Signum, "tiger": signopt.Tiger}
BYTES = {"lion": 20, "signum": 20, "tiger": 28}
"""Read and written per float32 parameter of a matrix."""
LAYOUTS = {"one tensor of 2^26": [1 << 26], "148 tensors": [1 << 19] * 148, "1000 tensors": [1 << 12] * 1000}


class GpuStep:
    """One step on float32 matrices, from a stream without other work to the end on the device."""

    params = (list(RULES), list(LAYOUTS))
    param_names = ("rule", "layout")

    def setup(self, rule, layout):
        try:
            import cupy
        except ImportError as error:
            raise NotImplementedError("CuPy is not installed") from error
        if not cupy.cuda.is_available():
            raise NotImplementedError("no CUDA device, or no driver for it")
        arrays = [cupy.random.standard_normal(size, dtype=cupy.float32) for size in LAYOUTS[layout]]
        self.opt = RULES[rule](arrays, backend="cupy")
        self.grads = [array.copy() for array in arrays]
        self.finish = cupy.cuda.get_current_stream().synchronize
        self.opt.step(self.grads)
        self.finish()

    def time_step(self, rule, layout):
        self.opt.step(self.grads)
        self.finish()

    def time_host(self, rule, layout):
        self.opt.step(self.grads)

    def track_bytes_per_second(self, rule, layout):
        from cupyx.profiler import benchmark

        seconds = benchmark(self.opt.step, (self.grads,), n_repeat=20, n_warmup=3).gpu_times.min()
        return BYTES[rule] * sum(LAYOUTS[layout]) / float(seconds)

    track_bytes_per_second.unit = "B/s"
