"""Ctrl-C: a step, or a state that is loaded, is whole or has not begun, and nothing is written afterwards."""

import json
import os
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import signopt
from signopt._signals import DeferredSignals
from tests.backends.cupy_device import needs_cupy

SCRIPT = Path(__file__).with_name("interrupted.py")
NEEDS_NUMBA = pytest.mark.skipif(find_spec("numba") is None, reason="Numba is not installed")
NEEDS_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
CASES = [
    ("portable", 1, "numpy"),
    ("numpy", 3, "numpy"),
    pytest.param("numba", 3, "numpy", marks=NEEDS_NUMBA),
    pytest.param("numba", 3, "torch", marks=[NEEDS_NUMBA, NEEDS_TORCH]),
    pytest.param("cupy", 1, "cupy", marks=needs_cupy),
]
EVERY_RUN = [
    *CASES[:2],
    pytest.param("numba", 3, "numpy", marks=[NEEDS_NUMBA, pytest.mark.thorough]),
    CASES[3],
]
WHOLE = {"torn": 0, "late": 0, "hung": 0}
HAS_TIMERS = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")


def interrupted(backend, threads, library, count):
    """What a process found that was interrupted ``count`` times."""
    command = [sys.executable, str(SCRIPT), backend, str(threads), library, str(count)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(Path(signopt.__file__).parents[1]), *sys.path]))
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@HAS_TIMERS
@pytest.mark.parametrize(("backend", "threads", "library"), EVERY_RUN)
@pytest.mark.one_in(4)
def test_nothing_is_torn(backend, threads, library):
    found = interrupted(backend, threads, library, 40)
    assert found == {"step": WHOLE | {"interrupts": 40}, "load": WHOLE | {"interrupts": 40}}


@HAS_TIMERS
@pytest.mark.slow
@pytest.mark.parametrize(("backend", "threads", "library"), CASES)
def test_nothing_is_torn_in_ten_thousand(backend, threads, library):
    found = interrupted(backend, threads, library, 10_000)
    assert found == {"step": WHOLE | {"interrupts": 10_000}, "load": WHOLE | {"interrupts": 10_000}}


def test_the_handler_runs_when_the_block_has_ended():
    events = []
    old = signal.signal(signal.SIGTERM, lambda number, frame: events.append(number))
    try:
        with DeferredSignals():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            events.append("whole")
        assert events == ["whole", signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is not old
    finally:
        signal.signal(signal.SIGTERM, old)


def raise_both():
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)


def test_every_signal_is_delivered_even_if_the_first_raises():
    events = []
    old = signal.signal(signal.SIGTERM, lambda number, frame: events.append(number))
    try:
        with pytest.raises(KeyboardInterrupt), DeferredSignals():
            raise_both()
        assert events == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, old)


def test_what_python_does_not_handle_is_left_alone(monkeypatch):
    old = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with DeferredSignals():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, old)


def test_another_thread_touches_no_handler():
    seen = []

    def run():
        with DeferredSignals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_blocks_within_blocks():
    events = []

    def blocks():
        with DeferredSignals():
            with DeferredSignals():
                signal.raise_signal(signal.SIGINT)
                events.append("inner")
            events.append("outer")

    with pytest.raises(KeyboardInterrupt):
        blocks()
    assert events == ["inner", "outer"]


def test_a_checkpoint_from_a_handler_sees_no_half_step():
    """The handler of SIGTERM saves the state: between steps, and from within the checks of one."""
    opt = signopt.Lion([np.ones(3)])
    counts = []
    old = signal.signal(signal.SIGTERM, lambda number, frame: counts.append(opt.state_dict()["step"]))

    class Interrupting(dict):
        def keys(self):
            signal.raise_signal(signal.SIGTERM)
            return super().keys()

    try:
        opt.step(Interrupting({"0": np.ones(3)}))
        assert counts == [0]
    finally:
        signal.signal(signal.SIGTERM, old)


def test_a_step_from_within_a_step_is_an_error():
    opt = signopt.Tiger({"bias": np.ones(3)}, schedule=lambda step: opt.step([np.ones(3)]) or 1.0)
    with pytest.raises(RuntimeError, match="in the midst of a step"):
        opt.step([np.ones(3)])
    assert opt.step_count == 0
    opt.schedule = None
    opt.step([np.ones(3)])
    assert opt.step_count == 1
