"""rounding= on the optimizers: the same bits on every library, resumed exactly; a warning if nothing would move."""

import copy
import pickle
import warnings

import ml_dtypes
import numpy as np
import pytest
import torch

import signopt
from signopt.rounding import join, split, stochastic_bfloat16, stochastic_float16
from tests.bits import assert_same_bits

BFLOAT16 = ml_dtypes.bfloat16
DTYPES = {"bfloat16": BFLOAT16, "float16": np.float16, "float32": np.float32}
OPTIMIZERS = {"lion": signopt.Lion, "signum": signopt.Signum, "tiger": signopt.Tiger}
SHAPES = {"b": (300,), "a": (40, 31), "c": ()}


def weights(dtype, seed=0):
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.standard_normal(shape)).astype(dtype) for name, shape in SHAPES.items()}


def as_torch(arrays):
    return {
        name: torch.from_numpy(a.view(np.int16)).view(torch.bfloat16) if a.dtype == BFLOAT16 else torch.from_numpy(a)
        for name, a in arrays.items()
    }


def options(rule, **more):
    return more | ({"accumulation_steps": 2, "roles": {"b": "bias"}} if rule == "tiger" else {})


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_stochastic_steps_are_the_rule_and_the_rounding(dtype):
    params = weights(DTYPES[dtype])
    wide = {name: p.astype(np.float32) for name, p in params.items()}
    momenta = {name: np.zeros_like(p) for name, p in params.items()}
    opt = signopt.Lion(params, rounding="stochastic", seed=5, backend="numpy")
    by_words = stochastic_bfloat16 if dtype == "bfloat16" else stochastic_float16
    for step in range(3):
        grads = weights(DTYPES[dtype], seed=10 + step)
        opt.step(grads)
        for tensor, name in enumerate(sorted(params)):
            new, momenta[name] = signopt.lion(wide[name], grads[name].astype(np.float32), momenta[name])
            rounded = by_words(new, seed=5, step=step, tensor=tensor)
            wide[name] = rounded.astype(np.float32)
            assert_same_bits(params[name], rounded)
            assert_same_bits(opt.momentum[name], momenta[name])


@pytest.mark.parametrize("rule", ["lion", "signum", pytest.param("tiger", marks=pytest.mark.thorough)])
def test_split_training_is_float32_training(rule):
    high = {}
    master = weights(np.float32)
    rests = {}
    for name, p in master.items():
        high[name], rests[name] = split(p)
    opt = OPTIMIZERS[rule](high, **options(rule, rounding="split", momentum_dtype="float32"))
    for name, rest in rests.items():
        opt.rests[name][...] = rest
    plain = OPTIMIZERS[rule](master, **options(rule))
    for step in range(20):
        grads = weights(BFLOAT16, seed=10 + step)
        opt.step(grads)
        plain.step({name: g.astype(np.float32) for name, g in grads.items()})
    for name, p in master.items():
        assert_same_bits(join(high[name], opt.rests[name]), p)


@pytest.mark.parametrize("mode", ["stochastic", "split"])
@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.one_in(4)
def test_torch_and_every_backend_have_the_same_bits(rule, mode):
    results = {}
    for backend in ("portable", "numpy", "numba", "torch", "torch portable"):
        params = weights(BFLOAT16)
        is_torch = backend.startswith("torch")
        chosen = backend.split()[-1].replace("torch", "auto")
        opt = OPTIMIZERS[rule](
            as_torch(params) if is_torch else params, **options(rule, rounding=mode, seed=3, backend=chosen)
        )
        for step in range(4):
            grads = weights(BFLOAT16, seed=10 + step)
            opt.step(as_torch(grads) if is_torch else grads)
        results[backend] = params | {f"rest {name}": np.asarray(rest) for name, rest in opt.rests.items()}
    for backend, arrays in results.items():
        for name, array in arrays.items():
            assert_same_bits(array, results["portable"][name])
            assert backend


@pytest.mark.parametrize(
    ("interruptions", "compiled"),
    [
        (15, ["lion"]),
        pytest.param(40, ["lion"], marks=pytest.mark.thorough),
        pytest.param(200, list(OPTIMIZERS), marks=pytest.mark.slow),
    ],
    ids=["few", "some", "many"],
)
def test_a_run_goes_on_after_any_interruption_as_if_nothing_had_happened(tmp_path, interruptions, compiled):
    """The rules that Numba compiles here; it takes ten seconds for each pair of dtypes and mode of Tiger."""
    rng = np.random.default_rng(0)
    for number in range(interruptions):
        rule = rng.choice([*OPTIMIZERS, "muon"])
        dtype = DTYPES[rng.choice(list(DTYPES))]
        mode = rng.choice(["nearest", "stochastic", "split"] if dtype != np.float16 else ["nearest", "stochastic"])
        backends = ["portable", "numpy", "numba"] if rule in compiled else ["portable", "numpy"]
        first, second = (str(backend) for backend in rng.choice(backends, 2))
        second = first if rule == "muon" else second  # the order of its products is the backend's
        make = OPTIMIZERS.get(rule, signopt.Muon)
        steps, stop = 4, int(rng.integers(1, 4))
        momentum_dtype = rng.choice([None, "float32"])
        kwargs = options(rule, lr=0.01, rounding=str(mode), momentum_dtype=momentum_dtype)

        def tensors(seed=0, dtype=dtype, names=("a",) if rule == "muon" else tuple(SHAPES)):
            return {name: array for name, array in weights(dtype, seed).items() if name in names}

        def run(opt, steps, tensors=tensors):
            for step in steps:
                opt.step(tensors(100 + step))

        straight = make(tensors(), seed=number, backend=first, **kwargs)
        run(straight, range(steps))
        begun = make(tensors(), seed=number, backend=first, **kwargs)
        run(begun, range(stop))
        signopt.save(begun, tmp_path / "state")
        resumed = make({n: p.copy() for n, p in begun.params.items()}, backend=second, **kwargs)
        signopt.load(resumed, tmp_path / "state")
        run(resumed, range(stop, steps))
        for name, param in straight.params.items():
            assert_same_bits(resumed.params[name], param)
            assert_same_bits(resumed.momentum[name], straight.momentum[name])
        for name, rest in straight.rests.items():
            np.testing.assert_array_equal(resumed.rests[name], rest)


@pytest.mark.parametrize("mode", ["stochastic", "split"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))])
def test_a_copy_goes_on_alike(copied, mode):
    opt = signopt.Lion(weights(BFLOAT16), rounding=mode, seed=9)
    opt.step(weights(BFLOAT16, seed=1))
    other = copied(opt)
    for one in (opt, other):
        one.step(weights(BFLOAT16, seed=2))
    for name, param in opt.params.items():
        assert_same_bits(other.params[name], param)
        assert not np.shares_memory(other.params[name], param)
    assert (other.rounding, other.seed) == (mode, 9)


def test_low_halves_are_not_lost_silently():
    state = signopt.Lion(weights(BFLOAT16), rounding="split").state_dict()
    with pytest.raises(ValueError, match="rounding='split'"):
        signopt.Lion(weights(BFLOAT16), rounding="stochastic").load_state_dict(state)
    opt = signopt.Lion(weights(BFLOAT16), rounding="split")
    opt.rests["a"][...] = 7
    state["rests"]["a"] = state["rests"]["a"].astype(np.int32)
    with pytest.raises(TypeError, match="int16"):
        opt.load_state_dict(state)
    assert (opt.rests["a"] == 7).all()


def test_a_state_of_another_mode_is_the_parameters_as_they_are():
    opt = signopt.Lion(weights(BFLOAT16), rounding="split")
    opt.rests["a"][...] = 7
    opt.load_state_dict(signopt.Lion(weights(BFLOAT16), rounding="stochastic").state_dict())
    assert (opt.rests["a"] == 0).all()


def test_numbers_follow_the_sorted_names():
    one = {"b": np.ones(64, BFLOAT16), "a": np.ones(64, BFLOAT16)}
    other = {"a": np.ones(64, BFLOAT16), "b": np.ones(64, BFLOAT16)}
    for params in (one, other):
        signopt.Lion(params, rounding="stochastic").step({name: np.ones(64, BFLOAT16) for name in params})
    for name in one:
        assert_same_bits(one[name], other[name])
    assert (one["a"] != one["b"]).any()


def test_what_is_no_mode_or_seed_is_refused():
    with pytest.raises(ValueError, match="nearest, stochastic, split"):
        signopt.Lion(weights(BFLOAT16), rounding="up")
    with pytest.raises(TypeError, match="float16"):
        signopt.Lion(weights(np.float16), rounding="split")
    with pytest.raises(ValueError, match="seed"):
        signopt.Lion(weights(BFLOAT16), rounding="stochastic", seed=-1)


@pytest.mark.filterwarnings("ignore:lr=:UserWarning")
@pytest.mark.parametrize("mode", ["nearest", "stochastic", "split"])
@pytest.mark.parametrize("rule", [*OPTIMIZERS, "muon"])
def test_every_backend_finds_the_same_elements_frozen(rule, mode):
    def share(params, backend):
        make = OPTIMIZERS.get(rule, signopt.Muon)
        return make(params, **options(rule, lr=1e-4, rounding=mode, backend=backend)).frozen()

    some = {name: array for name, array in weights(BFLOAT16).items() if rule != "muon" or array.ndim == 2}
    backends = ("portable", "numpy") if rule == "muon" else ("portable", "numpy", "numba")
    shares = {share(some, backend) for backend in backends} | {share(as_torch(some), "auto")}
    assert len(shares) == 1
    assert (shares.pop() > 0.1) == (mode == "nearest")


@pytest.mark.parametrize(("dtype", "edge"), [(BFLOAT16, 2.0**-5), (np.float16, 2.0**-2)])
def test_above_an_edge_all_is_frozen(dtype, edge):
    still, moving = np.full(50, 1.5 * edge, dtype), np.full(50, 0.5 * edge, dtype)
    with pytest.warns(UserWarning, match="all of 'still'"):
        opt = signopt.Lion({"still": still, "moving": moving}, lr=1e-4)
    assert (opt.frozen(), opt.frozen("still"), opt.frozen("moving")) == (0.5, 1.0, 0.0)
    for _ in range(5):
        opt.step({"still": np.ones(50, dtype), "moving": np.ones(50, dtype)})
    assert (still == dtype(1.5 * edge)).all()
    assert (moving != dtype(0.5 * edge)).all()


@pytest.mark.parametrize("mode", ["stochastic", "split"])
def test_the_other_modes_move_and_do_not_warn(mode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt = signopt.Lion({"w": np.ones(50, BFLOAT16)}, lr=1e-4, rounding=mode)
        assert opt.frozen() == 0.0
        opt.lr = 1e-9
        assert opt.frozen() == 1.0


@pytest.mark.parametrize("lr", [0.0, 0.1])
def test_no_warning_where_none_is_due(lr):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        signopt.Lion({"w": np.ones(50, BFLOAT16)}, lr=lr)
        signopt.Tiger({"w": np.ones(50, BFLOAT16)}, lr=lr, schedule={1000: 1.0})


def test_frozen_tiger_depends_on_its_rms():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt = signopt.Tiger({"w": np.array([1.0, 1e-3, 1e-3, 1e-3], BFLOAT16)}, lr=1e-3, weight_decay=0.0)
    assert opt.frozen() == 0.25
    with pytest.raises(KeyError, match="no parameter"):
        opt.frozen("v")


def test_a_shard_is_not_rounded_as_if_it_were_a_whole():
    opt = signopt.Tiger({"w": np.ones((4, 4), BFLOAT16)}, rounding="stochastic")
    grad = np.ones((4, 4), BFLOAT16)
    facts = {"w": signopt.tiger_facts(opt.params["w"], grad)}
    with pytest.raises(ValueError, match="offset"):
        opt.step({"w": grad}, facts=facts)
    assert (opt.params["w"] == 1).all()
