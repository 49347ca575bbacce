"""A hyperparameter given as a 0-d array is the number that it holds."""

import importlib

import numpy as np
import pytest

import signopt
from tests.bits import assert_same_bits, random_triple

WRAPPERS = {
    "numpy": np.asarray,
    "torch": lambda value: importlib.import_module("torch").tensor(value),
    "jax": lambda value: importlib.import_module("jax").numpy.asarray(value),
    "mlx": lambda value: importlib.import_module("mlx.core").array(value),
    "dask": lambda value: importlib.import_module("dask.array").asarray(value),
    "array_api_strict": lambda value: importlib.import_module("array_api_strict").asarray(value),
}


@pytest.mark.parametrize("library", WRAPPERS)
def test_numbers_as_arrays_of_every_library(library):
    wrap = WRAPPERS[library]
    arrays = random_triple((5, 3), np.float32)
    lr, decay, beta = (np.float32(value) for value in (1e-3, 0.1, 0.9))
    given = {"lr": wrap(lr), "weight_decay": wrap(decay)}
    number = {"lr": float(lr), "weight_decay": float(decay)}
    for results, wanted in [
        (signopt.lion(*arrays, betas=(wrap(beta), 0.5), **given), signopt.lion(*arrays, betas=(beta, 0.5), **number)),
        (signopt.signum(*arrays, beta=wrap(beta), **given), signopt.signum(*arrays, beta=beta, **number)),
        (
            signopt.tiger(*arrays, step=wrap(np.int32(5)), accumulation_steps=wrap(np.int64(3)), **given),
            signopt.tiger(*arrays, step=5, accumulation_steps=3, **number),
        ),
    ]:
        for result, expected in zip(results, wanted, strict=True):
            assert_same_bits(result, expected)
    optimizer = signopt.Lion([arrays[0].copy()], **given)
    assert (optimizer.lr, optimizer.weight_decay) == (float(lr), float(decay))
    assert type(optimizer.lr) is float


@pytest.mark.parametrize(
    ("name", "value", "error", "words"),
    [
        ("lr", np.ones(1), TypeError, r"lr must be a real number or a 0-d array .* shape \(1,\)"),
        ("lr", np.asarray(True), TypeError, "lr must be"),
        ("lr", np.asarray(1j), TypeError, "lr must be"),
        ("lr", np.asarray("1"), TypeError, "lr must be"),
        ("lr", np.asarray(-1.0), ValueError, "zero or positive"),
        ("lr", np.asarray(np.nan), ValueError, "finite"),
        ("step", np.asarray(1.0), TypeError, "step must be an integer"),
        ("step", np.asarray(-1), ValueError, "from 0"),
        ("step", np.asarray(True), TypeError, "step must be"),
        ("step", np.ones(1, int), TypeError, "step must be an integer"),
    ],
)
def test_what_is_no_such_number_is_refused(name, value, error, words):
    with pytest.raises(error, match=words):
        signopt.tiger(*random_triple((3,), np.float32), **{name: value})
