"""States of keras.optimizers.Lion: the run goes on in either library as if it had never left the other."""

import os

import numpy as np
import pytest

import signopt
from signopt.states import from_keras, to_keras
from tests.bits import assert_same_bits
from tests.states.runs import LION, SHAPES, grads, noise, params

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras", reason="Keras is not installed: pip install keras jax")

F32 = np.float32


def variables(arrays):
    return [keras.Variable(array, name=name) for name, array in arrays.items()]


def made(those, **options):
    settings = {"learning_rate": 0.25, "beta_1": 0.5, "beta_2": 0.75, "weight_decay": 0.5, **options}
    theirs = keras.optimizers.Lion(**settings)
    theirs.build(those)
    return theirs


def step(theirs, those, gradients):
    theirs.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients.values()], those)


def values(those):
    return {
        name: np.array(keras.ops.convert_to_numpy(variable.value)) for name, variable in zip(SHAPES, those, strict=True)
    }


def assert_same(ours, those):
    for name, array in values(those).items():
        assert_same_bits(ours.params[name], array)


def test_our_lion_goes_on_where_theirs_stopped():
    those = variables(params(F32))
    theirs = made(those)
    for t in range(3):
        step(theirs, those, grads(t, F32))
    ours = signopt.Lion(values(those))
    ours.load_state_dict(from_keras(ours, theirs))
    assert (ours.lr, ours.betas, ours.weight_decay, ours.step_count) == (*LION.values(), 3)
    for t in range(3, 7):
        ours.step(grads(t, F32))
        step(theirs, those, grads(t, F32))
        assert_same(ours, those)


def test_their_lion_goes_on_where_ours_stopped():
    ours = signopt.Lion(params(F32), **LION)
    for t in range(3):
        ours.step(grads(t, F32))
    those = variables(ours.params)
    theirs = made(those, learning_rate=0.125)
    theirs.load_own_variables(to_keras(ours, theirs))
    assert int(theirs.iterations.value) == 3
    for t in range(3, 7):
        ours.step(grads(t, F32))
        step(theirs, those, grads(t, F32))
        assert_same(ours, those)


def test_bits_come_back():
    ours = signopt.Lion(params(F32), **LION)
    ours.step(noise(0, F32))
    theirs = made(variables(ours.params))
    theirs.load_own_variables(to_keras(ours, theirs))
    back = signopt.Lion(params(F32))
    back.load_state_dict(from_keras(back, theirs))
    for name in SHAPES:
        assert_same_bits(back.momentum[name], ours.momentum[name])


def test_a_schedule_stays_where_it_is():
    those = variables(params(F32))
    theirs = made(those, learning_rate=keras.optimizers.schedules.CosineDecay(0.25, 10))
    ours = signopt.Lion(params(F32), lr=0.5)
    ours.load_state_dict(from_keras(ours, theirs))
    assert ours.lr == 0.5
    assert sorted(to_keras(ours, theirs)) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    "options", [{"clipnorm": 1.0}, {"use_ema": True}, {"gradient_accumulation_steps": 2}, {"loss_scale_factor": 2.0}]
)
def test_what_does_more_than_lion_is_refused(options):
    theirs = made(variables(params(F32)), **options)
    with pytest.raises(ValueError, match=next(iter(options))):
        from_keras(signopt.Lion(params(F32)), theirs)


def test_what_does_not_fit_is_refused():
    ours = signopt.Lion(params(F32), lr=0.25, betas=(0.5, 0.75), weight_decay=0.25)
    theirs = made(variables(params(F32)))
    with pytest.raises(ValueError, match=r"are \(0\.5, 0\.75, 0\.5\), ours \(0\.5, 0\.75, 0\.25\)"):
        to_keras(ours, theirs)
    with pytest.raises(ValueError, match="build it"):
        from_keras(ours, keras.optimizers.Lion())
    with pytest.raises(ValueError, match="3 parameters, and there are 1 names"):
        from_keras(signopt.Lion([np.ones(2, F32)]), theirs)
    with pytest.raises(TypeError, match="got the rule 'signum'"):
        from_keras(signopt.Signum(params(F32)), theirs)
