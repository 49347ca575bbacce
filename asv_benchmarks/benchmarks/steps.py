"""Time and peak memory of a whole step, as a user takes it: the optimizer's checks included."""

from __future__ import annotations

from typing import Any

from .common import BACKENDS, DTYPES, RULES, make, synchronize

SIZE = 1 << 24


class TimeStep:
    """Seconds of a step on one dtype, float32, and every layout; "one" is one tensor of 2**24 elements."""

    params = (tuple(RULES), BACKENDS, ("one", "gpt2", "small"))
    param_names = ("rule", "backend", "layout")
    warmup_time = 0.0
    number = 1
    repeat = (5, 15, 10.0)

    def setup(self, rule: str, backend: str, layout: str) -> None:
        self.optimizer, self.grads = make(rule, backend, "float32", layout, SIZE if layout == "one" else None)
        self.optimizer.step(self.grads)

    def time_step(self, rule: str, backend: str, layout: str) -> None:
        self.optimizer.step(self.grads)
        synchronize(backend)

    time_step.benchmark_name = "step.time_step"
    time_step.version = "1"


class TimeStorage:
    """Seconds of a step on one tensor of 2**22 elements, for every storage dtype."""

    params = (tuple(RULES), BACKENDS, DTYPES)
    param_names = ("rule", "backend", "dtype")
    number = 1
    repeat = (5, 15, 10.0)

    def setup(self, rule: str, backend: str, dtype: str) -> None:
        self.optimizer, self.grads = make(rule, backend, dtype, "one", 1 << 22)
        self.optimizer.step(self.grads)

    def time_storage(self, rule: str, backend: str, dtype: str) -> None:
        self.optimizer.step(self.grads)
        synchronize(backend)

    time_storage.benchmark_name = "step.time_by_dtype"
    time_storage.version = "1"


class PeakMemory:
    """Resident memory of a process that takes one step on 2**24 float32 elements: 192 MiB are the arrays."""

    params = (tuple(RULES), BACKENDS)
    param_names = ("rule", "backend")

    def setup(self, rule: str, backend: str) -> None:
        self.made: tuple[Any, Any] = make(rule, backend, "float32", "one", SIZE)

    def peakmem_step(self, rule: str, backend: str) -> None:
        optimizer, grads = self.made
        optimizer.step(grads)
        synchronize(backend)

    peakmem_step.benchmark_name = "step.peakmem_step"
    peakmem_step.version = "1"
