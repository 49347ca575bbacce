"""State: what is saved comes back, what does not fit changes nothing, and files are whole or refused."""

import json

import ml_dtypes
import numpy as np
import pytest

import signopt
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


def test_a_callable_schedule_stays_with_its_optimizer():
    saved = signopt.Tiger([np.ones(2)], schedule=lambda step: 0.5).state_dict()
    assert saved["hyper"]["schedule"] == "callable"
    ours = signopt.Tiger([np.ones(2)], schedule=lambda step: 0.25)
    ours.load_state_dict(saved)
    assert ours.schedule(0) == 0.25
    with pytest.raises(ValueError, match="callable schedule"):
        signopt.Tiger([np.ones(2)]).load_state_dict(saved)


def saved_file(folder, opt=None):
    path = folder / "state.safetensors"
    signopt.save(opt or signopt.Lion({"a": np.ones(3)}), path)
    return path


def test_a_file_cut_anywhere_is_refused(tmp_path):
    path = saved_file(tmp_path)
    data = path.read_bytes()
    opt = signopt.Lion({"a": np.ones(3)}, lr=0.5)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match="truncated"):
            signopt.load(opt, path)
    assert opt.lr == 0.5


def test_a_foreign_file_is_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.ones(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"not one that signopt\.save wrote"):
        signopt.load(signopt.Lion({"a": np.ones(3)}), tmp_path / "other.safetensors")
    save_file(
        {"momentum/a": np.ones(3, int)}, tmp_path / "ints.safetensors", metadata={"signopt": json.dumps({"hyper": {}})}
    )
    with pytest.raises(ValueError, match="I64"):
        signopt.load(signopt.Lion({"a": np.ones(3)}), tmp_path / "ints.safetensors")


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = saved_file(tmp_path)
    before = path.read_bytes()
    opt = signopt.Lion({"a": np.ones(3)})
    opt._hyper["lr"] = object()
    with pytest.raises(TypeError):
        signopt.save(opt, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with pytest.raises(FileNotFoundError):
        signopt.save(signopt.Lion([np.ones(1)]), tmp_path / "no" / "folder")
    with pytest.raises(FileNotFoundError):
        signopt.load(opt, tmp_path / "nothing")


def test_the_file_holds_the_momentum_and_nothing_executable(tmp_path):
    from safetensors import safe_open

    opt = signopt.Lion({"a/b": np.ones(3, ml_dtypes.bfloat16)}, momentum_dtype="float32")
    opt.step({"a/b": np.ones(3, ml_dtypes.bfloat16)})
    with safe_open(saved_file(tmp_path, opt), "numpy") as file:
        assert list(file.keys()) == ["momentum/a/b"]
        assert_same_bits(file.get_tensor("momentum/a/b"), opt.momentum["a/b"])
