"""Stochastic rounding and split masters have the bits of signopt.rounding on every CPU backend."""

from dataclasses import replace

import numpy as np
import pytest

from signopt.backends._storage import Storage
from signopt.backends.numba import NumbaBackend
from signopt.backends.numpy import NumpyBackend
from signopt.backends.portable import PortableBackend
from signopt.roles import traits_of
from signopt.rounding import join, split, stochastic_bfloat16, stochastic_float16
from signopt.rules import UPDATES
from signopt.rules.coefficients import Draw
from tests.backends.cases import LAYOUTS, ROLES, STEPS, random_tensor, special_tensor
from tests.bits import assert_same_bits

MODES = [
    ("stochastic", "bf16"),
    ("stochastic", "bf16-f32"),
    ("stochastic", "f16"),
    ("split", "bf16"),
    ("split", "bf16-f32"),
]
QUICK = {
    "lion": MODES,
    "signum": [("stochastic", "f16"), ("split", "bf16-f32")],
    "tiger-moves": [("stochastic", "bf16"), ("split", "bf16")],
    "tiger-within": [("stochastic", "bf16"), ("split", "bf16")],
}
"""What every run compiles with Numba, seconds for each; Tiger, which takes ten, for the modes of one pair of dtypes."""

CASES = [
    pytest.param(*mode, step, marks=[] if mode in modes else pytest.mark.thorough)
    for step, modes in QUICK.items()
    for mode in MODES
]
SHAPES = [(5,), (300, 70), (9,), (101, 301), (40,), (8, 3, 5), (70_001,), ()]
NUMBERS = [7, 3, 1, 2, 9, 11, 0, 5, 8]
DRAW = Draw(seed=0x0123456789ABCDEF, step=3)


def arrays_of(storage, layout, mode):
    tensors = [random_tensor(shape, storage, seed) for seed, shape in enumerate(SHAPES)] + [special_tensor(storage)]
    params, grads, momenta = ([layout(array) for array in arrays] for arrays in zip(*tensors, strict=True))
    rng = np.random.default_rng(5)
    rests = [layout(rng.integers(-(2**15), 2**15, p.shape, np.int16)[...]) for p in params] if mode == "split" else []
    return params, grads, momenta, rests


def stepped(backend, storage, layout, mode, step, threads=1):
    params, grads, momenta, rests = arrays_of(storage, layout, mode)
    tested = backend(params, momenta, [ROLES[i % 4] for i in range(len(params))], Storage(mode, NUMBERS, rests))
    tested.threads = threads
    tested.step(grads, replace(STEPS[step][1], draw=DRAW))
    return params + momenta + rests


def expected(storage, layout, mode, step):
    """By the rule in float32 and the functions of signopt.rounding, a tensor at a time."""
    params, grads, momenta, rests = arrays_of(storage, layout, mode)
    rule, coefficients = STEPS[step]
    for i, (param, grad, momentum) in enumerate(zip(params, grads, momenta, strict=True)):
        wide = join(param, rests[i]) if mode == "split" else param.astype(np.float32)
        traits = traits_of(ROLES[i % 4])
        new, momentum[...] = UPDATES[rule](wide, grad.astype(np.float32), momentum, coefficients, traits)
        if mode == "split":
            param[...], rests[i][...] = split(new)
        else:
            by_words = stochastic_float16 if storage == "f16" else stochastic_bfloat16
            param[...] = by_words(new, DRAW.seed, DRAW.step, NUMBERS[i])
    return params + momenta + rests


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("mode", "storage", "step"), CASES)
@pytest.mark.one_in(9)
def test_every_backend_has_the_bits_of_the_definition(mode, storage, step, layout):
    arguments = storage, LAYOUTS[layout], mode, step
    wanted = expected(*arguments)
    for backend, threads in ((PortableBackend, 1), (NumpyBackend, 3), (NumbaBackend, 1), (NumbaBackend, 3)):
        for actual, right in zip(stepped(backend, *arguments, threads=threads), wanted, strict=True):
            assert_same_bits(actual, right)


@pytest.mark.parametrize("backend", [PortableBackend, NumpyBackend, NumbaBackend])
def test_other_dtypes_are_rounded_to_nearest(backend):
    for mode, storage in (("stochastic", "f32"), ("stochastic", "f64"), ("split", "f16"), ("split", "f32")):
        p, g, m = random_tensor((500,), storage, 0)
        nearest, other = (p.copy(), m.copy()), (p.copy(), m.copy())
        backend([nearest[0]], [nearest[1]]).step([g], STEPS["lion"][1])
        backend([other[0]], [other[1]], None, Storage(mode)).step([g], replace(STEPS["lion"][1], draw=DRAW))
        for actual, right in zip(other, nearest, strict=True):
            assert_same_bits(actual, right)
