"""A process that is interrupted many times in the midst of steps, or of loading a state, and counts what it finds.

Every element of every parameter is 1 − lr·(number of steps), with a power of 2 for lr, so that one look tells whether
all of them have been stepped, as often as ``step_count`` says. Run as ``interrupted.py BACKEND THREADS LIBRARY COUNT``;
prints a JSON object. With cupy for library, CuPy's kernels run on the processor if there is no device.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from typing import Any

import numpy as np

import signopt

LR = 2.0**-10
SHAPES = [(300, 1000), (17,), (40, 3), (5,), (250_000,)]


def arrays(library: str, value: float) -> list[Any]:
    made = [np.full(shape, value, np.float32) for shape in SHAPES]
    if library == "torch":
        import torch

        return [torch.from_numpy(array) for array in made]
    if library == "cupy":
        import cupy

        return [cupy.asarray(array) for array in made]
    return made


def on_host(array: Any) -> Any:
    return array.get() if hasattr(array, "get") else np.asarray(array)


def optimizer(backend: str, threads: int, library: str) -> Any:
    opt = signopt.Signum(arrays(library, 1.0), lr=LR, beta=0.5, backend=backend)
    inner = getattr(opt._backend, "_inner", opt._backend)
    if hasattr(inner, "threads"):
        inner.threads = threads
    return opt


def torn(opt: Any) -> bool:
    expected = np.float32(1.0 - LR * opt.step_count)
    return any((on_host(param) != expected).any() for param in opt.params.values())


def stepping(opt: Any, library: str) -> tuple[Any, Any, Any]:
    sets = [arrays(library, 1.0), arrays(library, -1.0)]

    def work() -> None:
        """A step; every now and then the gradients are others, and those of before, which may be freed, turn round."""
        if opt.step_count % 3 == 0:
            sets.reverse()
            for fresh, old in zip(*sets, strict=True):
                fresh[...], old[...] = 1.0, -1.0
        opt.step(sets[0])

    def restart() -> None:
        if opt.step_count > 500:
            for param in opt.params.values():
                param[...] = 1.0
            opt._steps = 0

    return work, (lambda: torn(opt)), restart


def loading(opt: Any) -> tuple[Any, Any, Any]:
    states = []
    for number in (1, 2):
        state = opt.state_dict()
        state["step"], state["hyper"] = number, state["hyper"] | {"lr": float(number)}
        for momentum in state["momentum"].values():
            momentum[...] = float(number)
        states.append(state)
    opt.load_state_dict(states[0])

    def mixed() -> bool:
        seen = {float(opt.step_count), opt.lr}
        for momentum in opt.momentum.values():
            seen |= set(np.unique(on_host(momentum)).tolist())
        return len(seen) > 1

    return (lambda: opt.load_state_dict(states[opt.step_count % 2])), mixed, lambda: None


def duration(work: Any) -> float:
    times = []
    for _ in range(20):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def interrupt(work: Any, is_wrong: Any, restart: Any, count: int) -> dict[str, int]:
    work()
    typical, draw = duration(work), random.Random(os.getpid())
    found = {"interrupts": 0, "torn": 0, "late": 0, "hung": 0}
    for _ in range(count):
        restart()
        try:
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, draw.random() * 2 * typical))
            while True:
                work()
        except KeyboardInterrupt:
            found["interrupts"] += 1
        wrong = is_wrong()
        found["torn"] += wrong
        found["late"] += not wrong and is_wrong()
    last = threading.Thread(target=work, daemon=True)
    last.start()
    last.join(20)
    return found | {"hung": int(last.is_alive())}


def main(backend: str, threads: str, library: str, count: str) -> None:
    if library == "cupy":
        import tests.backends.cupy_device  # noqa: F401  puts the processor in the place of a device that is not there
    opt = optimizer(backend, int(threads), library)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    found = {"step": interrupt(*stepping(opt, library), int(count))}
    found["load"] = interrupt(*loading(opt), int(count))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
