"""The optimizers: the pure rule on every named array, in place, on all parameters or on none."""

import importlib
import itertools

import numpy as np
import pytest

import signopt
from signopt.backends import BACKENDS
from signopt.roles import role_of
from tests.bits import DTYPES, assert_same_bits, random_triple

OPTIMIZERS = {"lion": signopt.Lion, "signum": signopt.Signum, "tiger": signopt.Tiger}
COMPILED = ("auto", "numba")
SHAPES = {
    "dense/kernel": (5, 4),
    "dense/bias": (4,),
    "norm/gamma": (4,),
    "tok/embeddings": (7, 3),
    "s": (),
    "e": (0, 2),
}


def make(dtype=np.float32, seed=0):
    """Named parameters and six steps of gradients."""
    params = {name: random_triple(shape, dtype, seed)[0] for name, shape in SHAPES.items()}
    grads = [{name: random_triple(shape, dtype, seed + t)[1] for name, shape in SHAPES.items()} for t in range(6)]
    return params, grads


def snapshot(opt):
    return {(what, name): array.copy() for what in ("params", "momentum") for name, array in getattr(opt, what).items()}


def assert_unchanged(opt, before):
    for (what, name), array in before.items():
        assert_same_bits(getattr(opt, what)[name], array)


def pure(rule, step, name, options):
    if rule != "tiger":
        return lambda p, g, m: getattr(signopt, rule)(p, g, m, **options)
    return lambda p, g, m: signopt.tiger(p, g, m, step=step, role=role_of(name), **options)


OPTIONS = {
    "lion": {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.1},
    "signum": {"lr": 0.01, "beta": 0.8, "weight_decay": 0.1},
    "tiger": {"lr": 0.01, "accumulation_steps": 2, "schedule": {4: 1.0}},
}


@pytest.mark.parametrize(
    ("rule", "dtype", "backend"),
    [
        pytest.param(
            *case, marks=pytest.mark.thorough if case[:2] == ("tiger", np.float16) and case[2] in COMPILED else []
        )
        for case in itertools.product(OPTIONS, DTYPES, [name for name in BACKENDS if name != "cupy"])
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_steps_are_the_pure_rule(rule, dtype, backend):
    options = OPTIONS[rule]
    params, grads = make(dtype)
    opt = OPTIMIZERS[rule](params, **options, backend=backend)
    expected = {name: (param.copy(), np.zeros_like(param)) for name, param in params.items()}
    for step, grad in enumerate(grads):
        opt.step(grad)
        for name, (p, m) in expected.items():
            expected[name] = pure(rule, step, name, options)(p, grad[name], m)
            assert_same_bits(params[name], expected[name][0])
            assert_same_bits(opt.momentum[name], expected[name][1])
    assert opt.step_count == len(grads)


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_arrays_are_updated_where_they_are(rule):
    params, grads = make()
    views = dict(params)
    opt = OPTIMIZERS[rule](params)
    for _ in range(2):
        opt.step(grads[0])
    for name, view in views.items():
        assert opt.params[name] is view
    with pytest.raises(TypeError):
        opt.params["s"] = np.ones(())


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_a_sequence_is_named_by_position(rule):
    params, grads = make()
    named = OPTIMIZERS[rule](
        {k: v.copy() for k, v in params.items()}, **({"roles": ["bias"] * 6} if rule == "tiger" else {})
    )
    listed = OPTIMIZERS[rule](list(params.values()), **({"roles": ["bias"] * 6} if rule == "tiger" else {}))
    assert list(listed.params) == ["0", "1", "2", "3", "4", "5"]
    for grad in grads:
        named.step(grad)
        listed.step(list(grad.values()))
    for one, other in zip(named.params.values(), listed.params.values(), strict=True):
        assert_same_bits(one, other)


def test_strided_parameters_are_written_through():
    base = np.ones((4, 6), np.float32)
    opt = signopt.Lion([base[::2, ::3]], lr=0.5)
    opt.step([np.ones((2, 2), np.float32)])
    expected = np.ones((4, 6), np.float32)
    expected[::2, ::3] = 0.5
    assert_same_bits(base, expected)


def test_hyperparameters_change_between_steps():
    param = np.ones(1)
    opt = signopt.Lion([param], lr=0.5)
    opt.step([np.ones(1)])
    opt.lr, opt.betas, opt.weight_decay = 0.25, (0.0, 0.5), 1.0
    opt.step([-np.ones(1)])
    assert param.item() == 0.5 - 0.25 * (-1 + 0.5)
    assert opt.momentum["0"].item() == pytest.approx(0.5 * 0.01 - 0.5, abs=1e-15)


@pytest.mark.parametrize(
    ("rule", "name", "value", "error"),
    [
        ("lion", "lr", -1.0, ValueError),
        ("lion", "lr", "fast", TypeError),
        ("lion", "betas", (0.9, 1.0), ValueError),
        ("lion", "weight_decay", np.nan, ValueError),
        ("signum", "beta", 1.0, ValueError),
        ("tiger", "accumulation_steps", 0, ValueError),
        ("tiger", "shrink", 2.0, ValueError),
        ("tiger", "schedule", {}, ValueError),
    ],
)
def test_a_bad_hyperparameter_leaves_the_old_one(rule, name, value, error):
    opt = OPTIMIZERS[rule]([np.ones(2)])
    before = getattr(opt, name)
    with pytest.raises(error, match=name):
        setattr(opt, name, value)
    assert getattr(opt, name) == before
    with pytest.raises(error, match=name):
        OPTIMIZERS[rule]([np.ones(2)], **{name: value})


GOOD = {"w": np.ones((2, 3), np.float32), "b": np.ones(3, np.float32)}
BAD_GRADS = {
    "missing": ({"w": GOOD["w"]}, ValueError, "missing: 'b'"),
    "extra": ({**GOOD, "c": np.ones(1)}, ValueError, "not expected: 'c'"),
    "None": ({"w": GOOD["w"], "b": None}, TypeError, r"the gradient of params\['b'\] is None"),
    "short": ([GOOD["w"]], ValueError, "1 arrays for 2"),
    "no collection": (np.ones((2, 3)), TypeError, "grads must be"),
    "a generator": ((g for g in GOOD.values()), TypeError, "grads must be"),
    "shape": ({"w": np.ones((3, 2), np.float32), "b": GOOD["b"]}, ValueError, r"shape \(3, 2\)"),
    "broadcastable": ({"w": GOOD["w"], "b": np.ones(1, np.float32)}, ValueError, r"shape \(1,\)"),
    "dtype": ({"w": GOOD["w"], "b": np.ones(3)}, TypeError, "float64"),
    "integer": ({"w": GOOD["w"], "b": np.ones(3, int)}, TypeError, "int64"),
    "complex": ({"w": GOOD["w"], "b": np.ones(3, "c8")}, TypeError, "complex64"),
    "a list": ({"w": GOOD["w"], "b": [1.0, 1.0, 1.0]}, TypeError, "list"),
}


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize(("grads", "error", "words"), BAD_GRADS.values(), ids=BAD_GRADS)
def test_a_bad_gradient_updates_nothing(rule, grads, error, words):
    opt = OPTIMIZERS[rule]({name: param.copy() for name, param in GOOD.items()})
    opt.step(GOOD)
    before = snapshot(opt)
    with pytest.raises(error, match=words):
        opt.step(grads)
    assert_unchanged(opt, before)
    assert opt.step_count == 1


def test_gradients_of_another_library_are_refused():
    torch = importlib.import_module("torch")
    opt = signopt.Lion([np.ones(3, np.float32)])
    with pytest.raises(TypeError, match="one array library"):
        opt.step([torch.ones(3)])


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({}, ValueError, "empty"),
        ([], ValueError, "empty"),
        (np.ones((2, 2)), TypeError, "params must be"),
        ({0: np.ones(2)}, TypeError, "names of parameters must be strings"),
        ({"w": np.ones(2, int)}, TypeError, "int64"),
        ({"w": np.ones(2, complex)}, TypeError, "complex128"),
        ({"w": None}, TypeError, r"params\['w'\]"),
        ({"w": [1.0]}, TypeError, r"params\['w'\]"),
        ({"w": 1.0}, TypeError, "cannot be written"),
        ({"w": np.float32(1.0)}, TypeError, "cannot be written"),
        ({"w": np.broadcast_to(np.ones(1), 4)}, ValueError, "read-only"),
        (
            {"w": np.lib.stride_tricks.as_strided(np.ones(4), (3, 2), (8, 8), writeable=True)},
            ValueError,
            "several elements",
        ),
        (
            {"w": np.lib.stride_tricks.as_strided(np.ones(4), (3,), (0,), writeable=True)},
            ValueError,
            "several elements",
        ),
    ],
)
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_bad_parameters_are_refused(rule, params, error, words):
    with pytest.raises(error, match=words):
        OPTIMIZERS[rule](params)


@pytest.mark.parametrize("library", ["jax.numpy", "dask.array", "mlx.core"])
def test_immutable_arrays_are_sent_to_the_pure_function(library):
    ones = importlib.import_module(library).ones
    with pytest.raises(TypeError, match=r"use the pure function signopt\.lion"):
        signopt.Lion([ones(3)])
    with pytest.raises(ValueError, match=r"use the pure function signopt\.tiger"):
        signopt.Tiger([np.broadcast_to(np.ones(1), 4)])


def test_libraries_are_not_mixed():
    torch = importlib.import_module("torch")
    with pytest.raises(TypeError, match="one array library"):
        signopt.Lion([np.ones(3), torch.ones(3)])


def overlapping():
    base = np.ones(10)
    yield "the same array", base, base, True
    yield "a view", base[2:5], base[4:8], True
    yield "interleaved", base[::2], base[1::2], False
    yield "neighbours", base[:5], base[5:], False
    yield "crossing strides", base[::2], base[::3], True
    yield "a reversed view", base[:6][::-1], base[5:], True


@pytest.mark.parametrize(
    ("first", "second", "overlap"), [case[1:] for case in overlapping()], ids=[c[0] for c in overlapping()]
)
def test_overlapping_arrays_are_refused(first, second, overlap):
    if overlap:
        with pytest.raises(ValueError, match="overlap in memory"):
            signopt.Lion({"a": first, "b": second})
    else:
        signopt.Lion({"a": first, "b": second})
    grads = {"a": second if first.shape == second.shape else first, "b": np.zeros(second.shape)}
    opt = signopt.Lion({"a": first, "b": np.ones(second.shape)})
    if np.shares_memory(grads["a"], first):
        with pytest.raises(ValueError, match=r"grads\['a'\]"):
            opt.step(grads)
    else:
        opt.step(grads)


def test_torch_tensors_may_not_overlap_either():
    torch = importlib.import_module("torch")
    tied = torch.ones(4)
    for first, second in ((tied, tied), (tied[:3], tied[2:]), (tied.detach(), tied.view(2, 2))):
        with pytest.raises(ValueError, match="overlap in memory"):
            signopt.Lion({"a": first, "b": second})
    signopt.Lion({"a": tied[::2], "b": tied[1::2]})
    with pytest.raises(ValueError, match="several elements"):
        signopt.Lion({"a": torch.ones(1).expand(4)})
    opt = signopt.Lion({"a": tied})
    with pytest.raises(ValueError, match=r"grads\['a'\]"):
        opt.step({"a": tied})


def test_a_gradient_may_not_be_the_momentum():
    opt = signopt.Lion({"a": np.ones(3)})
    with pytest.raises(ValueError, match=r"overlap"):
        opt.step({"a": opt.momentum["a"]})


def test_gradients_may_share_memory_with_each_other():
    zero = np.broadcast_to(np.float64(1.0), 3)
    params = [np.ones(3), np.ones(3)]
    signopt.Lion(params, lr=0.5).step([zero, zero])
    assert params[1].tolist() == [0.5] * 3


def test_the_same_gradient_array_with_new_contents_is_read_again():
    param, grad = np.ones(2), np.array([1.0, -1.0])
    opt = signopt.Lion([param], lr=0.5, betas=(0.0, 0.0))
    opt.step([grad])
    grad[:] = -grad
    opt.step([grad])
    assert param.tolist() == [1.0, 1.0]


def test_zero_dimensional_gradients_may_be_scalars():
    param = np.ones(())
    signopt.Lion([param], lr=0.5).step([np.float64(2.0)])
    assert param.item() == 0.5


@pytest.mark.parametrize("momentum_dtype", ["float32", np.float32, np.dtype("float32")])
def test_momentum_may_have_a_dtype_of_its_own(momentum_dtype):
    param, grad, _ = random_triple((6,), np.float16)
    expected = signopt.lion(param, grad, np.zeros(6, np.float32))
    opt = signopt.Lion([param], momentum_dtype=momentum_dtype)
    opt.step([grad])
    assert_same_bits(param, expected[0])
    assert_same_bits(opt.momentum["0"], expected[1])


@pytest.mark.parametrize("momentum_dtype", ["float64", "int32", "complex64"])
def test_a_momentum_dtype_that_cannot_serve_is_refused(momentum_dtype):
    with pytest.raises(TypeError, match=r"the momentum of params\['0'\]"):
        signopt.Lion([np.ones(2, np.float32)], momentum_dtype=momentum_dtype)


@pytest.mark.parametrize("backend", ["cuda", "", None, 3])
def test_an_unknown_backend_is_refused(backend):
    with pytest.raises(ValueError, match="backend must be one of"):
        signopt.Lion([np.ones(2)], backend=backend)


def test_roles_are_read_from_names_or_given():
    params = {name: np.ones(2) for name in ("a/kernel", "a/bias", "a/gamma", "embeddings")}
    assert list(signopt.Tiger(params).roles.values()) == ["matrix", "bias", "scale", "embedding"]
    assert signopt.Tiger(params, roles={"a/kernel": "bias"}).roles["a/kernel"] == "bias"
    assert signopt.Tiger(params, roles={"a/kernel": "bias"}).roles["a/gamma"] == "scale"
    assert set(signopt.Tiger(list(params.values()), roles=["scale"] * 4).roles.values()) == {"scale"}


@pytest.mark.parametrize(
    ("roles", "error", "words"),
    [
        ({"w": "kernel"}, ValueError, "one of matrix"),
        ({"v": "bias"}, ValueError, "no such parameter: 'v'"),
        (["bias", "bias"], ValueError, "2 entries for 1"),
        ("bias", TypeError, "string"),
    ],
)
def test_bad_roles_are_refused(roles, error, words):
    with pytest.raises(error, match=words):
        signopt.Tiger({"w": np.ones(2)}, roles=roles)


def test_tiger_warns_once_about_what_will_never_move():
    embedding = np.ones((3, 2))
    embedding[1] = 0
    embedding[2, 0] = 0
    params = {
        "w": np.zeros((2, 2)),
        "almost": np.array([[0.0, 0.0], [0.0, 1e-300]]),
        "embeddings": embedding,
        "v": np.zeros(2),
        "bias": np.zeros(2),
        "e": np.zeros((0, 2)),
    }
    with pytest.warns(UserWarning, match="never moves them") as caught:
        opt = signopt.Tiger(params)
    opt_grads = {name: np.ones_like(param) for name, param in params.items()}
    opt.step(opt_grads)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "'w' (whole)" in message
    assert "'v' (whole)" in message
    assert "'embeddings' (1 of its rows)" in message
    for name in ("almost", "bias", "e"):
        assert f"'{name}'" not in message
    assert caught[0].filename == __file__


def test_a_nan_in_one_tensor_leaves_the_others_alone():
    params, grads = make(np.float64)
    alone, _ = make(np.float64)
    broken = {name: grad.copy() for name, grad in grads[0].items()}
    broken["dense/kernel"][0, 0] = np.nan
    opt, other = signopt.Tiger(params), signopt.Tiger(alone)
    opt.step(broken)
    other.step(grads[0])
    for name in params:
        if name != "dense/kernel":
            assert_same_bits(params[name], alone[name])
            assert_same_bits(opt.momentum[name], other.momentum[name])
    assert_same_bits(params["dense/kernel"], make(np.float64)[0]["dense/kernel"] * 0.99)
