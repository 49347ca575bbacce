"""The vector files: valid, reproducible, small, and in agreement with every order of evaluation."""

import functools
import itertools
import json

import jsonschema
import numpy as np
import pytest

from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import RIGHT_PORTS
from signopt.conformance.oracle import arithmetic as exact
from signopt.conformance.oracle.arithmetic import Order
from signopt.conformance.oracle.rules import RULES, SIGN_RULES
from signopt.conformance.protocol.wire import decode_arrays
from signopt.conformance.vectors import store
from signopt.conformance.vectors.expected import patterns
from signopt.conformance.vectors.generate import document, generate
from signopt.conformance.vectors.notes import NOTES
from tests.conformance.vectors.reader import Ready, admits, applies, ends, hyper_of, passes
from tests.thin import diagonal

FILES = list(itertools.product(store.RULES, store.DTYPES))
ORDERS = [
    Order(*parts) for parts in itertools.product(exact.DECAYS, exact.FORMS, exact.COMPLEMENTS)
]  # fmt: skip

SPECIAL_MUONS = ("fixed", "layout", "ns_dtype", "orthogonalizer", "decay_form")
OTHER_FORMS = ("sum", "epsilon-max", "zero-unguarded-max", "unsettable-sum", "halves-sum", "fixed-hidden-sum", "hybrid")
"""Muons that need not tell the suite, which finds it out, but must tell vectors: their form of momentum and ε, and that
what is no matrix goes to another rule."""

MISSED = {**dict.fromkeys(SIGN_RULES, 1 / 20), "muon": 0.4}
"""The share of the known mutants of a rule that the vectors in float32 may miss, of those that no layout hides.

Muon's are one step or a few of small matrices; of its mutants many show in larger ones, in company, or late.
"""

LAYOUTS = {"strides-ignored", "strides-transposed", "strides-of-embeddings", "rms-memory-order"}
"""Arrays in JSON have no strides."""


@pytest.mark.parametrize(("rule", "dtype"), diagonal(store.RULES, store.DTYPES))
def test_generating_again_gives_the_same_bytes(rule, dtype):
    path = store.data() / store.file_name(rule, dtype)
    assert store.document_text(document(rule, dtype)).encode() == path.read_bytes(), "run signopt vectors generate"


def test_every_file_is_generated(tmp_path, monkeypatch):
    monkeypatch.setattr("signopt.conformance.vectors.generate.document", store.load)
    written = {path.name: path.read_bytes() for path in generate(tmp_path)}
    assert written == {name: (store.data() / name).read_bytes() for name in itertools.starmap(store.file_name, FILES)}


def test_everything_together_is_under_two_and_a_half_megabytes():
    assert sum(len((store.data() / store.file_name(*file)).read_bytes()) for file in FILES) < 2_500_000


@pytest.mark.parametrize(("rule", "dtype"), FILES)
@pytest.mark.one_in(4)
def test_a_file_follows_its_schema(rule, dtype):
    schema = store.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(store.load(rule, dtype))


def test_the_schema_knows_the_rules_and_their_hyperparameters():
    schema = store.schema()
    assert schema["properties"]["rule"]["enum"] == list(store.RULES)
    assert schema["$defs"]["vector"]["properties"]["id"]["pattern"].startswith(f"^({'|'.join(store.RULES)})/")
    known = {each.name for rule in store.RULES for each in RULES[rule].hyper}
    assert set(schema["$defs"]["hyper"]["properties"]) == known


def test_the_schema_that_is_copied_knows_the_rules_too(tmp_path):
    store.copy(tmp_path, rule="lion", profile="core")
    assert json.loads((tmp_path / store.SCHEMA_NAME).read_text("utf-8")) == store.schema()


def test_ids_are_unique_and_flags_have_notes():
    vectors = [vector for file in FILES for vector in store.load(*file)["vectors"]]
    ids = [vector["id"] for vector in vectors]
    assert len(set(ids)) == len(ids)
    for file in FILES:
        document = store.load(*file)
        assert {flag for vector in document["vectors"] for flag in vector["flags"]} == set(document["notes"])
    assert {flag for vector in vectors for flag in vector["flags"]} == set(NOTES)


def stepped(rule, hyper, order, name, param, grad, momentum, step):
    """One step of the oracle, which signs NaN as NaN."""
    habits = RULES[rule].habits(decay=order.decay, form=order.form, complement=order.complement)
    return next(RULES[rule].exact(habits, hyper, step, name, param, grad, momentum))


@pytest.mark.parametrize("rule", SIGN_RULES)
def test_every_order_has_bits_of_its_own(rule):
    """Of which the next test would prove nothing if all orders were evaluated as one."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(400).astype(np.float32) for _ in range(3)]
    hyper = RULES[rule].settings(lr=0.37, betas=(0.9, 0.99), weight_decay=0.3)
    hyper = RULES[rule].complete(RULES[rule].habits(), hyper, ["w"])
    seen = {tuple(array.tobytes() for array in stepped(rule, hyper, order, "w", *arrays, 0)) for order in ORDERS}
    without = [order for order in ORDERS if (order.form, order.complement) == ("difference", "dtype")]  # β alone
    assert len(seen) == len(ORDERS) - len(without)


@pytest.mark.parametrize("of", [pytest.param(1, marks=pytest.mark.slow, id="all"), pytest.param(7, id="in turn")])
@pytest.mark.parametrize(("rule", "dtype"), [file for file in FILES if file[0] in SIGN_RULES])
@pytest.mark.one_in(4)
def test_every_order_of_evaluation_is_admitted(rule, dtype, of):
    """The sets come from bounds; here the orders themselves are evaluated, each operation rounded exactly.

    Every order takes its turn, at one vector in seven; with ``-m slow`` every order at every vector. Inside a window of
    Tiger the coefficients do not add up to 1, so there only the orders that use both exist.
    """
    for turn, vector in enumerate(load(rule, dtype)["vectors"]):
        if vector["requires"].get("nan") == "zero":
            continue
        window = vector["hyper"].get("accumulation_steps", 1) > 1
        orders = [order for order in ORDERS if not window or order.form in ("mul-add", "fma")]
        for order in orders[turn % of :: of]:
            check_order(vector, rule, dtype, order)


def check_order(vector, rule, dtype, order):
    hyper = hyper_of(vector)
    params = decode_arrays(vector["params"])
    zeros = {name: np.zeros_like(param) for name, param in params.items()}
    momenta = zeros | decode_arrays(vector.get("momentum", {}))
    for number, step in enumerate(vector["steps"]):
        hyper = hyper_of(step) if "hyper" in step else hyper
        params |= decode_arrays(step.get("set", {}))
        for name, grad in decode_arrays(step["grads"]).items():
            state = stepped(rule, hyper, order, name, params[name], grad, momenta[name], number)
            params[name], momenta[name] = state
            for got, allowed in zip(state, (step["params"][name], step["momentum"][name]), strict=True):
                for value, alternatives in zip(exact.floats(got), allowed, strict=True):
                    assert admits(alternatives, value, dtype), (vector["id"], order, name, value, alternatives)


def test_constructed_numbers_allow_one_outcome_in_every_order():
    """The tolerance-free class: Lion and Signum with betas of 1/2 and 3/4."""
    for rule, dtype in itertools.product(("lion", "signum"), store.DTYPES):
        for vector in store.load(rule, dtype)["vectors"]:
            if vector["id"].split("/", 2)[2].startswith(("rounded/", "special/", "hyper/", "values/", "changes/decay")):
                continue
            for step, slot in itertools.product(vector["steps"], ("params", "momentum")):
                for alternatives in itertools.chain.from_iterable(step[slot].values()):
                    (only,) = alternatives
                    low, high = ends(only, dtype)
                    assert low == high, vector["id"]


def test_ranges_are_spelled_by_value():
    from signopt.conformance.oracle.judge import Allowed

    assert patterns(Allowed(((1.0, 1.0),)), "float32") == ["3f800000"]
    assert patterns(Allowed(((0.0, 0.0),)), "float32") == ["80000000..00000000"]
    assert patterns(Allowed(((-(2.0**-149), 2.0**-149),), nan=True), "float32") == ["80000001..00000001", "nan"]
    assert patterns(Allowed(((2.0, 3.0), (1.0, 1.0))), "float16") == ["3c00", "4000..4200"]
    assert patterns(Allowed(((1.0, 2.0), (1.5, 3.0))), "bfloat16") == ["3f80..4040"]


@pytest.mark.parametrize(("rule", "dtype"), FILES)
def test_the_canary_is_failed_by_a_right_port(rule, dtype):
    document = store.load(rule, dtype)
    plain = next(variant for variant in RIGHT_PORTS[rule] if variant.id == "plain")()
    assert passes(plain, Ready(document["canary"], dtype)) is False
    assert document["count"] == len(document["vectors"])


def test_copying_by_rule_and_profile(tmp_path):
    written = store.copy(tmp_path / "new", rule="lion", profile="core")
    assert sorted(path.name for path in written) == [
        *sorted(store.file_name("lion", dtype) for dtype in store.DTYPES), "vectors.schema.json",
    ]  # fmt: skip
    for path in written[1:]:
        content = json.loads(path.read_text())
        assert {vector["profile"] for vector in content["vectors"]} == {"core"}
        assert all(len(vector["steps"]) == 1 for vector in content["vectors"])
        jsonschema.Draft202012Validator(store.schema()).validate(content)


def test_copying_everything_copies_the_bytes(tmp_path):
    for path in store.copy(tmp_path)[1:]:
        assert path.read_bytes() == (store.data() / path.name).read_bytes()


@pytest.mark.parametrize(
    ("options", "message"), [({"rule": "adam"}, "rule 'adam'"), ({"profile": "strict"}, "'strict'")]
)
def test_copying_says_what_there_is(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        store.copy(tmp_path, **options)


def test_loading_says_what_there_is():
    with pytest.raises(ValueError, match="float80"):
        store.load("lion", "float80")


load = functools.cache(store.load)


@functools.cache
def ready(rule, dtype):
    return [Ready(vector, dtype) for vector in load(rule, dtype)["vectors"]]


def failed(variant, rule, dtype):
    """The ids of the vectors that one known port fails, as they are found."""
    port = variant()
    declared = port.describe()
    with np.errstate(all="ignore"):
        for each in ready(rule, dtype):
            if applies(each.vector, declared) and passes(port, each) is False:
                yield each.vector["id"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", store.RULES)
@pytest.mark.one_in(4)
def test_no_right_port_is_accused(rule, dtype):
    for variant in RIGHT_PORTS[rule]:
        narrower = {"compute", "hyper", "momentum_dtype", *SPECIAL_MUONS} & set(variant().describe())
        if dtype in variant.dtypes and not narrower and not variant.id.startswith(OTHER_FORMS):
            assert list(failed(variant, rule, dtype)) == [], variant.id


@pytest.mark.parametrize("rule", store.RULES)
@pytest.mark.one_in(2)
def test_most_known_bugs_are_caught_by_one_step_or_a_few(rule):
    """Vectors carry no layout, and none is of 65 537 elements or 500 steps: the suite does what they cannot."""
    mutants = [each for each in MUTANTS[rule] if "float32" in each.dtypes and each.id not in LAYOUTS]
    survivors = [m.id for m in mutants if not any(failed(m, rule, "float32"))]
    assert len(survivors) <= MISSED[rule] * len(mutants), survivors
