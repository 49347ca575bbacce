"""The optimizer Muon: what it takes, what it refuses, and that a step happens on all matrices or on none."""

import importlib

import numpy as np
import pytest

import signopt
from tests.bits import assert_same_bits

MATRIX = np.ones((2, 3))


def test_what_is_no_matrix_is_named():
    params = {"w": MATRIX, "bias": np.ones(3), "gain": np.ones(()), "conv": np.ones((2, 3, 1))}
    with pytest.raises(ValueError, match=r"not 'bias' of shape \(3,\), 'gain' of shape \(\); .*signopt\.Groups\("):
        signopt.Muon(params)


def test_a_stack_has_an_axis_more():
    with pytest.raises(ValueError, match=r"arrays of 3 axes or more, and not '0' of shape \(2, 3\)"):
        signopt.Muon([MATRIX], batch_axis=0)
    with pytest.raises(ValueError, match=r"params\['0'\] has shape \(2, 3, 4\), which has no axis 3"):
        signopt.Muon([np.ones((2, 3, 4))], batch_axis=3)
    opt = signopt.Muon([np.ones((2, 3, 4))], batch_axis=-1)
    assert opt.batch_axis == -1
    with pytest.raises(AttributeError):
        opt.batch_axis = 0


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"ns_steps": 0}, ValueError, "ns_steps must be 1 or more"),
        ({"ns_steps": 5.0}, TypeError, "ns_steps must be an integer"),
        ({"eps": -1.0}, ValueError, "eps must be zero or positive"),
        ({"nesterov": 1}, TypeError, "nesterov must be True or False"),
        ({"adjust_lr_fn": "rms"}, ValueError, "adjust_lr_fn must be one of original, match_rms_adamw"),
        ({"decay": "l2"}, ValueError, "decay must be one of plain, spectral"),
        ({"beta": 1.0}, ValueError, "beta must lie"),
        ({"ns_coefficients": "cans"}, ValueError, "ns_coefficients must be one of jordan, quintic, polar-express"),
        ({"ns_coefficients": (1.0, 2.0)}, ValueError, "three numbers"),
        ({"ns_coefficients": [(1.0, 2.0)]}, ValueError, r"ns_coefficients\[0\] must have three numbers"),
        ({"ns_coefficients": ("1", 2.0, 3.0)}, TypeError, r"ns_coefficients\[0\] must be a real number"),
        ({"ns_coefficients": [(1.0, 2.0, np.nan)]}, ValueError, r"ns_coefficients\[0\]\[2\] must be finite"),
        ({"ns_coefficients": 3.0}, TypeError, "ns_coefficients must be one of 'jordan'"),
        ({"ns_coefficients": []}, ValueError, "three numbers"),
        ({"ns_coefficients": [(1.0, 0.0, 0.0)] * 4}, ValueError, "coefficients for 4 steps, but ns_steps is 5"),
        ({"ns_coefficients": "quintic", "ns_steps": 6}, ValueError, "the preset 'quintic' has coefficients for 5"),
    ],
)
def test_bad_hyperparameters(options, error, words):
    with pytest.raises(error, match=words):
        signopt.Muon([MATRIX.copy()], **options)
    with pytest.raises(error, match=words):
        signopt.muon(MATRIX, MATRIX, MATRIX, **options)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_the_pure_functions_name_what_is_no_matrix(shape):
    one = np.ones(shape)
    with pytest.raises(ValueError, match=r"param has shape .*no matrix"):
        signopt.muon(one, one, one)
    for function in (signopt.msign, signopt.spectral_decay):
        with pytest.raises(ValueError, match=r"matrix has shape .*no matrix"):
            function(one)
        with pytest.raises(ValueError, match="method must be one of"):
            function(MATRIX, method="qr")
        with pytest.raises(TypeError, match="int64"):
            function(np.ones((2, 2), np.int64))


def test_too_few_triples_for_new_steps_touch_nothing():
    param, grad = np.ones((2, 3)), np.ones((2, 3))
    opt = signopt.Muon([param], ns_coefficients="polar-express")
    opt.ns_steps = 7
    with pytest.raises(ValueError, match="'polar-express' has coefficients for 5 steps, but ns_steps is 7"):
        opt.step([grad])
    assert_same_bits(param, np.ones((2, 3)))
    assert not opt.momentum["0"].any()
    assert opt.step_count == 0


def test_a_wrong_gradient_touches_no_matrix():
    params = [np.ones((2, 3)), np.ones((4, 2))]
    opt = signopt.Muon(params)
    with pytest.raises(ValueError, match="shape"):
        opt.step([np.ones((2, 3)), np.ones((2, 4))])
    for param in params:
        assert_same_bits(param, np.ones_like(param))


@pytest.mark.parametrize("backend", ["numpy", "portable"])
def test_no_memory_no_step(monkeypatch, backend):
    def refuse(*_args, **_options):
        raise MemoryError

    place = {"numpy": "signopt.backends._numpy_muon.Room", "portable": "signopt.rules.newton_schulz.matmul"}[backend]
    monkeypatch.setattr(place, refuse)
    params = [np.ones((2, 3)), np.ones((40, 20))]
    opt = signopt.Muon(params, backend=backend)
    with pytest.raises(MemoryError):
        opt.step([np.ones((2, 3)), np.ones((40, 20))])
    for name, param in opt.params.items():
        assert_same_bits(param, np.ones_like(param))
        assert not opt.momentum[name].any()


def test_a_state_continues_where_it_was(tmp_path):
    rng = np.random.default_rng(0)
    grads = [{"w": rng.standard_normal((4, 6)).astype(np.float32)} for _ in range(4)]
    options = {"lr": 0.1, "ns_coefficients": "quintic", "adjust_lr_fn": "match_rms_adamw", "decay": "spectral"}
    whole = {"w": np.ones((4, 6), np.float32)}
    opt = signopt.Muon(whole, **options)
    for grad in grads:
        opt.step(grad)
    half = {"w": np.ones((4, 6), np.float32)}
    opt = signopt.Muon(half, **options)
    for grad in grads[:2]:
        opt.step(grad)
    signopt.save(opt, tmp_path / "muon.safetensors")
    other = signopt.Muon(half)
    signopt.load(other, tmp_path / "muon.safetensors")
    assert other.ns_coefficients == "quintic"
    assert (other.decay, other.adjust_lr_fn, other.step_count) == ("spectral", "match_rms_adamw", 2)
    for grad in grads[2:]:
        other.step(grad)
    assert_same_bits(half["w"], whole["w"])


def test_triples_survive_a_state(tmp_path):
    opt = signopt.Muon([MATRIX.copy()], ns_coefficients=[[1.5, -0.5, 0.0]] * 5)
    signopt.save(opt, tmp_path / "muon.safetensors")
    other = signopt.Muon([MATRIX.copy()])
    signopt.load(other, tmp_path / "muon.safetensors")
    assert other.ns_coefficients == ((1.5, -0.5, 0.0),) * 5


def test_a_schedule_multiplies_the_rate():
    grad = np.random.default_rng(0).standard_normal((3, 4))
    steps = []
    for options in ({"lr": 0.5, "schedule": {0: 0.5, 1: 0.5}}, {"lr": 0.25}):
        param = np.zeros((3, 4))
        signopt.Muon([param], **options).step([grad])
        steps.append(param)
    assert_same_bits(steps[0], steps[1])


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_torch_tensors_share_their_memory(dtype):
    torch = importlib.import_module("torch")
    rng = np.random.default_rng(0)
    start, grad = (torch.from_numpy(rng.standard_normal((40, 50))).to(getattr(torch, dtype)) for _ in range(2))
    param = start.clone()
    opt = signopt.Muon({"w": param}, lr=0.5)
    opt.step({"w": grad})
    wanted = signopt.muon(start, grad, torch.zeros_like(start), lr=0.5)
    assert opt.backend != "portable"
    assert torch.equal(opt.momentum["w"], wanted[1])
    assert (param - wanted[0]).abs().max() <= 4 * torch.finfo(param.dtype).eps
    assert not torch.equal(param, start)


def test_arrays_of_the_standard_are_updated():
    strict = importlib.import_module("array_api_strict")
    param = strict.asarray(np.eye(3))
    opt = signopt.Muon({"w": param}, lr=0.5)
    opt.step({"w": strict.asarray(np.eye(3))})
    assert opt.backend == "portable"
    np.testing.assert_allclose(np.asarray(param), signopt.muon(np.eye(3), np.eye(3), np.zeros((3, 3)), lr=0.5)[0])
