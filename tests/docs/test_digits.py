"""The training example learns to read digits with every optimizer."""

import importlib.util
from pathlib import Path

import pytest

from tests.thin import keeping

SCRIPT = Path(__file__).parents[2] / "docs" / "digits" / "train.py"
spec = importlib.util.spec_from_file_location("digits_train", SCRIPT)
digits = importlib.util.module_from_spec(spec)
spec.loader.exec_module(digits)


@pytest.mark.parametrize("name", keeping(digits.OPTIMIZERS, ["Lion", "Muon + Lion"]))
@pytest.mark.one_in(4)
def test_more_than_95_percent_of_unseen_digits_are_read(name):
    losses, accuracy = digits.train(name)
    assert accuracy > 0.95
    assert losses[-1] < losses[0] / 20


def test_the_gradients_are_those_of_the_loss():
    import numpy as np

    images, labels, *_ = digits.data()
    params = {name: param.astype(np.float64) for name, param in digits.network().items()}
    images, labels = images[:16].astype(np.float64), labels[:16]
    _, grads = digits.loss_and_gradients(params, images, labels)
    for name, param in params.items():
        index = np.unravel_index(np.abs(grads[name]).argmax(), param.shape)
        value, step = param[index], 1e-6
        sides = []
        for side in (step, -step):
            param[index] = value + side
            sides.append(digits.loss_and_gradients(params, images, labels)[0])
        param[index] = value
        assert abs((sides[0] - sides[1]) / (2 * step) - grads[name][index]) < 1e-6 * abs(grads[name][index]) + 1e-9


def test_spectral_decay_lowers_the_largest_singular_value_and_spares_the_small_ones():
    free, plain, spectral = (digits.singular_values(name, epochs=10)[0][-1] for name in digits.DECAYS)
    assert plain[0] < spectral[0] < free[0]
    middle = len(free) // 2
    assert abs(spectral[middle] / free[middle] - 1) < abs(plain[middle] / free[middle] - 1)
    assert plain[middle] < 0.9 * free[middle]
