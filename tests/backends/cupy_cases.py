"""Arrays that separate a right kernel from a wrong one, and the rule's answer to them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from signopt.roles import traits_of
from signopt.rules.lion import LionCoefficients, apply_lion
from signopt.rules.signum import SignumCoefficients, apply_signum
from signopt.rules.tiger import TigerCoefficients, apply_tiger

__all__ = ["COEFFICIENTS", "DTYPE_PAIRS", "SIZES", "Case", "cases", "expected", "tiger_coefficients", "triple"]

SIZES = (*range(66), 127, 128, 129, 1023, 1024, 1025, 4097, 65_537)

DTYPE_PAIRS = (
    ("float32", "float32"),
    ("float64", "float64"),
    ("float16", "float16"),
    ("bfloat16", "bfloat16"),
    ("float16", "float32"),
    ("bfloat16", "float32"),
    ("float32", "bfloat16"),
    ("float64", "float16"),
    ("float64", "float32"),
)
"""Storage of parameter (and gradient) and of momentum."""

COEFFICIENTS: dict[str, Any] = {
    "lion": LionCoefficients.of(lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1),
    "signum": SignumCoefficients.of(lr=1e-2, beta=0.9, weight_decay=0.1),
}


def tiger_coefficients(step: int, **options: Any) -> TigerCoefficients:
    """Tiger's coefficients at ``step``, with every hyperparameter away from 0 and 1."""
    hyper = {"lr": 1e-2, "beta": 0.9, "weight_decay": 0.1, "accumulation_steps": 1, "shrink": 0.75, "schedule": None}
    return TigerCoefficients.of(step=step, **{**hyper, **options})


@dataclass
class Case:
    """One tensor, each of its arrays a slice of a buffer that starts ``offset`` elements in and ends in guards."""

    buffers: tuple[np.ndarray, np.ndarray, np.ndarray]
    size: int
    offsets: tuple[int, int, int]

    def views(self, buffers: Any) -> tuple[Any, ...]:
        """The tensor inside of ``buffers``: parameter, gradient, momentum."""
        return tuple(buffer[offset : offset + self.size] for buffer, offset in zip(buffers, self.offsets, strict=True))


def triple(
    size: int, param_dtype: str, momentum_dtype: str, seed: int, *, finite: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parameter, gradient and momentum: many magnitudes, c near zero, zeros, subnormals, Inf and NaN.

    ``finite`` leaves Inf and NaN out of the gradient, which otherwise trigger Tiger's NaN rule in every tensor.
    """
    rng = np.random.default_rng(seed)
    dtypes = [np.dtype(getattr(ml_dtypes, name, name)) for name in (param_dtype, param_dtype, momentum_dtype)]
    p, g, m = (rng.standard_normal(size) * 10.0 ** rng.uniform(-6, 2, size) for _ in range(3))
    near = rng.random(size) < 0.4
    g = np.where(near, -9.0 * m.astype(dtypes[2]).astype(np.float64) * (1 + rng.normal(0, 1e-7, size)), g)
    arrays = []
    for which, (values, dtype) in enumerate(zip((p, g, m), dtypes, strict=True)):
        info = ml_dtypes.finfo(dtype)
        least, most = float(info.smallest_subnormal), float(info.max)
        special = [0.0, -0.0, least, -least, 5 * least, float(info.tiny), -1.0, most, -most]
        special += [] if finite and which == 1 else [np.inf, -np.inf, np.nan]
        chosen = np.where(rng.random(size) < 0.3, rng.choice(special, size), values)
        with np.errstate(all="ignore"):
            arrays.append(chosen.astype(dtype))
    return arrays[0], arrays[1], arrays[2]


@functools.cache
def cases(param_dtype: str, momentum_dtype: str, *, finite: bool = False) -> tuple[Case, ...]:
    """Every size at offsets 0 to 3, and at a few sizes with only one array off its alignment."""
    placements = [(size, (offset,) * 3) for size in SIZES for offset in range(4)]
    placements += [(129, offsets) for offsets in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 1, 2), (8, 4, 0))]
    guard = 9
    return tuple(
        Case(triple(max(offsets) + size + guard, param_dtype, momentum_dtype, seed, finite=finite), size, offsets)
        for seed, (size, offsets) in enumerate(placements)
    )


def expected(rule: str, case: Case, coefficients: Any, role: str = "matrix") -> tuple[np.ndarray, np.ndarray]:
    """Both written buffers after the rule, guards and all."""
    param, _, momentum = (buffer.copy() for buffer in case.buffers)
    p, g, m = case.views((param, case.buffers[1], momentum))
    if rule == "tiger":
        p[...], m[...] = apply_tiger(p, g, m, coefficients, traits_of(role))
    else:
        apply = {"lion": apply_lion, "signum": apply_signum}[rule]
        p[...], m[...] = apply(p, g, m, coefficients)
    return param, momentum
