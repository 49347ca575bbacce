"""Calls of a port of stochastic rounding, what every result must be, and how often."""

from __future__ import annotations

from typing import Any

import numpy as np

from signopt.conformance.oracle.binomial import bounds
from signopt.conformance.session import NotApplicableError, Session

__all__ = ["COPIES", "RULE", "Array", "expect", "halves", "judge", "number", "rounded"]

Array = np.ndarray[Any, Any]

RULE = ("stochastic-rounding",)
COPIES = 1 << 18


def number(bits: Any) -> Array:
    """Numbers by their float32 bits."""
    return np.atleast_1d(np.asarray(bits, np.uint32)).view(np.float32)


def rounded(session: Session, x: Array, words: Array | None = None) -> Array:
    """The bits of a port's results, whose shape and dtype are checked; ``x``, given as it lies, must stay as it was."""
    before = x.copy()
    arguments = (x,) if words is None else (x, words.copy())
    method = "round" if words is None else "round_with"
    result = session.driver.call(method, *arguments)
    if not isinstance(result, np.ndarray | np.generic) or result.dtype.name != "bfloat16" or result.shape != x.shape:
        shown = f"{result.dtype} of shape {result.shape}" if hasattr(result, "dtype") else type(result).__name__
        session.fail(f"{method}() must return bfloat16 of the shape of x, {x.shape}; it returned {shown}")
        raise NotApplicableError(f"{method}() returned no bfloat16 array of the shape of x")
    if not np.array_equal(before.view(np.uint32), x.view(np.uint32)):
        session.fail(f"{method}() changed x")
        x[...] = before
    session.result.judged += x.size
    return np.ascontiguousarray(result).view(np.uint16).reshape(x.shape).astype(np.uint32)


def judge(session: Session, x: Array, got: Array, what: str) -> None:
    """Demand that NaN stays NaN and every other result is one of the neighbours, or x itself if it has no rest."""
    bits = x.view(np.uint32)
    magnitude, result = bits & 0x7FFFFFFF, got & 0x7FFF
    low, sign_right = magnitude >> 16, got >> 15 == bits >> 31
    up = low + ((magnitude & 0xFFFF) != 0)
    right = sign_right & ((result == low) | (result == up))
    if session.habits.subnormals == "flush":
        right |= (result == 0) & (magnitude < 0x00800000)
    is_nan = magnitude > 0x7F800000
    right = np.where(is_nan, result > 0x7F80, right)
    for i in np.flatnonzero(~right.ravel())[:2].tolist():
        x_bits, result_bits = int(bits.ravel()[i]), int(got.ravel()[i])
        allowed = "any NaN" if is_nan.ravel()[i] else f"0x{x_bits >> 16:04x} or the next from zero"
        if not x_bits & 0xFFFF and not is_nan.ravel()[i]:
            allowed = f"0x{x_bits >> 16:04x}: bfloat16 has this number"
        session.fail(
            _message(x_bits, result_bits, what), allowed=allowed, got=f"0x{result_bits:04x}", inputs=_input(x_bits)
        )


def _input(x: int, **counted: int) -> dict[str, Any]:
    """What the diagnosis asks the mutants for: what became of the number with these bits, or how often it went up."""
    return {"x": f"0x{x:08x}", **counted}


def _message(x: int, got: int, what: str) -> str:
    if x & 0x7FFFFFFF > 0x7F800000 and got & 0x7FFF <= 0x7F80:
        carried = got & 0x7FFF < 0x7F80
        why = "the carry of the random word went through the sign" if carried else "its payload was cut off"
        return f"{what}: the NaN 0x{x:08x} became {'a number' if carried else 'infinity'}: {why}"
    if got >> 15 != x >> 31:
        return f"{what}: 0x{x:08x} changed its sign"
    return f"{what}: 0x{x:08x} went to what is not next to it"


def expect(session: Session, count: int, n: int, p: float, what: str, x: int | None = None) -> None:
    """Demand that a count lies between the bounds of Binomial(n, p); ``x`` if it is that of one number going up."""
    least, most = bounds(n, p)
    if not least <= count <= most:
        session.fail(
            f"{what}: {count} of {n}, and {n * p:.6g} are expected",
            allowed=f"{least} to {most}",
            got=str(count),
            inputs={} if x is None else _input(x, count=count, of=n),
        )


def halves(session: Session, shape: int | tuple[int, ...] = COPIES, low: int = 0x8000) -> Array:
    """Which of many copies of one number went away from zero: at half way, fair bits."""
    return np.equal(rounded(session, np.full(shape, number(0x3F80 << 16 | low)[0])), 0x3F81)
