"""Whatever a Python port does in its child process, there is a verdict in bounded time, and nothing is left running."""

import os
import re
import sys
import time
from pathlib import Path

import hostile_ports
import pytest

from signopt.conformance.adapters.discovery import candidates
from signopt.conformance.errors import PortBroke
from signopt.conformance.isolation import remote
from signopt.conformance.isolation.listing import listed
from signopt.conformance.isolation.run import check_isolated
from signopt.conformance.protocol import processes
from signopt.conformance.protocol.limits import Limits
from signopt.conformance.suite import check, select
from tests.long_checks import LONG
from tests.thin import keeping, some

LIMITS = Limits(message_seconds=4.0, total_seconds=40.0, memory_bytes=300 << 20, exit_seconds=0.5, restarts=1)


@pytest.fixture(autouse=True)
def _no_process_left(monkeypatch):
    mark = f"test-{os.getpid()}"
    monkeypatch.setattr(processes, "new_mark", lambda: mark)
    yield
    if Path("/proc/self").exists():
        assert list(processes._marked(mark)) == []


def checked(name, profile="core", **options):
    """The report, whose verdict needs no diagnosis: known bugs are tried here, and take longer than all the checks."""
    return check_isolated(f"hostile_ports:{name}", profile, **{"limits": LIMITS, "diagnose": False, **options})


def messages(report):
    return [*report.errors, *(failure.message for failure in report.failures)]


HARMLESS = ["Right", "PrintsJunk", "HasChildren", "HangsAtExit", "ReadsStdin", "Forks"]

"""Ports that are right, whatever else they do; those that are most unlike each other come first."""


@pytest.mark.parametrize("name", keeping(HARMLESS, HARMLESS[:3]))
def test_what_is_right_passes(name):
    report = checked(name)
    assert report.verdict == "pass", messages(report)
    assert report.counts["passed"] == len(report.checks)


FAILING = {
    "Exits": "it exited with code 3",
    "Segfaults": "ended by SIGSEGV",
    "ExitsPolitely": "step() raised SystemExit: 0",
    "Interrupts": "step() raised KeyboardInterrupt",
    "RecursesForEver": "RecursionError",
    "WrongNames": "wrong names: missing",
    "WrongShapes": "has shape",
    "WrongDtypes": "has dtype float16",
    "Objects": "is list, not a NumPy array",
    "ObjectArrays": "has dtype object",
    "Nothing": "params() returned NoneType",
    "NaNEverywhere": "",
    "HugeArrays": "has shape (1099511627776,)",
    "RaisesOddly": "step() raised Odd: no message",
    "ForgesAnswers": "",
    "PatchesNumPy": "",
    "SpeaksForTheServer": "was answered with number",
}

UNDECIDED = {
    "HangsWhenMade": "making the port: no complete answer within",
    "HangsInDescribe": "describe: no complete answer within",
    "HangsInInit": "init: no complete answer within 2 s; a longer --timeout",
    "HangsInStep": "step: no complete answer within",
    "IgnoresTermination": "step: no complete answer within",
    "EatsMemory": "MiB of memory; 300 MiB are allowed",
    "IsKilled": "ended by SIGKILL, as when a system runs out of memory",
    "RunsOutOfMemory": "MemoryError",
    "LacksAModule": "ModuleNotFoundError: No module named 'no_such_framework'",
    "LacksAModuleInStep": "ModuleNotFoundError: No module named 'no_such_framework'",
    "HidesWhatItLacks": "RuntimeError: cannot start",
    "DescribesNothing": "describe() must return a mapping",
    "Unmakeable": "making the port: OSError: no such accelerator",
}
ALIKE = {"HangsInDescribe", "HangsInInit", "HangsInStep", "LacksAModuleInStep", "HidesWhatItLacks", "Unmakeable"}
"""Of these kinds another one is in every run: a hang, a module that is missing, a port that cannot be made."""


@pytest.mark.parametrize("name", some(FAILING, every=3, also={"Segfaults", "SpeaksForTheServer"}))
@pytest.mark.one_in(4)
def test_what_is_wrong_fails_and_says_why(name):
    report = checked(name)
    assert report.verdict == "fail"
    assert any(FAILING[name] in message for message in messages(report)), messages(report)


@pytest.mark.parametrize("name", keeping(UNDECIDED, [name for name in UNDECIDED if name not in ALIKE]))
@pytest.mark.one_in(4)
def test_what_did_not_run_is_undecided_and_says_why(name):
    began = time.monotonic()
    report = checked(name, limits=Limits(**{**vars(LIMITS), "message_seconds": 2.0, "total_seconds": 6.0}))
    assert report.verdict == "undecided", messages(report)
    reasons = [*report.obstacles, *(result.reason for result in report.checks if result.status == "not_run")]
    assert any(UNDECIDED[name] in reason for reason in reasons), reasons
    assert report.counts["failed"] == 0
    assert time.monotonic() - began < 300  # bounded, also on a machine that others use


@pytest.mark.parametrize("name", ["ChangesItsInputs", "RaisesAtStepSeven", "KeepsState"])
def test_what_takes_more_than_one_step_to_see_fails_the_standard_profile(name):
    short = [each.id for each in select("signum", "standard") if each.id not in LONG]
    assert checked(name, "standard", only=short, dtypes=["float32"]).verdict == "fail"


def test_what_raised_is_said_with_its_line():
    report = checked("RaisesAtStepSeven", "standard", only=["step/many"], dtypes=["float32"])
    assert re.search(r"step\(\) raised \w+: .* \(hostile_ports\.py, line \d+\)$", report.failures[0].message)
    here = check(hostile_ports.RaisesAtStepSeven, only=["step/many"], dtypes=["float32"], diagnose=False)
    assert here.failures[0].message == report.failures[0].message


def test_one_hanging_check_leaves_the_others_judged():
    report = checked("HangsNowAndThen", limits=Limits(**{**vars(LIMITS), "message_seconds": 2.0, "restarts": 3}))
    assert {result.id for result in report.checks if result.status == "not_run"} == {"step/from-zero"}
    assert report.counts["passed"] == len(report.checks) - 2
    assert report.verdict == "undecided"


def test_a_port_that_breaks_down_too_often_is_not_run_further():
    report = checked("Exits")
    assert report.counts["failed"] == 2
    need_no_port = report.counts["passed"] + report.counts["not_applicable"]
    assert need_no_port <= 2
    assert report.counts["not_run"] == len(report.checks) - 2 - need_no_port


def test_odd_descriptions_do_no_harm():
    assert checked("DescribesOddly").verdict == "pass"


def test_another_rule_than_asked_for_is_not_run():
    report = checked("Right", rule="lion")
    assert report.verdict == "undecided"
    assert "could not run: asked for lion, and the port implements signum" in report.obstacles


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:Port", "cannot import 'no_such_module': ModuleNotFoundError"),
        ("hostile_ports:Missing", "module 'hostile_ports' has no attribute 'Missing'"),
        ("not-published", "is no target: give package.module:attribute"),
        ("fractions:Fraction", "is no port: it has no method describe()"),
    ],
)
def test_a_target_that_is_none_says_so(target, message):
    report = check_isolated(target, "core", limits=LIMITS)
    assert report.verdict == "undecided"
    assert message in report.obstacles[0]


def test_the_candidates_are_listed_by_a_child():
    found = {(each.name, each.rule): each for each in listed()}
    assert found["signopt/portable", "lion"].needs == []
    assert all("=" not in need for each in found.values() for need in each.needs)
    assert set(found) == {(candidate.name, candidate.rule) for candidate in candidates()}


def test_a_package_whose_list_is_broken_breaks_nothing_but_the_list(monkeypatch):
    monkeypatch.setattr(remote, "_SERVER", (sys.executable, "-c", "import os; os._exit(3)"))
    with pytest.raises(PortBroke, match=r"listing the ports: .*exited with code 3"):
        listed()
