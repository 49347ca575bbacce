"""States of optax.lion: the run goes on in either library as if it had never left the other."""

import numpy as np
import pytest

import signopt
from signopt.states import from_optax, to_optax
from tests.bits import assert_same_bits
from tests.states.runs import LION, SHAPES, grads, noise, params

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

F32 = np.float32


def theirs_of(rate=LION["lr"]):
    return optax.lion(rate, b1=0.5, b2=0.75, weight_decay=0.5)


def injected():
    return optax.inject_hyperparams(optax.lion)(learning_rate=0.25, b1=0.5, b2=0.75, weight_decay=0.5)


def on_jax(arrays):
    return {name: jax.numpy.asarray(array) for name, array in arrays.items()}


def step(theirs, weights, state, gradients):
    updates, state = theirs.update(on_jax(gradients), state, weights)
    return optax.apply_updates(weights, updates), state


KINDS = {
    "plain": theirs_of,
    "injected": injected,
    "scheduled": lambda: theirs_of(optax.constant_schedule(0.25)),
    "in a chain": lambda: optax.chain(optax.clip(100.0), theirs_of()),
    "in a partition": lambda: optax.multi_transform({"all": theirs_of()}, dict.fromkeys(SHAPES, "all")),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


@every_kind
def test_our_lion_goes_on_where_theirs_stopped(make):
    theirs, weights = make(), on_jax(params(F32))
    state = theirs.init(weights)
    for t in range(3):
        weights, state = step(theirs, weights, state, grads(t, F32))
    ours = signopt.Lion({name: np.array(weight) for name, weight in weights.items()}, **LION)
    ours.load_state_dict(from_optax(ours, state))
    assert ours.step_count == 3
    for t in range(3, 7):
        ours.step(grads(t, F32))
        weights, state = step(theirs, weights, state, grads(t, F32))
        for name in SHAPES:
            assert_same_bits(ours.params[name], np.asarray(weights[name]))


@every_kind
def test_their_lion_goes_on_where_ours_stopped(make):
    ours, theirs = signopt.Lion(params(F32), **LION), make()
    for t in range(3):
        ours.step(grads(t, F32))
    weights = on_jax({name: param.copy() for name, param in ours.params.items()})
    fresh = theirs.init(weights)
    state = to_optax(ours, fresh)
    assert jax.tree.structure(state) == jax.tree.structure(fresh)
    assert {int(leaf) for leaf in jax.tree.leaves(state) if leaf.dtype == np.int32} == {3}
    for t in range(3, 7):
        ours.step(grads(t, F32))
        weights, state = step(theirs, weights, state, grads(t, F32))
        for name in SHAPES:
            assert_same_bits(ours.params[name], np.asarray(weights[name]))


def test_injected_hyperparameters_are_exchanged():
    state = injected().init(on_jax(params(F32)))
    ours = signopt.Lion(params(F32))
    ours.load_state_dict(from_optax(ours, state))
    assert (ours.lr, ours.betas, ours.weight_decay) == tuple(LION.values())
    ours.lr, ours.betas = 0.125, (0.25, 0.5)
    theirs = to_optax(ours, state).hyperparams
    assert {name: float(value) for name, value in theirs.items()} == {
        "learning_rate": 0.125,
        "b1": 0.25,
        "b2": 0.5,
        "weight_decay": 0.5,
    }


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_bits_come_back(dtype):
    pytest.importorskip("ml_dtypes")
    ours = signopt.Lion({name: np.ones(shape, dtype) for name, shape in SHAPES.items()})
    ours.step(noise(0, dtype))
    back = signopt.Lion({name: np.ones(shape, dtype) for name, shape in SHAPES.items()})
    state = to_optax(ours, theirs_of().init(on_jax(ours.params)))
    back.load_state_dict(from_optax(back, state))
    for name in SHAPES:
        assert_same_bits(back.momentum[name], ours.momentum[name])


def test_names_are_the_places_in_the_tree():
    tree = {"dense": {"kernel": jax.numpy.ones(2), "bias": jax.numpy.ones(3)}, "out": [jax.numpy.ones(4)]}
    own = {"out/0": np.ones(4, F32), "dense/kernel": np.ones(2, F32), "dense/bias": np.ones(3, F32)}
    ours = signopt.Lion(own)
    ours.load_state_dict(from_optax(ours, theirs_of().init(tree)))
    with pytest.raises(ValueError, match="names dense/bias, dense/kernel, out/0 are not those of the optimizer: 0"):
        from_optax(signopt.Lion(list(own.values())), theirs_of().init(tree))
    listed = signopt.Lion(list(own.values()))
    listed.load_state_dict(from_optax(listed, theirs_of().init(tree), names=["2", "1", "0"]))


def test_what_is_not_lion_is_refused():
    weights = on_jax(params(F32))
    ours = signopt.Lion(params(F32))
    for other in (optax.adam(0.1), optax.sgd(0.1), optax.chain(theirs_of(), theirs_of())):
        for exchange in (from_optax, to_optax):
            with pytest.raises(ValueError, match="parts with the momentum of a Lion"):
                exchange(ours, other.init(weights))
    muon = optax.contrib.muon(0.1).init({"w": jax.numpy.ones((2, 2))})
    for exchange in (from_optax, to_optax):
        with pytest.raises(ValueError, match=r"state is of optax\.contrib\.muon"):
            exchange(signopt.Lion({"w": np.ones((2, 2), F32)}), muon)
    with pytest.raises(TypeError, match=r"that of a signopt\.Lion, got the rule 'signum'"):
        from_optax(signopt.Signum(params(F32)), theirs_of().init(weights))
    with pytest.raises(TypeError, match="JAX has no float64"):
        to_optax(signopt.Lion(params()), theirs_of().init(weights))
