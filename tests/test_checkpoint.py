"""Files of state: what is damaged, foreign or does not fit is refused by name, and changes nothing."""

import copy
import json
import os
import random
import struct

import ml_dtypes
import numpy as np
import pytest

import signopt
from signopt.schedules import Cosine
from tests.bits import assert_same_bits
from tests.test_optimizer import assert_unchanged, snapshot
from tests.thin import diagonal


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
    with pytest.raises(ValueError, match=r"other.safetensors cannot be loaded: .* not one that signopt\.save wrote"):
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


@pytest.mark.parametrize(
    ("dtype", "backend"), diagonal(["float64", "float32", "float16", "bfloat16"], ["auto", "portable"])
)
def test_torch_tensors_of_every_dtype(dtype, backend, tmp_path):
    torch = pytest.importorskip("torch")
    param = torch.linspace(-1, 1, 6, dtype=getattr(torch, dtype)).reshape(2, 3)
    opt = signopt.Lion({"w": param.clone()}, backend=backend)
    opt.step({"w": param})
    signopt.save(opt, tmp_path / "state")
    resumed = signopt.Lion({"w": param.clone()}, backend=backend)
    signopt.load(resumed, tmp_path / "state")
    assert resumed.momentum["w"].dtype == param.dtype
    assert torch.equal(resumed.momentum["w"], opt.momentum["w"])
    assert resumed.momentum["w"].any()


def test_tensors_that_are_no_momenta_are_refused(tmp_path):
    from safetensors.numpy import save_file

    opt = signopt.Lion({"a": np.ones(3)})
    state = {key: value for key, value in opt.state_dict().items() if key != "momentum"}
    for name in ("a", "weights/a", "momentum"):
        save_file({"momentum/a": np.ones(3), name: np.ones(3)}, tmp_path / "s", metadata={"signopt": json.dumps(state)})
        with pytest.raises(ValueError, match=f"no momenta: '{name}'"):
            signopt.load(opt, tmp_path / "s")


# Fuzzing: whatever is done to a file, it is loaded as a state that can be stepped, or refused with nothing changed.

TRIALS = int(os.environ.get("SIGNOPT_TEST_TRIALS", "600"))
DEEP = "[" * 100_000
HOSTILE = [
    *(None, True, False, [], {}, "", "x", "callable", [None], {"": None}, DEEP, "\ud800", "9" * 5000),
    *(0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, 10**400, 0.0, -0.0, 1e308, 1e-320, 0.5, 3.5),
    *(float("nan"), float("inf"), [0.9, 0.9], [0.9, 10**400], {"0": 1.0}, {"x": 1}, {"-1": 1}, {"1e3": 1}),
    *({"cosine": 0}, {"cosine": {"total_steps": 10**400}}, {"cosine": {}}, {"cosine": {"total_steps": 1, "final": []}}),
]


def subject():
    params = {"w": np.ones((2, 3), np.float32), "b/bias": np.ones(3), "e": np.ones((0, 2), np.float16)}
    opt = signopt.Tiger(params, lr=0.5, accumulation_steps=2, schedule={3: 1.0}, backend="portable")
    opt.step({name: np.ones_like(param) for name, param in params.items()})
    return opt


def subject_of_groups():
    params = [{"w": np.ones((2, 3), np.float32)}, {"b/bias": np.ones(3), "e": np.ones((0, 2), np.float16)}]
    one, two = signopt.Lion(params[0], backend="portable"), signopt.Signum(params[1], schedule=Cosine(9), lr=0.5)
    opt = signopt.Groups(one=one, two=two)
    opt.step({name: np.ones_like(param) for name, param in opt.params.items()})
    return opt


def spelled(header, tensors):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def parts(data):
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def places(tree, path=()):
    """The path of every value in nested dicts and lists."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


def change_one_place(tree, rng):
    """A copy of ``tree`` in which one value is hostile, gone, or under another name."""
    tree = copy.deepcopy(tree)
    *way, last = rng.choice(list(places(tree)))
    parent = tree
    for key in way:
        parent = parent[key]
    how = rng.random()
    if how < 0.7 or isinstance(parent, list):
        parent[last] = rng.choice(HOSTILE)
    elif how < 0.85:
        del parent[last]
    else:
        parent[rng.choice(["", "x", "lr", "momentum", "momentum/x", "signopt", "schedule", "\U0001f600"])] = parent.pop(
            last
        )
    return tree


def change_bytes(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        data[rng.randrange(len(data))] = rng.choice([0, 255, 34, 48, 57, 91, 123, rng.randrange(256)])
    return bytes(data)


def change_state(data, rng):
    header, tensors = parts(data)
    state = json.loads(header["__metadata__"]["signopt"])
    for _ in range(rng.choice([1, 1, 2])):
        state = change_one_place(state, rng)
    header["__metadata__"]["signopt"] = json.dumps(state).replace(f'"{DEEP}"', DEEP)
    return spelled(header, tensors)


def change_header(data, rng):
    header, tensors = parts(data)
    return spelled(json.dumps(change_one_place(header, rng)).replace(f'"{DEEP}"', DEEP).encode(), tensors)


def splice(data, rng):
    cut = rng.randrange(len(data))
    return data[:cut] + rng.choice([b"", b"\0" * 9, data[rng.randrange(len(data)) :]])


def error_of_loading(opt, path):
    try:
        signopt.load(opt, path)
    except Exception as error:
        return error
    return None


def rest_of(state):
    """All of a state but its momenta."""
    parts = {name: rest_of(part) for name, part in state.get("groups", {}).items()}
    return {**state, "momentum": None, "groups": parts}


@pytest.mark.parametrize("subject", [subject, subject_of_groups])
@pytest.mark.parametrize("change", [change_bytes, change_state, change_header, splice])
@pytest.mark.one_in(4)
def test_a_changed_file_is_loaded_or_refused_and_never_half(change, subject, tmp_path):
    rng = random.Random(change.__name__)
    opt, path = subject(), tmp_path / "state.safetensors"
    signopt.save(opt, path)
    whole, before, state = path.read_bytes(), snapshot(opt), opt.state_dict()
    refused = 0
    for _ in range(TRIALS):
        path.write_bytes(change(whole, rng))
        error = error_of_loading(opt, path)
        if error is None:
            opt.step({name: np.ones_like(param) for name, param in opt.params.items()})
            opt = subject()
            continue
        refused += 1
        assert type(error) is ValueError, repr(error)
        assert str(path) in str(error)
        assert_unchanged(opt, before)
        assert rest_of(opt.state_dict()) == rest_of(state)
    assert refused > TRIALS / 3


@pytest.mark.parametrize("number", ["1" + "0" * 400, "9" * 5000, "1e400", "NaN", "-Infinity"])
@pytest.mark.parametrize("name", ["lr", "weight_decay", "shrink", "accumulation_steps"])
def test_a_number_that_no_float_holds_is_refused(name, number, tmp_path):
    opt, path = subject(), tmp_path / "state"
    signopt.save(opt, path)
    header, tensors = parts(path.read_bytes())
    state = json.loads(header["__metadata__"]["signopt"])
    state["hyper"] |= {"lr": 0.125, name: "HERE"}
    header["__metadata__"]["signopt"] = json.dumps(state).replace('"HERE"', number)
    path.write_bytes(spelled(header, tensors))
    with pytest.raises(ValueError, match="state cannot be loaded"):
        signopt.load(opt, path)
    assert opt.lr == 0.5


def test_a_file_that_does_not_fit_is_named(tmp_path):
    signopt.save(signopt.Lion({"a": np.ones(3)}), tmp_path / "mine")
    for other in (
        signopt.Signum({"a": np.ones(3)}),
        signopt.Lion({"a": np.ones(4)}),
        signopt.Lion({"b": np.ones(3)}),
        signopt.Lion({"a": np.ones(3, np.float32)}),
    ):
        with pytest.raises(ValueError, match="mine cannot be loaded: "):
            signopt.load(other, tmp_path / "mine")


def test_a_cosine_in_a_file_is_damaged_like_anything_else(tmp_path):
    opt, path = signopt.Lion({"a": np.ones(3)}, schedule=Cosine(9)), tmp_path / "state"
    signopt.save(opt, path)
    path.write_bytes(path.read_bytes().replace(b"total_steps", b"total_stabs"))
    with pytest.raises(ValueError, match="total_stabs"):
        signopt.load(opt, path)
