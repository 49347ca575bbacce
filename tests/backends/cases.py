"""Data and steps on which a CPU backend must leave the bits of the rule."""

import ml_dtypes
import numpy as np

from signopt.backends.portable import PortableBackend
from signopt.rules.lion import LionCoefficients
from signopt.rules.signum import SignumCoefficients
from signopt.rules.tiger import TigerCoefficients
from tests.bits import assert_same_bits, special_triple

BFLOAT16 = ml_dtypes.bfloat16

STORAGE = {
    "f64": (np.float64, np.float64),
    "f32": (np.float32, np.float32),
    "f16": (np.float16, np.float16),
    "bf16": (BFLOAT16, BFLOAT16),
    "bf16-f32": (BFLOAT16, np.float32),
    "f64-f32": (np.float64, np.float32),
}
"""Pairs of parameter and momentum dtype."""

ROLES = ("matrix", "embedding", "bias", "scale")

STEPS = {
    "lion": ("lion", LionCoefficients.of(lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1)),
    "lion-plain": ("lion", LionCoefficients.of(lr=1e-8, betas=(0.5, 0.0), weight_decay=0.0)),
    "signum": ("signum", SignumCoefficients.of(lr=1.0, beta=0.9, weight_decay=10.0)),
    "tiger-within": (
        "tiger",
        TigerCoefficients.of(
            step=0,
            lr=0.1,
            beta=0.9,
            **(rest := {"weight_decay": 0.1, "accumulation_steps": 2, "shrink": 0.99, "schedule": None}),
        ),
    ),
    "tiger-moves": ("tiger", TigerCoefficients.of(step=1, lr=0.1, beta=0.9, **rest)),
}
"""Method and coefficients of one step each."""


def costly(storage, step, backend="numba"):
    """Numba compiles Tiger ten seconds for a pair of dtypes: every run has those that it computes in, and one other."""
    return backend == "numba" and step.startswith("tiger") and storage not in ("f32", "f64", "bf16")


def random_tensor(shape, storage, seed):
    """p, g and m, half of them with c within rounding of 0, which a contraction or another order would move."""
    rng = np.random.default_rng(seed)
    param_dtype, momentum_dtype = STORAGE[storage]
    p, g, m = (np.asarray(rng.standard_normal(shape)) for _ in range(3))
    m = m.astype(momentum_dtype)[...]
    near = -9 * m.astype(np.float64) * (1 + 3e-8 * rng.standard_normal(shape))
    g = np.where(rng.random(shape) < 0.5, near, g).astype(param_dtype)[...]
    return p.astype(param_dtype)[...], g, m


def special_tensor(storage):
    """Every combination of zero, subnormal, huge and non-finite p, g and m."""
    param_dtype, momentum_dtype = STORAGE[storage]
    p, g, m = special_triple(param_dtype)
    with np.errstate(all="ignore"):
        return p, g, m.astype(momentum_dtype)


def contiguous(array):
    return array.copy()


def fortran(array):
    return array.copy(order="F") if array.ndim > 1 else array.copy()


def strided(array):
    """The same values, two elements apart and backwards."""
    room = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    view = room[(..., *(slice(None, None, -2),) * array.ndim)]
    view[...] = array
    return view


LAYOUTS = {"contiguous": contiguous, "fortran": fortran, "strided": strided}


def assert_is_the_rule(backend, tensors, step, *, threads=1, roles=None, layout=contiguous, grad_layout=None):
    """One step of ``backend`` on ``tensors``, triples (p, g, m), against the rule; gradients must stay as they were."""
    _, coefficients = STEPS[step]
    roles = roles or [ROLES[index % 4] for index in range(len(tensors))]
    params, momenta = [layout(p) for p, _, _ in tensors], [layout(m) for _, _, m in tensors]
    grads = [(grad_layout or layout)(g) for _, g, _ in tensors]
    expected_params, expected_momenta = [layout(p) for p, _, _ in tensors], [layout(m) for _, _, m in tensors]
    tested = backend(params, momenta, roles)
    tested.threads = threads
    tested.step(grads, coefficients)
    PortableBackend(expected_params, expected_momenta, roles).step(grads, coefficients)
    for actual, expected in zip(params + momenta, expected_params + expected_momenta, strict=True):
        assert_same_bits(actual, expected)
    for grad, (_, original, _) in zip(grads, tensors, strict=True):
        assert_same_bits(grad, original)
