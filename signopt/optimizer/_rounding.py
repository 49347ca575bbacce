"""How an optimizer's parameters are rounded to storage, and which of them rounding to nearest would never let move."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

from signopt._namespace import Array, dtype_name, namespace_of
from signopt.backends._storage import NEAREST, ROUNDINGS, Storage
from signopt.backends._stored import Stored
from signopt.roles import traits_of
from signopt.rules import UPDATES
from signopt.rules.coefficients import Coefficients
from signopt.rules.muon import MuonCoefficients
from signopt.rules.signum import SignumCoefficients

__all__ = ["checked_rounding", "frozen_elements", "rests_for", "storage_of", "warn_about_frozen"]

SAMPLE = 1 << 16
"""Elements of a tensor that are looked at for a warning."""


def checked_rounding(rounding: Any, params: Mapping[str, Array]) -> str:
    """``rounding`` if there is such a mode and it serves the dtypes of ``params``."""
    if rounding not in ROUNDINGS:
        raise ValueError(f"rounding must be one of {', '.join(ROUNDINGS)}; got {rounding!r}")
    halves = [name for name, param in params.items() if dtype_name(param) == "float16"]
    if rounding == "split" and halves:
        raise TypeError(
            f"rounding='split' serves bfloat16, the upper half of float32, and params[{halves[0]!r}] is float16; "
            "use rounding='stochastic', or bfloat16 parameters"
        )
    return str(rounding)


def rests_for(rounding: str, params: Mapping[str, Array]) -> dict[str, Array]:
    """Low halves of zeros for each parameter that is kept split, by name."""
    storage = Storage(rounding)
    split = {name: param for name, param in params.items() if storage.of(param) == "split"}
    return {name: namespace_of(p).zeros_like(p, dtype=namespace_of(p).int16) for name, p in split.items()}


def storage_of(rounding: str, params: Mapping[str, Array], rests: Mapping[str, Array]) -> Storage:
    """The storage of ``params``, numbered in the order of their sorted names."""
    numbers = {name: number for number, name in enumerate(sorted(params))}
    return Storage(rounding, [numbers[name] for name in params], [rests.get(name) for name in params])


def frozen_elements(stored: Stored, coefficients: Coefficients, role: str | None) -> int:
    """How many elements of a parameter neither an all-positive nor an all-negative gradient moves.

    The rule is asked: what lies between its two answers moves no further.
    """
    p, coefficients = stored.read(), _elementwise(coefficients, tuple(stored.param.shape))
    xp = namespace_of(p)
    stay: Any = True
    for direction in (1.0, -1.0):
        grad = xp.full_like(p, direction)
        new, _ = UPDATES[coefficients.rule](p, grad, xp.zeros_like(p), coefficients, traits_of(role or "matrix"))
        stay = stay & ((new == p) | ((new != new) & (p != p)))
    return int(xp.count_nonzero(stay))


def _elementwise(coefficients: Coefficients, shape: tuple[int, ...]) -> Coefficients:
    """Those of a rule that moves every element as far as Muon moves any: X has hardly a singular value above 1.2."""
    if not isinstance(coefficients, MuonCoefficients) or len(shape) < 2:
        return coefficients
    reach = 1.2 * coefficients.scale(shape, "float32")
    return SignumCoefficients(lr=coefficients.lr * reach, B=0.0, A=1.0, weight_decay=coefficients.weight_decay / reach)


def warn_about_frozen(
    params: Mapping[str, Array],
    roles: Mapping[str, str],
    coefficients: Coefficients,
    lr: float,
    hint: str = " (see frozen())",
) -> None:
    """Warn, once for all, if rounding to nearest undoes the steps of half the 16-bit elements, or of a whole tensor."""
    if isinstance(coefficients, MuonCoefficients) and any(len(p.shape) < 2 for p in params.values()):
        return  # which is an error that Muon reports
    halves = {name: p for name, p in params.items() if dtype_name(p) in ("bfloat16", "float16") and math.prod(p.shape)}
    shares = {name: _sampled_share(p, coefficients, roles.get(name)) for name, p in halves.items()}
    if not shares or lr == 0.0:
        return
    sizes = {name: math.prod(p.shape) for name, p in halves.items()}
    total = sum(shares[name] * sizes[name] for name in shares) / sum(sizes.values())
    whole = [name for name, share in shares.items() if share == 1.0]
    if total < 0.5 and not whole:
        return
    most = max(shares, key=lambda name: shares[name])
    which = f"all of {', '.join(map(repr, whole[:5]))}" if whole else f"most in {most!r}"
    warnings.warn(
        f"lr={lr:g} is lost on about {total:.0%} of the 16-bit elements ({which}): half the spacing of their dtype is "
        "larger, so rounding to nearest gives back the old value; use rounding='stochastic', rounding='split', or "
        f"float32 parameters{hint}",
        UserWarning,
        stacklevel=5,
    )


def _sampled_share(param: Array, coefficients: Coefficients, role: str | None) -> float:
    of_whole = _elementwise(coefficients, tuple(param.shape))
    for axis, length in enumerate(param.shape):
        excess = -(-math.prod(param.shape) // SAMPLE)
        if excess > 1:
            every = slice(None, None, min(length, excess))
            param = param[(*(slice(None),) * axis, every)]
    frozen = frozen_elements(Stored(param, 0, NEAREST), of_whole, role)
    return frozen / int(math.prod(param.shape))
