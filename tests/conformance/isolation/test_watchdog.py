"""Calls within this process are interrupted, and alarms of others survive."""

import signal
import threading
import time

import hostile_ports
import pytest

from signopt.conformance import check, driver, watchdog
from signopt.conformance.errors import PortHung
from signopt.conformance.watchdog import call_within


def spin():
    while True:
        try:
            time.sleep(0.001)
        except Exception:
            continue


@pytest.mark.parametrize("hang", [spin, lambda: time.sleep(100), lambda: threading.Event().wait()])
def test_a_call_that_hangs_is_interrupted(hang):
    began = time.monotonic()
    with pytest.raises(PortHung, match=r"did not return within 0\.2 s"):
        call_within(0.2, hang)
    assert time.monotonic() - began < 50  # a processor that others use too is slow, and the sleep is of 100 s


def test_a_call_that_returns_or_raises_does_so():
    assert call_within(5, divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        call_within(5, divmod, 7, 0)
    time.sleep(0.05)


def test_a_call_that_returns_at_once_reads_nothing_of_the_system(monkeypatch):
    """The times of fifty threads take longer to read than a small step takes."""
    looks = []
    monkeypatch.setattr(watchdog, "thread_times", lambda pids: looks.append(pids) or {})
    for _ in range(20):
        call_within(60, divmod, 7, 2)
    assert looks == []
    with pytest.raises(PortHung):
        call_within(0.1, time.sleep, 100)
    assert looks


def test_an_alarm_of_the_test_runner_survives():
    rung = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    before = signal.setitimer(signal.ITIMER_REAL, 3)
    try:
        with pytest.raises(PortHung):
            call_within(0.1, time.sleep, 100)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 2.9
        deadline = time.monotonic() + 50
        while not rung and time.monotonic() < deadline:
            time.sleep(0.01)
        assert rung
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *before)


def test_another_thread_has_no_limit():
    ended = []
    thread = threading.Thread(target=lambda: ended.append(call_within(0.01, time.sleep, 0.1)))
    thread.start()
    thread.join()
    assert ended == [None]


@pytest.mark.parametrize("name", ["HangsWhenMade", "HangsInDescribe", "HangsInInit", "HangsInStep"])
def test_check_in_this_process_goes_on_after_a_port_that_hangs(name, monkeypatch):
    monkeypatch.setattr(driver, "PATIENCE", 0.4)
    began = time.monotonic()
    report = check(getattr(hostile_ports, name), "core")
    assert report.verdict == "undecided"
    assert any("did not return within" in text for text in [*report.obstacles, *(c.reason for c in report.checks)])
    assert time.monotonic() - began < 50
