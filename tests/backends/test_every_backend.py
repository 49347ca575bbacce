"""Every backend, the CPU's on NumPy arrays and CUDA's on CuPy arrays, against the pure rule."""

from __future__ import annotations

import itertools
from importlib.util import find_spec

import numpy as np
import pytest

import signopt
from signopt.roles import role_of
from tests.backends.cupy_device import needs_cupy, skip_without
from tests.bits import DTYPES, assert_same_bits, random_triple, special_triple

OPTIMIZERS = {"lion": signopt.Lion, "signum": signopt.Signum, "tiger": signopt.Tiger}
OPTIONS = {
    "lion": {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.1},
    "signum": {"lr": 0.01, "beta": 0.8, "weight_decay": 0.1},
    "tiger": {"lr": 0.01, "beta": 0.8, "weight_decay": 0.1, "accumulation_steps": 2},
}
BACKENDS = [
    "portable",
    "numpy",
    pytest.param("numba", marks=pytest.mark.skipif(find_spec("numba") is None, reason="Numba is not installed")),
    pytest.param("cupy", marks=needs_cupy),
]
SHAPES = {"kernel": (33, 7), "embeddings": (9, 12), "bias": (65,), "gamma": (3, 1), "scalar": (), "empty": (0, 4)}


def cases():
    for dtype, rule, backend in itertools.product(DTYPES, OPTIMIZERS, BACKENDS):
        name, marks = getattr(backend, "values", (backend,))[0], list(getattr(backend, "marks", ()))
        if (rule, dtype) == ("tiger", np.float16) and name in ("numba", "cupy"):  # seconds of compilation
            marks.append(pytest.mark.thorough)
        yield pytest.param(rule, dtype, name, marks=marks)


pytestmark = pytest.mark.parametrize(
    ("rule", "dtype", "backend"), list(cases()), ids=lambda value: getattr(value, "__name__", value)
)


def place(array, backend):
    """``array`` where ``backend`` works, in memory of its own."""
    if backend != "cupy":
        return array.copy()
    import cupy

    skip_without(array.dtype)
    return cupy.asarray(array)


def fetch(array):
    return array.get() if hasattr(array, "get") else array


def follow(rule, states, grads, step):
    """The pure rule on every (parameter, momentum)."""
    for name, (param, momentum) in states.items():
        options = {"role": role_of(name), "step": step} if rule == "tiger" else {}
        states[name] = getattr(signopt, rule)(param, grads[name], momentum, **OPTIONS[rule], **options)


@pytest.mark.one_in(4)
def test_steps_are_the_pure_rule(rule, dtype, backend):
    if (rule, dtype, backend) == ("tiger", np.float64, "cupy"):
        pytest.skip(
            "the RMS of float64 agrees within 1 ulp across backends, not in bits; test_cupy_bits has that bound"
        )
    params = {name: random_triple(shape, dtype, seed=i)[0] for i, (name, shape) in enumerate(SHAPES.items())}
    states = {name: (param, np.zeros_like(param)) for name, param in params.items()}
    opt = OPTIMIZERS[rule](
        {name: place(param, backend) for name, param in params.items()}, backend=backend, **OPTIONS[rule]
    )
    for step in range(4):
        grads = {name: random_triple(shape, dtype, seed=100 + step)[1] for name, shape in SHAPES.items()}
        opt.step({name: place(grad, backend) for name, grad in grads.items()})
        follow(rule, states, grads, step)
    for name, (param, momentum) in states.items():
        assert_same_bits(fetch(opt.params[name]), param)
        assert_same_bits(fetch(opt.momentum[name]), momentum)


def test_special_values(rule, dtype, backend):
    """Zeros, subnormals, huge and non-finite values; a bias, because an RMS over these would be NaN everywhere."""
    param, grad, momentum = special_triple(dtype)
    opt = OPTIMIZERS[rule]({"bias": place(param, backend)}, backend=backend, **OPTIONS[rule])
    opt.momentum["bias"][...] = place(momentum, backend)
    states = {"bias": (param, momentum)}
    for step in range(2):
        gradient = np.nan_to_num(grad) if step else grad
        opt.step({"bias": place(gradient, backend)})
        follow(rule, states, {"bias": gradient}, step)
    assert_same_bits(fetch(opt.params["bias"]), states["bias"][0])
    assert_same_bits(fetch(opt.momentum["bias"]), states["bias"][1])
