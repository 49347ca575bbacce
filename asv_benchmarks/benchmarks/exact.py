"""What a noisy machine cannot spoil: bytes, passes, calls, instructions, ulps. And the seconds of a conformance run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import signopt

from .common import DTYPES, RULES, make

CPU_BACKENDS = ("numpy", "numba")
SIZE = 1 << 22
BYTES_TOUCHED = {"lion": 20, "signum": 20, "tiger": 20, "tiger_look": 8}
"""Bytes per float32 parameter that a compiled kernel moves between memory and cache."""


class Scratch:
    """Bytes that NumPy allocates at most at one time in a step on 2**22 float32 elements."""

    params = (tuple(RULES), CPU_BACKENDS)
    param_names = ("rule", "backend")
    unit = "bytes"

    def setup(self, rule: str, backend: str) -> None:
        self.optimizer, self.grads = make(rule, backend, "float32", "one", SIZE)
        self.optimizer.step(self.grads)

    def track_scratch(self, rule: str, backend: str) -> int:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        self.optimizer.step(self.grads)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - before

    track_scratch.benchmark_name = "exact.track_scratch_bytes"
    track_scratch.version = "1"


class State:
    """Bytes of optimizer state for each parameter."""

    params = (tuple(RULES), DTYPES)
    param_names = ("rule", "dtype")
    unit = "bytes/parameter"

    def track_state(self, rule: str, dtype: str) -> float:
        optimizer, _ = make(rule, "numpy", dtype, "one", 1 << 10)
        return sum(momentum.nbytes for momentum in optimizer.momentum.values()) / (1 << 10)

    track_state.benchmark_name = "exact.track_state_bytes_per_parameter"
    track_state.version = "1"


class Kernels:
    """Calls of compiled kernels in one step on one thread, and the bytes per float32 parameter they touch."""

    params = (tuple(RULES), ("one", "gpt2", "small"))
    param_names = ("rule", "layout")

    def setup(self, rule: str, layout: str) -> None:
        optimizer, grads = make(rule, "numba", "float32", layout, 1 << 20 if layout == "one" else None)
        backend = optimizer._backend
        backend.threads = 1
        self.calls: list[str] = []
        for table in backend._tables:
            table.prepare = self._counted(table.prepare)
        optimizer.step(grads)

    def _counted(self, prepare: Callable[..., Any]) -> Callable[..., Any]:
        def counting(kernel: Any, *args: Any) -> Any:
            self.calls.append(kernel.__name__)
            return prepare(kernel, *args)

        return counting

    def track_calls(self, rule: str, layout: str) -> int:
        return len(self.calls)

    def track_bytes(self, rule: str, layout: str) -> int:
        return sum(BYTES_TOUCHED[name] for name in self.calls)

    track_calls.benchmark_name = "exact.track_kernel_calls"
    track_calls.version = "1"
    track_bytes.benchmark_name = "exact.track_bytes_per_parameter"
    track_bytes.version = "1"
    track_bytes.unit = "bytes/parameter"


class Launches:
    """Kernel launches of one step on a GPU."""

    params = (tuple(RULES), ("one", "gpt2", "small"))
    param_names = ("rule", "layout")

    def setup(self, rule: str, layout: str) -> None:
        self.optimizer, self.grads = make(rule, "cupy", "float32", layout, 1 << 20 if layout == "one" else None)
        self.optimizer.step(self.grads)

    def track_launches(self, rule: str, layout: str) -> int:
        from signopt.backends import cupy as backend

        launch, counts = backend._launch, []
        backend._launch = lambda launches: (counts.append(len(launches)), launch(launches))
        try:
            self.optimizer.step(self.grads)
        finally:
            backend._launch = launch
        return sum(counts)

    track_launches.benchmark_name = "exact.track_kernel_launches"
    track_launches.version = "1"


class Ulps:
    """How far a float32 momentum is after 20 steps from one kept in float64, in ulps of the largest momentum."""

    params = (tuple(RULES), CPU_BACKENDS)
    param_names = ("rule", "backend")
    unit = "ulp"

    def track_ulps(self, rule: str, backend: str) -> float:
        rng = np.random.default_rng(0)
        grads = rng.standard_normal((20, 10_000), np.float32)
        narrow, wide = (RULES[rule]([np.ones(10_000, dtype)], backend=backend) for dtype in (np.float32, np.float64))
        for grad in grads:
            narrow.step([grad])
            wide.step([grad.astype(np.float64)])
        exact = wide.momentum["0"]
        return float(np.max(np.abs(narrow.momentum["0"] - exact)) / np.spacing(np.float32(np.max(np.abs(exact)))))

    track_ulps.benchmark_name = "exact.track_momentum_ulps"
    track_ulps.version = "1"


class Instructions:
    """Instructions per float32 parameter of a step, counted by callgrind; skipped where valgrind is not installed."""

    params = (("lion", "tiger"), CPU_BACKENDS)
    param_names = ("rule", "backend")
    unit = "instructions/parameter"
    timeout = 1200

    def track_instructions(self, rule: str, backend: str) -> float:
        if shutil.which("valgrind") is None:
            raise NotImplementedError("valgrind is not installed")
        with tempfile.TemporaryDirectory() as cache:
            _instructions(rule, backend, 1, cache)  # compiles what the two counted runs load
            few, many = (_instructions(rule, backend, steps, cache) for steps in (1, 257))
        return (many - few) / (256 * (1 << 18))

    track_instructions.benchmark_name = "exact.track_instructions_per_parameter"
    track_instructions.version = "2"


def _instructions(rule: str, backend: str, steps: int, cache: str) -> int:
    program = (
        "import numpy, signopt\n"
        "p, g = (numpy.ones(1 << 18, numpy.float32) for _ in range(2))\n"
        f"opt = signopt.{RULES[rule].__name__}([p], backend={backend!r})\n"
        f"for _ in range({steps}): opt.step([g])\n"
    )
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-c", program]
    repeatable = {"SIGNOPT_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "NUMBA_CACHE_DIR": cache}
    environment = os.environ | repeatable | {"PYTHONPATH": str(Path(signopt.__file__).parents[1])}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    counted = re.search(r"Collected : (\d+)", output)
    if counted is None:
        raise RuntimeError(f"callgrind counted nothing: {output[-300:]}")
    return int(counted[1])


class Conformance:
    """Seconds in which the suite checks a NumPy port of Lion."""

    params = (("core", "standard"),)
    param_names = ("profile",)
    unit = "seconds"
    timeout = 600

    def track_seconds(self, profile: str) -> float:
        from signopt.conformance import check
        from signopt.conformance.adapters.own import OwnPort

        start = time.perf_counter()
        report = check(OwnPort("lion", "numpy"), profile)
        seconds = time.perf_counter() - start
        if report.verdict != "pass":
            raise RuntimeError(f"the port failed: {report.counts}")
        return seconds

    track_seconds.benchmark_name = "conformance.track_seconds"
    track_seconds.version = "1"
