"""A port's own seconds: a queue for the processor does not count, sleep does."""

import os
import subprocess
import sys
import time

import pytest

from signopt.conformance.protocol.clock import PortClock, ThreadTimes, thread_times

LINUX = sys.platform == "linux"


class System:
    """A machine whose threads did what a test says."""

    def __init__(self):
        self.wall, self.threads = 0.0, {(1, 1): ThreadTimes(0.0, 0.0, False)}

    def clock(self, **options):
        return PortClock(lambda: dict(self.threads), now=lambda: self.wall, **options)

    def pass_time(self, seconds, running, queued, wants, key=(1, 1)):
        old = self.threads.get(key, ThreadTimes(0.0, 0.0, False))
        self.wall += seconds
        self.threads[key] = ThreadTimes(old.running + running, old.queued + queued, wants)


@pytest.mark.parametrize(
    ("running", "queued", "wants", "counted"),
    [
        (1.0, 0.0, True, 1.0),  # alone on the machine
        (0.25, 0.75, True, 0.25),  # three others beside it
        (0.25, 0.0, True, 0.25),  # the same where the queue is not known
        (0.0, 0.0, False, 1.0),  # asleep
        (0.1, 0.4, False, 0.6),  # partly asleep
        (0.0, 1.0, True, 0.0),  # never let in
    ],
)
def test_what_counts(running, queued, wants, counted):
    system = System()
    clock = system.clock()
    system.pass_time(1.0, running, queued, wants)
    assert clock.look() == pytest.approx(counted)
    assert clock.wall == 1.0


def test_without_anything_told_the_wall_counts():
    now = [0.0]
    clock = PortClock(dict, now=lambda: now[0])
    now[0] = 1.5
    assert clock.look() == 1.5


def test_a_pause_of_the_suite_itself_does_not_count():
    system = System()
    clock = system.clock()
    system.pass_time(500.0, 0.0, 0.0, False)
    assert clock.look() == 2.0


def test_many_threads_count_once():
    system = System()
    clock = system.clock()
    system.pass_time(0.0, 1.0, 0.0, True, (1, 2))
    system.pass_time(1.0, 1.0, 0.0, True)
    assert clock.look() == pytest.approx(1.0)


@pytest.mark.skipif(not LINUX, reason="only Linux gives the times of threads")
def test_the_times_are_the_systems():
    before = thread_times([os.getpid()])
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    after = thread_times([os.getpid()])
    ran = sum(after[key].running - before[key].running for key in after if key in before)
    assert 0.15 < ran < 5
    assert thread_times([2**22 + 1]) == {}


@pytest.mark.skipif(not LINUX, reason="only Linux gives the times of threads")
def test_a_process_that_is_crowded_out_gets_more_of_the_wall():
    """One that computes beside three busy ones on its processor has had a quarter of the time, or so."""
    processor = {min(os.sched_getaffinity(0))}
    busy = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {processor})\nwhile True: pass"]
    children = [subprocess.Popen(busy) for _ in range(4)]
    try:
        time.sleep(0.3)
        clock = PortClock(lambda: thread_times([children[0].pid]))
        for _ in range(8):
            time.sleep(0.25)
            clock.look()
        assert clock.seconds < 0.6 * clock.wall
    finally:
        for child in children:
            child.kill()
            child.wait()
