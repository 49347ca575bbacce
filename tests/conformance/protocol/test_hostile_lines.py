"""Whatever line a port answers with, the suite names what is wrong with it and nothing else happens."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signopt.conformance.adapters.process import ProcessPort
from signopt.conformance.errors import PortBroke, PortLacks, PortRefused
from signopt.conformance.protocol.limits import Ending

EXPECTED = (PortBroke, PortRefused, NotImplementedError)
HYPER = {"lr": 1e-3, "beta": 0.9, "weight_decay": 0.1}
PARAMS = {"w": np.float32([1.0, -2.0])}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
sizes = st.one_of(st.integers(-1, 3), st.sampled_from([2**31, 2**70, 1.5, True, None, "2"]))
almost_arrays = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["float32", "float64", "float16", "bfloat16", "int8", "O", None, ["float32"]]),
        "shape": st.lists(sizes, max_size=3) | json_values,
        "data": st.text("0123456789abcdefABCDEF xz+_\u0660", max_size=32) | json_values,
    }
)
almost_replies = st.fixed_dictionaries(
    {"id": st.sampled_from([1, 2, 3, 4, 5, True, "3", 3.0, None])},
    optional={
        "protocol": st.sampled_from([1, 2, "1", None]),
        "describe": st.just({"name": "a", "rule": "signum"}) | json_values,
        "params": st.dictionaries(st.sampled_from(["w", "x", "\ud800"]), almost_arrays | json_values) | json_values,
        "momentum": st.dictionaries(st.sampled_from(["w", "x"]), almost_arrays | json_values) | json_values,
        "error": st.fixed_dictionaries({"kind": st.sampled_from(["unsupported", "invalid", 7])}) | json_values,
    },
)
lines = st.one_of(
    st.binary(max_size=64).map(lambda line: line.replace(b"\n", b"")),
    json_values.map(lambda value: json.dumps(value).encode()),
    almost_replies.map(lambda reply: json.dumps(reply).encode()),
    st.integers(1, 200_000).map(lambda depth: b"[" * depth),
    st.integers(5000, 9000).map(lambda digits: b'{"id":' + b"9" * digits + b"}"),
)


class ScriptedChild:
    """Answers with the given lines, one after the other."""

    waited = 0.0

    def __init__(self, answers):
        self._answers = iter(answers)

    def exchange(self, request, seconds):
        return next(self._answers)

    def finish(self):
        return Ending()

    def kill(self):
        pass


ONE = {"dtype": "float32", "shape": [2], "data": "3f80000040000000"}
HELLO = {"id": 1, "protocol": 1, "describe": {"name": "a", "rule": "signum"}}
POLITE = [json.dumps(reply).encode() for reply in (HELLO, {"id": 2}, {"id": 3}, {"id": 4, "params": {"w": ONE}})]


def converse(port):
    """All five methods; how each ended."""
    calls = [
        port.describe,
        lambda: port.init(PARAMS, HYPER),
        lambda: port.step(PARAMS),
        port.params,
        port.momentum,
    ]
    ends = []
    for call in calls:
        try:
            ends.append(call())
        except EXPECTED as error:
            ends.append(str(error))
    return ends


@settings(max_examples=250, derandomize=True, deadline=None)
@given(lines, st.integers(0, 4))
def test_no_line_crashes_the_conversation(line, polite):
    assert_survives(line, polite)


@pytest.mark.slow
@settings(max_examples=10_000, derandomize=True, deadline=None)
@given(lines, st.integers(0, 4))
def test_no_line_of_many_crashes_the_conversation(line, polite):
    assert_survives(line, polite)


def assert_survives(line, polite):
    answers = [*POLITE[:polite], line, line, line, line, line, line]
    port = ProcessPort(["scripted"], start=lambda command, limits: ScriptedChild(answers))
    ends = converse(port)
    port.close()
    assert "" not in [end for end in ends if isinstance(end, str)]
    for arrays in ends[3:]:
        if isinstance(arrays, dict):
            assert all(isinstance(array, np.ndarray) for array in arrays.values())


def test_the_scripted_conversation_can_succeed():
    answers = [*POLITE, b'{"id":5,"momentum":null}', b'{"id":6}']
    port = ProcessPort(["scripted"], start=lambda command, limits: ScriptedChild(answers))
    *_, params, momentum = converse(port)
    assert params["w"].tolist() == [1.0, 2.0]
    assert momentum is None


@pytest.mark.parametrize(
    "error",
    [
        {"kind": "unavailable", "message": "no such device"},
        {"kind": "internal", "message": "ModuleNotFoundError: No module named 'framework'"},
        {"kind": "internal", "message": "std::bad_alloc"},
    ],
)
def test_what_is_missing_accuses_nobody_and_the_conversation_goes_on(error):
    answers = [POLITE[0], json.dumps({"id": 2, "error": error}).encode(), b'{"id":3}']
    port = ProcessPort(["scripted"], start=lambda command, limits: ScriptedChild(answers))
    with pytest.raises(PortLacks) as lack:
        port.init(PARAMS, HYPER)
    assert not lack.value.accuses
    port.step(PARAMS)
    assert port.complaints == []


@pytest.mark.parametrize(
    ("kind", "error"), [("unsupported", NotImplementedError), ("refused", PortRefused), ("internal", PortRefused)]
)
def test_an_error_is_raised_as_what_it_is(kind, error):
    reply = {"id": 2, "error": {"kind": kind, "message": "no momentum here"}}
    answers = [POLITE[0], json.dumps(reply).encode(), b'{"id":3}']
    port = ProcessPort(["scripted"], start=lambda command, limits: ScriptedChild(answers))
    with pytest.raises(error, match="no momentum here"):
        port.init(PARAMS, HYPER, PARAMS)
    port.step(PARAMS)
    assert port.complaints == []
