"""Threads that cannot be had, late steps, and two threads on one optimizer."""

import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import signopt
from signopt.backends import _threads
from signopt.backends._threads import on_threads

BACKENDS = [
    "numpy",
    pytest.param("numba", marks=pytest.mark.skipif(find_spec("numba") is None, reason="Numba is not installed")),
]


@pytest.fixture
def empty_pool():
    """A pool that has to start a thread for whatever it is given."""
    _threads._new_pool()
    yield
    _threads._new_pool()


def refuse_after(count):
    """``Thread.start`` as it is where the system has no more threads to give."""
    start, left = threading.Thread.start, [count]

    def start_or_refuse(self):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
        start(self)

    return start_or_refuse


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_share_without_a_thread_is_done_once(backend, count, monkeypatch, empty_pool):
    params, grads = [np.ones(1 << 20, np.float32)], [np.ones(1 << 20, np.float32)]
    opt = signopt.Lion(params, lr=0.125, backend=backend)
    opt._backend.threads = 4
    monkeypatch.setattr(threading.Thread, "start", refuse_after(count))
    opt.step(grads)
    assert (params[0] == 0.875).all()
    monkeypatch.undo()
    opt.step(grads)
    assert (params[0] == 0.75).all()
    assert opt.step_count == 2


def test_what_a_failed_pool_has_queued_does_nothing_later(monkeypatch, empty_pool):
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse_after(0))
        on_threads(seen.append, 3)
    assert sorted(seen) == [0, 1, 2]
    on_threads(lambda share: None, 3)
    assert sorted(seen) == [0, 1, 2]


LATE = """
import atexit, threading, time
import numpy as np, signopt
params, grads = [np.ones(1 << 20, np.float32)], [np.ones(1 << 20, np.float32)]
opt = signopt.Lion(params, lr=0.125, backend="numpy")
opt._backend.threads = 2
opt.step(grads)
def late(where):
    opt.step(grads)
    print(where, set(params[0].tolist()), flush=True)
atexit.register(late, "atexit")
threading.Thread(target=lambda: (threading.main_thread().join(), late("thread"))).start()
"""


def test_steps_at_the_end_of_the_process():
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(Path(signopt.__file__).parents[1]), *sys.path]))
    result = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, env=environment, timeout=300)
    assert result.stdout.splitlines() == ["thread {0.75}", "atexit {0.625}"], result.stderr


def test_two_threads_on_one_optimizer_take_turns():
    params, grads = [np.ones(50_000)], [np.ones(50_000)]
    opt = signopt.Signum(params, lr=2.0**-12, beta=0.5, backend="numpy")
    together = threading.Barrier(3)

    def run():
        together.wait()
        for _ in range(20):
            opt.step(grads)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opt.step_count == 60
    assert (params[0] == 1 - 60 * 2.0**-12).all()
