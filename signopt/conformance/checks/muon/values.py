"""Hyperparameters and matrices from which the checks of Muon are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.oracle.formats import compute_format, format_of
from signopt.conformance.oracle.rules.muon import JORDAN, MUON
from signopt.conformance.session import NotApplicableError, Run, Session

__all__ = [
    "CUBE", "FIFTH", "IDENTITY", "JORDAN", "MIX", "SLOW", "SPECTRUM", "TAILED", "asked", "bare", "coarse",
    "double_range", "muon_check", "normal", "settings", "simple", "small_range", "spectrum", "tailed", "tensors",
    "walk",
]  # fmt: skip

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

IDENTITY, CUBE, FIFTH = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
SLOW = (1.25, -0.3125, 0.0625)
"""A polynomial that moves X a little further at each step, so that every number of steps gives another result."""
MIX: tuple[Shape, ...] = ((3, 3), (4, 2), (2, 4))
SPECTRUM = (1.0, 0.7, 0.5)
TAILED = 2.0**-6
"""How large the other elements are beside the last ones."""
_USUAL = {
    "lr": 0.3, "beta": 0.9, "weight_decay": 0.3, "nesterov": True, "ns_coefficients": JORDAN, "ns_steps": 5,
    "eps": 1e-7, "adjust_lr_fn": "original",
}  # fmt: skip


Function = Callable[[Session], None]


def muon_check(
    identifier: str, profile: str = "standard", *, essential: bool = False, metamorphic: bool = False
) -> Callable[[Function], Function]:
    """A check of Muon alone."""
    return check(identifier, profile=profile, rules=("muon",), essential=essential, metamorphic=metamorphic)


def coarse(s: Session) -> bool:
    """Whether the iteration, or what it starts from, has 16 bits: then only one step of it has a proven radius."""
    habits = s.habits
    iteration = format_of(habits.ns_dtype) if habits.ns_dtype else habits.compute_format(s.storage)
    return min(iteration.precision, s.storage.precision) < compute_format(s.storage).precision == 24 or (
        iteration.precision < 24
    )


def small_range(s: Session) -> bool:
    """Whether something of the port is kept in float16, which overflows at 65 504."""
    return "float16" in (s.storage.name, s.habits.ns_dtype, s.habits.momentum_dtype)


def double_range(s: Session) -> bool:
    """Whether all that the port keeps has the range of float64."""
    return s.storage.name == "float64" and s.habits.momentum_dtype in (None, "float64")


def settings(s: Session, **wanted: Any) -> dict[str, Any]:
    """Hyperparameters of a run, of which ``wanted`` matter to the check.

    In 16 bits there is one step of the iteration unless the check says how many.

    Raises
    ------
    NotApplicableError
        If one that matters is fixed at another value.
    """
    fixed = MUON.fixed(s.habits)
    if s.habits.orthogonalizer is not None:
        fixed = {"ns_coefficients": JORDAN, "ns_steps": 5, **fixed}
    for name in wanted:
        if name in fixed and _plain(wanted[name]) != _plain(fixed[name]):
            raise NotApplicableError(f"{name} is fixed, and the check needs another")
    few = {"ns_steps": 1} if coarse(s) else {}
    return {**_USUAL, **few, **wanted, **fixed}


def _plain(value: Any) -> Any:
    if isinstance(value, str) or value is None:
        return value
    return np.asarray(value).tolist()


def bare(s: Session, **wanted: Any) -> dict[str, Any]:
    """The same with the identity polynomial, which leaves X = u/(‖u‖ + ε).

    A port that has fixed its coefficients is asked with those, unless more than one application in 16 bits leaves no
    radius: it is wider than that of the identity, but the same bugs are outside of it.

    Raises
    ------
    NotApplicableError
        If that is so, or one of ``wanted`` is fixed at another value.
    """
    fixed = {*s.habits.fixed}
    if "ns_coefficients" in fixed and not coarse(s):
        return settings(s, **wanted)
    once = {} if "ns_steps" in fixed else {"ns_steps": 1}
    return settings(s, ns_coefficients=IDENTITY, **once, **wanted)


def simple(s: Session, **wanted: Any) -> dict[str, Any]:
    """`bare` if the port can be asked for it, else `settings`."""
    try:
        return bare(s, **wanted)
    except NotApplicableError:
        return settings(s, **wanted)


@contextmanager
def asked(s: Session) -> Iterator[None]:
    """A part of a check that a port with fixed hyperparameters may not be asked."""
    try:
        yield
    except NotApplicableError as reason:
        if str(reason) not in s.result.notes:
            s.result.notes.append(str(reason))


def normal(s: Session, shape: Shape, size: float = 1.0) -> Array:
    """Normal numbers in the dtype under test."""
    return s.array(size * s.rng.standard_normal(shape))


def tailed(s: Session, shape: Shape, last: int = 64) -> Array:
    """Normal numbers, the ``last`` of them by far the largest: what spoils the end of a tensor spoils most of X."""
    size = int(np.prod(shape))
    sizes = np.where(np.arange(size) < size - last, TAILED, 1.0)
    return s.array(sizes.reshape(shape) * s.rng.standard_normal(shape))


def spectrum(s: Session, shape: Shape, values: Sequence[float] = SPECTRUM, size: float = 1.0) -> Array:
    """A tensor whose matrix has these singular values, in turn."""
    rows, columns = shape[0], int(np.prod(shape[1:]))
    short = min(rows, columns)
    left = np.linalg.qr(s.rng.standard_normal((rows, short)))[0]
    right = np.linalg.qr(s.rng.standard_normal((columns, short)))[0]
    return s.array(size * (left * np.resize(values, short) @ right.T).reshape(shape))


def tensors(s: Session, shapes: Sequence[Shape], make: Any = normal, **more: Any) -> dict[str, Array]:
    """One tensor of each shape."""
    return {f"w{i}": make(s, shape, **more) for i, shape in enumerate(shapes)}


def walk(
    s: Session, shapes: Sequence[Shape], hyper: Mapping[str, Any], steps: int = 1, make: Any = normal,
    theta: float = 1.0, momentum: float = 0.0, **more: Any,
) -> Run:  # fmt: skip
    """A run over tensors of these shapes; from a momentum of about ``momentum`` if that is not zero."""
    given = tensors(s, shapes, normal, size=momentum) if momentum else None
    run = s.start(tensors(s, shapes, normal, size=theta), hyper, given)
    for _ in range(steps):
        run.step(tensors(s, shapes, make, **more))
    return run
