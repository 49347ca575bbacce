"""Whatever a Python port does in its child process, there is a verdict in bounded time, and nothing is left running."""

import os
import time
from pathlib import Path

import pytest

from signopt.conformance.isolation.run import check_isolated
from signopt.conformance.protocol import processes
from signopt.conformance.protocol.child import Limits

LIMITS = Limits(message_seconds=4.0, total_seconds=40.0, memory_bytes=300 << 20, exit_seconds=0.5, restarts=1)


@pytest.fixture(autouse=True)
def _no_process_left(monkeypatch):
    mark = f"test-{os.getpid()}"
    monkeypatch.setattr(processes, "new_mark", lambda: mark)
    yield
    if Path("/proc/self").exists():
        assert list(processes._marked(mark)) == []


def checked(name, **options):
    return check_isolated(f"hostile_ports:{name}", "core", **{"limits": LIMITS, **options})


def messages(report):
    return [*report.errors, *(failure.message for failure in report.failures)]


@pytest.mark.parametrize("name", ["Right", "PrintsJunk", "ReadsStdin", "HasChildren", "HangsAtExit"])
def test_what_is_right_passes(name):
    report = checked(name)
    assert report.verdict == "pass", messages(report)
    assert report.counts["passed"] == len(report.checks)


FAILING = {
    "HangsWhenMade": "could not run: no complete answer within",
    "HangsInDescribe": "could not run: no complete answer within",
    "HangsInInit": "the port broke down: no complete answer within",
    "HangsInStep": "the port broke down: no complete answer within",
    "IgnoresTermination": "the port broke down: no complete answer within",
    "Exits": "the port broke down: the port closed its stdout: it exited with code 3",
    "Segfaults": "ended by SIGSEGV",
    "EatsMemory": "MiB of memory; 300 MiB are allowed",
    "ExitsPolitely": "step() raised SystemExit: 0",
    "Interrupts": "KeyboardInterrupt",
    "RecursesForEver": "RecursionError",
    "WrongNames": "wrong names: missing",
    "WrongShapes": "has shape",
    "WrongDtypes": "has dtype float16",
    "Objects": "is list, not a NumPy array",
    "Nothing": "params() returned NoneType",
    "NaNEverywhere": "",
    "HugeArrays": "has shape (1099511627776,)",
    "DescribesNothing": "describe() must return a mapping",
    "Unmakeable": "no such accelerator",
}


@pytest.mark.parametrize("name", FAILING)
def test_what_is_wrong_fails_and_says_why(name):
    began = time.monotonic()
    report = checked(name, limits=Limits(**{**vars(LIMITS), "total_seconds": 12.0}))
    assert report.verdict == "fail"
    assert any(FAILING[name] in message for message in messages(report)), messages(report)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("name", ["ChangesItsInputs", "RaisesAtStepSeven", "KeepsState"])
def test_what_takes_more_than_one_step_to_see_fails_the_standard_profile(name):
    report = check_isolated(f"hostile_ports:{name}", "standard", limits=LIMITS)
    assert report.verdict == "fail"


def test_one_hanging_check_leaves_the_others_judged():
    report = checked("HangsNowAndThen", limits=Limits(**{**vars(LIMITS), "restarts": 3, "total_seconds": 30.0}))
    assert report.counts["failed"] == 2
    assert {failure.check for failure in report.failures} == {"step/from-zero"}
    assert report.counts["passed"] == len(report.checks) - 2
    assert report.counts["not_run"] == 0


def test_a_port_that_breaks_down_too_often_is_not_run_further():
    report = checked("Exits")
    assert report.counts["failed"] == 2
    need_no_port = report.counts["passed"] + report.counts["not_applicable"]
    assert need_no_port <= 2
    assert report.counts["not_run"] == len(report.checks) - 2 - need_no_port


def test_odd_descriptions_do_no_harm():
    assert checked("DescribesOddly").verdict == "pass"


def test_another_rule_than_asked_for_fails():
    report = checked("Right", rule="lion")
    assert report.verdict == "fail"
    assert "asked for lion, and the port implements signum" in report.errors


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:Port", "cannot import 'no_such_module': ModuleNotFoundError"),
        ("hostile_ports:Missing", "module 'hostile_ports' has no attribute 'Missing'"),
        ("not-published", "is no target: give package.module:attribute"),
    ],
)
def test_a_target_that_is_none_says_so(target, message):
    report = check_isolated(target, "core", limits=LIMITS)
    assert report.verdict == "fail"
    assert message in report.errors[0]
