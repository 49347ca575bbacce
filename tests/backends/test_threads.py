"""Threads: how many, that all of them end, and that a forked child has its own."""

import os
import threading

import numpy as np
import pytest

from signopt.backends._threads import MAX_THREADS, default_threads, for_each, on_threads
from signopt.backends.numpy import NumpyBackend
from tests.backends.cases import STEPS


def test_every_thread_gets_its_number():
    seen = []
    on_threads(seen.append, 4)
    assert sorted(seen) == [0, 1, 2, 3]


def test_every_task_is_done_once():
    done = []
    for_each(range(100), lambda task, thread: done.append(task), 5)
    assert sorted(done) == list(range(100))


@pytest.mark.parametrize("failing", [0, 2])
def test_an_exception_is_raised_after_all_have_ended(failing):
    ended = []

    def work(thread):
        if thread == failing:
            raise RuntimeError("planted")
        ended.append(thread)

    with pytest.raises(RuntimeError, match="planted"):
        on_threads(work, 4)
    assert len(ended) == 3


def test_the_environment_sets_the_number(monkeypatch):
    monkeypatch.setenv("SIGNOPT_NUM_THREADS", "3")
    assert default_threads() == 3
    assert NumpyBackend([np.ones(3)], [np.ones(3)]).threads == 3
    monkeypatch.delenv("SIGNOPT_NUM_THREADS")
    assert 1 <= default_threads() <= MAX_THREADS


@pytest.mark.parametrize("text", ["0", "9", "two", "-1", "1.5"])
def test_a_bad_number_is_an_error(monkeypatch, text):
    monkeypatch.setenv("SIGNOPT_NUM_THREADS", text)
    with pytest.raises(ValueError, match="SIGNOPT_NUM_THREADS"):
        default_threads()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")  # by JAX, if another test has imported it
def test_a_forked_child_can_step():
    p, g, m = (np.ones(1 << 19, np.float32) for _ in range(3))
    backend = NumpyBackend([p], [m])
    backend.threads = 3
    _, coefficients = STEPS["lion"]
    backend.step([g], coefficients)
    child = os.fork()
    if child == 0:
        threading.Timer(60, os._exit, [1]).start()
        backend.step([g], coefficients)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
