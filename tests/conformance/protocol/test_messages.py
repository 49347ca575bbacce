"""The schema of the messages: what the suite and the worked ports say follows it, what breaks the protocol does not."""

import io
import json
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from signopt.conformance import check
from signopt.conformance.adapters.process import ProcessPort
from signopt.conformance.oracle.rules import OPTIMIZERS, RULES
from signopt.conformance.protocol.messages import schema, write_request
from signopt.conformance.protocol.methods import METHODS

HOSTILE = Path(__file__).with_name("hostile_port.py")
ONE = {"dtype": "float32", "shape": [1], "data": "3f800000"}


def follows(kind, message):
    whole = schema()
    jsonschema.Draft202012Validator.check_schema(whole)
    part = {**whole, "oneOf": [{"$ref": f"#/$defs/{kind}"}]}
    return jsonschema.Draft202012Validator(part).is_valid(message)


def test_a_conversation_follows_it():
    record = io.BytesIO()
    with ProcessPort([sys.executable, str(HOSTILE), "none"], replay=record) as port:
        check(port, "core", only=["step/exact", "step/from-zero", "changes"], dtypes=["float32"])
    kinds = {b">": "request", b"<": "reply"}
    lines = [line for line in record.getvalue().splitlines() if line[:1] in kinds]
    assert len(lines) > 20
    assert all(follows(kinds[line[:1]], json.loads(line[2:])) for line in lines)


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_the_hyperparameters_of_every_rule_follow_it(rule):
    hyper = RULES[rule].settings(lr=0.5, betas=(0.5, 0.75), weight_decay=0.25)
    fields = METHODS["init"].spell(({"w": np.ones((2, 2), np.float32)}, hyper))
    assert follows("request", json.loads(write_request(1, "init", **fields)))


def test_methods_beyond_the_five_follow_it():
    words = np.arange(3, dtype=np.uint32)
    fields = METHODS["round_with"].spell((np.ones(3, np.float32), words))
    assert fields["words"]["data"] == "000000000000000100000002"
    assert follows("request", json.loads(write_request(1, "round_with", **fields)))
    assert set(METHODS) == {
        request["properties"]["method"]["const"] for request in schema()["$defs"]["request"]["oneOf"]
    } - {"hello", "bye"}


WRONG = {
    "no id": ("reply", {"params": {"w": ONE}}),
    "id as text": ("reply", {"id": "3"}),
    "another protocol": ("reply", {"id": 1, "protocol": 2, "describe": {"name": "a", "rule": "lion"}}),
    "no rule": ("reply", {"id": 1, "protocol": 1, "describe": {"name": "a"}}),
    "upper case": ("reply", {"id": 1, "params": {"w": {**ONE, "data": "3F800000"}}}),
    "a decimal": ("reply", {"id": 1, "params": {"w": {**ONE, "data": 1.0}}}),
    "an unknown error": ("reply", {"id": 1, "error": {"kind": "sorry"}}),
    "an unknown method": ("request", {"id": 1, "method": "reset"}),
    "no gradients": ("request", {"id": 1, "method": "step"}),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_breaks_the_protocol_does_not_follow_it(case):
    kind, message = WRONG[case]
    assert not follows(kind, message)
