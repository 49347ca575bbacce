"""check() in this process: a verdict for whatever a port does, and what its report says."""

import os
from collections.abc import Mapping

import hostile_ports
import numpy as np
import pytest
from hostile_ports import Right

from signopt.conformance import check


class OddError(Exception):
    def __str__(self):
        raise ValueError("no words")


class RaisingMapping(Mapping):
    def __init__(self, content):
        self.content = content

    def __getitem__(self, key):
        raise OddError

    def __iter__(self):
        return iter(self.content)

    def __len__(self):
        return len(self.content)


class RaisingArray(np.ndarray):
    def __array_function__(self, *args, **kwargs):
        raise OddError

    def __array_finalize__(self, obj):
        if obj is not None and getattr(obj, "shut", False):
            raise OddError


def returning(method, value):
    """A right port, but for what one method returns."""
    return type("Returning", (Right,), {method: lambda self, *_: value(self)})


def raising(method, error):
    def call(self, *args):
        raise error

    return type("Raising", (Right,), {method: call})


def with_attribute(name, error):
    def get(self):
        raise error

    return type("Attribute", (Right,), {name: property(get)})


def described(**keys):
    return returning("describe", lambda self: {"name": "odd", "rule": "signum", **keys})


PORTS = {
    "a mapping that raises": returning("params", lambda self: RaisingMapping(self.p)),
    "a momentum that raises": returning("momentum", lambda self: RaisingMapping(self.m)),
    "an array that raises": returning("params", lambda self: {n: p.view(RaisingArray) for n, p in self.p.items()}),
    "structured arrays": returning("params", lambda self: {n: np.zeros(p.shape, "f4,i4") for n, p in self.p.items()}),
    "strings": returning("params", lambda self: {n: np.full(p.shape, "x") for n, p in self.p.items()}),
    "masked arrays": returning("params", lambda self: {n: np.ma.masked_all_like(p) for n, p in self.p.items()}),
    "unhashable names": returning("params", lambda self: [([], 1)]),
    "numbers as names": returning("params", lambda self: {7: 1}),
    "an error without words": raising("step", OddError()),
    "a BaseException": raising("init", BaseException("stop")),
    "GeneratorExit": raising("params", GeneratorExit()),
    "a property that raises": with_attribute("step", OddError()),
    "configure that raises when it is looked at": with_attribute("configure", OddError()),
    "describe that raises when it is looked at": with_attribute("describe", OddError()),
    "a description that raises": returning("describe", lambda self: RaisingMapping({"name": 1, "rule": 2})),
    "dtypes that cannot be hashed": described(dtypes=[[], {}]),
    "dtypes of numbers": described(dtypes=7),
    "roles that cannot be hashed": described(roles=[{}]),
    "a momentum dtype that cannot be hashed": described(momentum_dtype=[]),
    "defaults of objects": described(defaults={"lr": object(), 3: []}),
    "a rule that cannot be hashed": described(rule=[]),
    "an array for a choice": described(nan=np.zeros(3)),
    "a name of controls": described(name="\x1b[2J\ud800"),
    "no class at all": lambda: 7,
    "None": None,
}


@pytest.mark.parametrize("name", PORTS)
def test_it_never_raises_for_a_bad_port(name):
    report = check(PORTS[name], "standard", only=["step", "changes", "defaults"], dtypes=["float32"])
    assert report.verdict in ("pass", "fail", "undecided")
    assert report.verdict == "pass" or report.failures or report.obstacles or report.counts["not_run"]
    assert report.to_dict()["verdict"] == report.verdict


def test_a_user_can_stop_it():
    with pytest.raises(KeyboardInterrupt):
        check(hostile_ports.Interrupts, "core")


def test_a_port_that_forks_leaves_one_report():
    here = os.getpid()
    report = check(hostile_ports.Forks, "core", only=["step/exact"])
    assert os.getpid() == here
    assert report.verdict == "pass"


@pytest.mark.parametrize("name", ["RunsOutOfMemory", "LacksAModule", "HidesWhatItLacks"])
def test_what_the_machine_lacks_accuses_nobody(name):
    report = check(getattr(hostile_ports, name), "core")
    assert report.verdict == "undecided"
    assert report.counts["failed"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "lax"}, "profile must be one of"),
        ({"seed": -1}, "seed must not be negative"),
        ({"only": ["step/exakt"]}, "no check or group is called step/exakt"),
        ({"only": ["schedule"]}, "no check of profile"),
    ],
)
def test_what_the_caller_does_wrong_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        check(Right, **options)


def test_a_dtype_that_is_not_declared_is_an_obstacle():
    report = check(Right, only=["step/exact"], dtypes=["float32", "float16"])
    assert report.obstacles == ["no check in float16: the port declares float32, float64"]
    assert (report.verdict, report.counts["passed"]) == ("undecided", 1)


def test_progress_has_a_total_and_a_failure_names_the_bug():
    seen = []

    def note(result, done, planned):
        seen.append((done, planned))

    report = check(hostile_ports.ChangesItsInputs, only=["inputs"], progress=note)
    assert seen == [(number, len(report.checks)) for number in range(1, len(report.checks) + 1)]
    assert report.verdict == "fail"


def test_keys_that_nothing_reads_are_remarked_upon_and_change_nothing():
    report = check(described(subnormal="flush", configure=True), only=["step/exact"])
    assert report.notes == ["describe() has 'subnormal', which nothing reads; is 'subnormals' meant?"]
    assert report.verdict == "pass"
