"""Every bad input to a pure function is an error that names the culprit."""

import importlib
import math

import numpy as np
import pytest

import signopt

ONE = np.ones(3)
RULES = {"lion": signopt.lion, "signum": signopt.signum, "tiger": signopt.tiger}
NUMBERS = {"a string": "1", "None": None, "a bool": True, "a complex number": 1j, "a list": [1.0]}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["lr", "weight_decay"])
@pytest.mark.parametrize("value", [-1e-9, math.inf, -math.inf, math.nan])
def test_rates_are_finite_and_not_negative(rule, name, value):
    with pytest.raises(ValueError, match=name):
        RULES[rule](ONE, ONE, ONE, **{name: value})


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS)
def test_rates_are_numbers(rule, value):
    with pytest.raises(TypeError, match="lr must be a real number"):
        RULES[rule](ONE, ONE, ONE, lr=value)


@pytest.mark.parametrize("value", [1.0, 1.5, -0.1, math.nan, math.inf])
def test_betas_lie_in_their_interval(value):
    for betas in ((value, 0.5), (0.5, value)):
        with pytest.raises(ValueError, match="betas"):
            signopt.lion(ONE, ONE, ONE, betas=betas)
    for rule in (signopt.signum, signopt.tiger):
        with pytest.raises(ValueError, match="beta"):
            rule(ONE, ONE, ONE, beta=value)


@pytest.mark.parametrize("value", [0.9, (0.9,), (0.9, 0.99, 0.999), "ab", {0.9: 1, 0.99: 2}])
def test_betas_are_a_pair(value):
    with pytest.raises(TypeError, match="pair"):
        signopt.lion(ONE, ONE, ONE, betas=value)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"step": -1}, ValueError, "step counts"),
        ({"step": 1.0}, TypeError, "step must be an integer"),
        ({"step": True}, TypeError, "step must be an integer"),
        ({"accumulation_steps": 0}, ValueError, "accumulation_steps must be 1 or more"),
        ({"accumulation_steps": 2.0}, TypeError, "accumulation_steps must be an integer"),
        ({"shrink": 1.5}, ValueError, r"shrink must lie in \[0, 1\]"),
        ({"shrink": -0.1}, ValueError, r"shrink must lie in \[0, 1\]"),
        ({"role": "kernel"}, ValueError, "role must be one of matrix, embedding, bias, scale"),
        ({"role": None}, ValueError, "role must be one of"),
        ({"role": []}, ValueError, "role must be one of"),
        ({"schedule": {}}, ValueError, "empty"),
        ({"schedule": {-1: 1.0}}, ValueError, "key of schedule"),
        ({"schedule": {0.5: 1.0}}, TypeError, "key of schedule"),
        ({"schedule": {0: math.nan}}, ValueError, r"schedule\[0\]"),
        ({"schedule": {0: -1.0}}, ValueError, r"schedule\[0\]"),
        ({"schedule": [1.0]}, TypeError, "schedule must be"),
        ({"schedule": "cosine"}, TypeError, "schedule must be"),
        ({"schedule": lambda step: -1.0}, ValueError, r"schedule\(0\)"),
        ({"schedule": lambda step: "x"}, TypeError, r"schedule\(0\)"),
    ],
)
def test_tigers_options(options, error, words):
    with pytest.raises(error, match=words):
        signopt.tiger(ONE, ONE, ONE, **options)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "complex128", "complex64", "U1", "O", ">f4"])
def test_only_real_floats(rule, position, dtype):
    arrays = [ONE, ONE, ONE]
    arrays[position] = np.ones(3, dtype)
    with pytest.raises(TypeError, match=("param", "gradient", "momentum")[position]):
        RULES[rule](*arrays)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("position", "what"), [(1, "gradient"), (2, "momentum")])
def test_shapes_are_not_broadcast(rule, position, what):
    for shape in ((), (1,), (4,), (3, 1), (1, 3)):
        arrays = [ONE, ONE, ONE]
        arrays[position] = np.ones(shape)
        with pytest.raises(ValueError, match=rf"the {what} of param has shape"):
            RULES[rule](*arrays)


@pytest.mark.parametrize("rule", RULES)
def test_dtypes_are_not_mixed(rule):
    narrow = ONE.astype(np.float32)
    with pytest.raises(TypeError, match="the gradient of param has dtype float64"):
        RULES[rule](narrow, ONE, narrow)
    with pytest.raises(TypeError, match=r"the momentum of param has dtype float64.*in float32; store the momentum in"):
        RULES[rule](narrow, narrow, ONE)


@pytest.mark.parametrize("rule", RULES)
def test_libraries_are_not_mixed(rule):
    torch, jax = importlib.import_module("torch"), importlib.import_module("jax")
    with pytest.raises(TypeError, match=r"the gradient of param is a torch\.Tensor and param is a numpy\.ndarray"):
        RULES[rule](ONE, torch.ones(3), ONE)
    for other in (torch.ones(3, dtype=torch.float64), jax.numpy.ones(3)):
        with pytest.raises(TypeError, match="convert them to one array library"):
            RULES[rule](ONE, other, ONE)
        with pytest.raises(TypeError, match="convert them to one array library"):
            RULES[rule](ONE, ONE, other)


def test_devices_are_not_mixed():
    torch = importlib.import_module("torch")
    here, there = torch.ones(3), torch.ones(3, device="meta")
    with pytest.raises(ValueError, match="the gradient of param is on device meta, but param is on cpu"):
        signopt.lion(here, there, here)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "junk", [None, "array", [1.0, 2.0], object(), 3, {"a": 1}], ids=lambda junk: type(junk).__name__
)
def test_arrays_are_arrays(rule, junk):
    for position in range(3):
        arrays = [ONE, ONE, ONE]
        arrays[position] = junk
        with pytest.raises(TypeError, match=("param", "gradient", "momentum")[position]):
            RULES[rule](*arrays)


@pytest.mark.parametrize("rule", RULES)
def test_everything_after_the_arrays_is_keyword_only(rule):
    with pytest.raises(TypeError, match="positional"):
        RULES[rule](ONE, ONE, ONE, 1e-3)


@pytest.mark.parametrize("rule", RULES)
def test_zero_is_a_legal_hyperparameter(rule):
    beta = {"betas": (0.0, 0.0)} if rule == "lion" else {"beta": 0.0}
    param, momentum = RULES[rule](ONE, 2 * ONE, ONE, lr=0.0, weight_decay=0.0, **beta)
    assert param.tolist() == [1.0, 1.0, 1.0]
    assert momentum.tolist() == [2.0, 2.0, 2.0]


def test_an_unsupported_dtype_is_answered_with_those_that_are():
    with pytest.raises(TypeError, match=r"dtype int64; supported are float64, float32, float16, bfloat16$"):
        signopt.lion(np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(2, np.int64))
