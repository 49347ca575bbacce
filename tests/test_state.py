"""State: what is saved comes back, and what does not fit changes nothing."""

import copy
import json
import pickle

import numpy as np
import pytest

import signopt
from signopt.schedules import Cosine
from tests.bits import DTYPES, assert_same_bits
from tests.test_optimizer import OPTIMIZERS, assert_unchanged, make, snapshot

OPTIONS = {
    "lion": {"lr": 0.03, "betas": (0.8, 0.9), "weight_decay": 0.2},
    "signum": {"lr": 0.03, "beta": 0.8, "weight_decay": 0.2},
    "tiger": {"lr": 0.03, "accumulation_steps": 3, "schedule": {2: 0.5, 9: 1.0}, "shrink": 0.9},
}


def through_memory(opt, other, folder):
    other.load_state_dict(opt.state_dict())


def through_file(opt, other, folder):
    signopt.save(opt, folder / "state.safetensors")
    signopt.load(other, folder / "state.safetensors")


@pytest.mark.parametrize("carry", [through_memory, through_file])
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.one_in(4)
def test_a_resumed_run_is_the_run(rule, dtype, carry, tmp_path):
    params, grads = make(dtype)
    opt = OPTIMIZERS[rule](params, **OPTIONS[rule])
    for grad in grads[:4]:
        opt.step(grad)
    resumed = OPTIMIZERS[rule]({name: param.copy() for name, param in params.items()})
    carry(opt, resumed, tmp_path)
    assert (resumed.step_count, resumed.lr) == (4, 0.03)
    for grad in grads[4:]:
        opt.step(grad)
        resumed.step(grad)
    for name in params:
        assert_same_bits(opt.params[name], resumed.params[name])
        assert_same_bits(opt.momentum[name], resumed.momentum[name])


def test_a_state_is_a_snapshot():
    opt = signopt.Lion([np.ones(2)])
    state = opt.state_dict()
    opt.step([np.ones(2)])
    assert state["step"] == 0
    assert state["momentum"]["0"].tolist() == [0.0, 0.0]


def edit(**changes):
    return lambda state: {**state, **changes}


def without(key):
    return lambda state: {name: value for name, value in state.items() if name != key}


BAD_STATES = {
    "no mapping": (lambda state: [state], TypeError, "mapping"),
    "another rule": (edit(rule="signum"), ValueError, "'signum'"),
    "another version": (edit(version=2), ValueError, "version 2"),
    "lacks the momentum": (without("momentum"), ValueError, "lacks 'momentum'"),
    "lacks the version": (without("version"), ValueError, "lacks 'version'"),
    "other names": (edit(momentum={"x": np.zeros(3)}), ValueError, "missing: 'a', 'b'; not expected: 'x'"),
    "shape": (edit(momentum={"a": np.zeros(2), "b": np.zeros(3)}), ValueError, r"shape \(2,\)"),
    "dtype": (edit(momentum={"a": np.zeros(3), "b": np.zeros(3, "f4")}), TypeError, "float32"),
    "None": (edit(momentum={"a": np.zeros(3), "b": None}), TypeError, "None"),
    "momentum is no mapping": (edit(momentum=[np.zeros(3)]), TypeError, "mapping"),
    "a bad hyperparameter": (edit(hyper={"lr": -1.0, "betas": (0.9, 0.9), "weight_decay": 0.0}), ValueError, "lr"),
    "other hyperparameters": (edit(hyper={"lr": 1.0}), ValueError, "missing: 'betas'"),
    "hyper is no mapping": (edit(hyper=None), TypeError, "mapping"),
    "a huge hyperparameter": (
        edit(hyper={"lr": 0.1, "betas": (0.9, 0.9), "weight_decay": 10**400}),
        ValueError,
        "weight_decay is larger than any float",
    ),
    "a huge step": (edit(step=2**63), ValueError, "step"),
    "a bad step": (edit(step=-1), ValueError, "step"),
    "a step that is no integer": (edit(step="three"), TypeError, "step"),
}


@pytest.mark.parametrize(("change", "error", "words"), BAD_STATES.values(), ids=BAD_STATES)
def test_a_state_that_does_not_fit_changes_nothing(change, error, words):
    opt = signopt.Lion({"a": np.ones(3), "b": np.ones(3)}, lr=0.5)
    opt.step({"a": np.ones(3), "b": np.ones(3)})
    before = snapshot(opt)
    with pytest.raises(error, match=words):
        opt.load_state_dict(change(signopt.Lion({"a": np.ones(3), "b": np.ones(3)}).state_dict()))
    assert_unchanged(opt, before)
    assert (opt.lr, opt.step_count) == (0.5, 1)


def test_other_roles_are_refused():
    opt = signopt.Tiger({"a": np.ones(3), "bias": np.ones(3)})
    state = signopt.Tiger({"a": np.ones(3), "bias": np.ones(3)}, roles={"a": "scale"}).state_dict()
    with pytest.raises(ValueError, match="role 'scale' for 'a', now 'matrix'"):
        opt.load_state_dict(state)


def test_a_state_may_go_through_json():
    opt = signopt.Tiger({"w": np.ones(3)}, schedule={4: 0.5, 10: 1.0})
    opt.step({"w": np.ones(3)})
    state = opt.state_dict()
    momentum = state.pop("momentum")
    other = signopt.Tiger({"w": np.ones(3)})
    other.load_state_dict(json.loads(json.dumps(state)) | {"momentum": momentum})
    assert other.state_dict()["hyper"] == opt.state_dict()["hyper"]
    assert dict(other.schedule) == {4: 0.5, 10: 1.0}


def test_momenta_of_the_optimizer_itself_may_be_loaded_into_it():
    opt = signopt.Lion({"a": np.ones(3), "b": np.ones(3)}, betas=(0.0, 0.0))
    opt.step({"a": np.full(3, 2.0), "b": np.full(3, 5.0)})
    live = opt.momentum
    opt.load_state_dict({**opt.state_dict(), "momentum": {"a": live["b"], "b": live["a"]}})
    assert (live["a"].tolist(), live["b"].tolist()) == ([5.0] * 3, [2.0] * 3)


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_state_from_before_schedules_has_none(rule):
    opt = OPTIMIZERS[rule]([np.ones(2)], schedule={4: 1.0})
    state = opt.state_dict()
    del state["hyper"]["schedule"]
    opt.load_state_dict(state)
    assert opt.schedule is None


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("schedule", [None, {0: 0.5, 7: 0.25}, Cosine(9, warmup_steps=2, final=0.125)])
def test_a_schedule_is_saved_by_value(rule, schedule, tmp_path):
    opt = OPTIMIZERS[rule]([np.ones(2)], schedule=schedule)
    resumed = OPTIMIZERS[rule]([np.ones(2)], schedule={3: 9.0})
    resumed.load_state_dict(opt.state_dict())
    assert resumed.schedule == opt.schedule
    signopt.save(opt, tmp_path / "state")
    resumed.schedule = {3: 9.0}
    signopt.load(resumed, tmp_path / "state")
    assert resumed.schedule == opt.schedule


BAD_SCHEDULES = {
    "an unknown kind": ({"linear": {}}, TypeError),
    "another number": ({"cosine": {"total_steps": 0}}, ValueError),
    "an unknown number": ({"cosine": {"total_steps": 9, "steps": 3}}, TypeError),
    "no numbers": ({"cosine": 3}, TypeError),
    "a key that is no count": ({" 1_0 ": 1.0}, TypeError),
    "a key too large": ({"9" * 30: 1.0}, TypeError),
    "a step named twice": ({"3": 1.0, 3: 2.0}, ValueError),
    "another word": ("cosine", TypeError),
}


@pytest.mark.parametrize(("schedule", "error"), BAD_SCHEDULES.values(), ids=BAD_SCHEDULES)
def test_a_damaged_schedule_changes_nothing(schedule, error):
    opt = signopt.Lion([np.ones(2)], lr=0.5, schedule={4: 1.0})
    state = signopt.Lion([np.ones(2)], lr=0.25).state_dict()
    state["hyper"]["schedule"] = schedule
    with pytest.raises(error):
        opt.load_state_dict(state)
    assert (opt.lr, opt.schedule) == (0.5, {4: 1.0})


def test_a_callable_schedule_stays_with_its_optimizer():
    saved = signopt.Tiger([np.ones(2)], schedule=lambda step: 0.5).state_dict()
    assert saved["hyper"]["schedule"] == "callable"
    ours = signopt.Tiger([np.ones(2)], schedule=lambda step: 0.25)
    ours.load_state_dict(saved)
    assert ours.schedule(0) == 0.25
    with pytest.raises(ValueError, match="callable schedule"):
        signopt.Tiger([np.ones(2)]).load_state_dict(saved)


def test_muons_coefficients_and_steps_are_loaded_together_or_not():
    opt = signopt.Muon({"w": np.eye(3)}, ns_coefficients=[(3.0, -4.0, 2.0)] * 3, ns_steps=3)
    state = json.loads(json.dumps({**opt.state_dict(), "momentum": None})) | {"momentum": opt.state_dict()["momentum"]}
    other = signopt.Muon({"w": np.eye(3)}, lr=0.5)
    with pytest.raises(ValueError, match="3 steps, but ns_steps is 5"):
        other.load_state_dict({**state, "hyper": {**state["hyper"], "ns_steps": 5}})
    assert other.lr == 0.5
    other.load_state_dict(state)
    assert (other.ns_coefficients, other.ns_steps) == (opt.ns_coefficients, 3)


def test_a_copy_of_muon_keeps_its_axis():
    opt = signopt.Muon({"w": np.ones((2, 3, 4))}, batch_axis=0)
    for twin in (copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        assert twin.batch_axis == 0
        twin.step({"w": np.ones((2, 3, 4))})
