"""Stochastic rounding: what every result must be, how often, and independent of what.

The demands of ``rounding/result…`` hold for any random words: no right port can fail them. Those of chance accept every
count but the tails of its exact binomial distribution that have, over all tests of a run, at most the probability 1e-12
(:data:`~signopt.conformance.oracle.binomial.ALARM`). If words can be set, probabilities are counted, not estimated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.oracle.binomial import bounds, most_surplus
from signopt.conformance.session import NotApplicableError, Session

Array = np.ndarray[Any, Any]

RULE = ("stochastic-rounding",)
LOWS = (1, 2, 0x0080, 0x1000, 0x4000, 0x7FFF, 0x8000, 0x8001, 0xC000, 0xFEDC)
"""Places between two neighbours, in units of 2⁻¹⁶."""
HIGHS = (0x3F80, 0xBF80, 0x3FFF, 0x0001, 0x8042, 0x4F12)
"""Of 1, −1, the last number below 2, subnormals of both signs, and a large number."""
COPIES = 1 << 18
TOGETHER = 4
"""Places that are counted in one call."""


def _float(bits: Any) -> Array:
    return np.atleast_1d(np.asarray(bits, np.uint32)).view(np.float32)


def _round(session: Session, x: Array, words: Array | None = None) -> Array:
    """The bits of a port's results, whose shape and dtype are checked; ``x`` must stay as it was."""
    given = x.copy()
    arguments = (given,) if words is None else (given, words.copy())
    method = "round" if words is None else "round_with"
    result = session.driver.call(method, *arguments)
    if not isinstance(result, np.ndarray | np.generic) or result.dtype.name != "bfloat16" or result.shape != x.shape:
        shown = f"{result.dtype} of shape {result.shape}" if hasattr(result, "dtype") else type(result).__name__
        session.fail(f"{method}() must return bfloat16 of the shape of x, {x.shape}; it returned {shown}")
        raise NotApplicableError(f"{method}() returned no bfloat16 array of the shape of x")
    if not np.array_equal(given.view(np.uint32), x.view(np.uint32)):
        session.fail(f"{method}() changed x")
    session.result.judged += x.size
    return np.ascontiguousarray(result).view(np.uint16).reshape(x.shape).astype(np.uint32)


def _judge(session: Session, x: Array, got: Array, what: str) -> None:
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


@check("rounding/representable", profile="core", rules=RULE, essential=True)
def representable(session: Session) -> None:
    """Every number that bfloat16 has, ±0 and ±Inf among them, stays itself, whatever the words."""
    high = np.arange(1 << 16, dtype=np.uint32)
    high = high[(high & 0x7FFF) <= 0x7F80]
    for _ in range(40):
        x = _float(session.rng.permutation(high) << 16)
        _judge(session, x, _round(session, x), "representable")


@check("rounding/nan", profile="core", rules=RULE)
def nan(session: Session) -> None:
    """Every NaN stays NaN, whatever its payload: 0x7fffffff of CUDA and 0xffc00000 of x86 among them."""
    usual = [0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001, 0x7FBFFFFF, 0x7FFF0000]
    drawn = session.rng.integers(0x7F800001, 0x80000000, 1 << 16).astype(np.uint32)
    signs = session.rng.integers(0, 2, drawn.size).astype(np.uint32) << 31
    for x in (_float(np.repeat(np.array(usual, np.uint32), 4096)), _float(drawn | signs)):
        _judge(session, x, _round(session, x), "NaN")


@check("rounding/neighbours", profile="core", rules=RULE)
def neighbours(session: Session) -> None:
    """Every result is one of the two bfloat16 numbers around x, with its sign, for x of every size."""
    drawn = session.rng.integers(0, 1 << 32, 1 << 20, dtype=np.uint32)
    edges = np.array([0x0000FFFF, 1, 0x007FFFFF, 0x00800001, 0x7F7FFFFF, 0x7F7F0001, 0x7F7E8000], np.uint32)
    for x in (_float(drawn), _float(np.repeat(np.concatenate([edges, edges | np.uint32(1 << 31)]), 1000))):
        _judge(session, x, _round(session, x), "neighbours")


@check("rounding/shapes", profile="core", rules=RULE)
def shapes(session: Session) -> None:
    """Arrays of any shape and memory layout are rounded element by element, and empty ones stay empty."""
    x = _float(session.rng.integers(0, 1 << 32, (12, 35, 6), dtype=np.uint32).ravel()).reshape(12, 35, 6)
    x[np.isnan(x)] = 1.001
    wide = np.repeat(x, 2, axis=2)
    for view in (x, x.T, x[::-1, ::2], wide[:, :, ::2], np.asfortranarray(x), x[:1, :1, 0], x[:0], x[0, 0, 0][...]):
        view = np.asarray(view)
        _judge(session, view, _round(session, view).reshape(view.shape), f"an array of shape {view.shape}")


def _expect(session: Session, count: int, n: int, p: float, what: str, x: int | None = None) -> None:
    """Demand that a count lies between the bounds of Binomial(n, p); ``x`` if it is that of one number going up."""
    least, most = bounds(n, p)
    if not least <= count <= most:
        session.fail(
            f"{what}: {count} of {n}, and {n * p:.6g} are expected",
            allowed=f"{least} to {most}",
            got=str(count),
            inputs={} if x is None else _input(x, count=count, of=n),
        )


def _places(session: Session) -> Iterator[tuple[int, int]]:
    keeps = session.habits.subnormals == "keep"
    for high in HIGHS:
        if keeps or high & 0x7F80:
            for low in LOWS:
                yield high, low


@check("rounding/frequency", rules=RULE, essential=True)
def frequency(session: Session) -> None:
    """The neighbour further from zero is taken with the probability that is the place of x between the two."""
    for high, low in _places(session):
        got = _round(session, np.full(COPIES, _float(high << 16 | low)[0]))
        up = int(np.count_nonzero(got == high + 1))
        x = high << 16 | low
        _expect(session, up, COPIES, low / 65536, f"of x = 0x{x:08x} away from zero", x)


@check("rounding/resolution", rules=RULE)
def resolution(session: Session) -> None:
    """A place of 2⁻¹⁶ between the neighbours, and one of 1 − 2⁻¹⁶, have these very probabilities."""
    for low in (1, 0xFFFF):
        up = 0
        for _ in range(16):
            up += int(np.count_nonzero(_round(session, np.full(COPIES, _float(0x3F80 << 16 | low)[0])) == 0x3F81))
        x = 0x3F80 << 16 | low
        _expect(session, up, 16 * COPIES, low / 65536, f"of x = 0x{x:08x} away from zero", x)


def _halves(session: Session, shape: int | tuple[int, ...] = COPIES, low: int = 0x8000) -> Array:
    """Which of many copies of one number went away from zero: at half way, fair bits."""
    return np.equal(_round(session, np.full(shape, _float(0x3F80 << 16 | low)[0])), 0x3F81)


def _unlike_itself(session: Session, bits: Array, what: str, size: int = 0) -> None:
    """Demand of fair bits, in one row, that those any number of places apart agree as often as they differ.

    ``size`` is that of a call, if there were many.
    """
    count = bits.size
    spectrum = np.fft.rfft(2.0 * bits.ravel() - 1.0, 2 * count)
    surplus = np.rint(np.fft.irfft(np.abs(spectrum) ** 2)[1:count])
    pairs = np.arange(count - 1, 0, -1)
    over = np.abs(surplus) / most_surplus(pairs)
    lag = int(np.argmax(over)) + 1
    if over[lag - 1] > 1:
        agree, of = (int(pairs[lag - 1]) + int(surplus[lag - 1])) // 2, int(pairs[lag - 1])
        most, whole = float(most_surplus(of)) / 2, size and lag % size == 0
        session.fail(
            f"{what}, {lag} places apart, agree in {agree} of {of} pairs, and {of / 2:.6g} are expected"
            + (": words are used again" if 4 * agree > 3 * of else "")
            + (f", {lag // size} calls later: is the seed advanced, and shared with nobody?" if whole else ""),
            allowed=f"{of / 2 - most:.0f} to {of / 2 + most:.0f}", got=str(agree),
        )  # fmt: skip


@check("rounding/elements", rules=RULE)
def elements(session: Session) -> None:
    """Elements of one tensor are rounded independently of each other, whatever their distance and its shape."""
    for shape in ((2 * COPIES,), (512, 300), (60, 48, 50)):
        _unlike_itself(session, _halves(session, shape), f"roundings in one call, of shape {shape}")
    quarter = _halves(session, low=0x4000)
    up = int(np.count_nonzero(quarter[::2] & quarter[1::2]))
    _expect(session, up, quarter.size // 2, 1 / 16, "neighbours both up")


@check("rounding/steps", rules=RULE)
def steps(session: Session) -> None:
    """Each call has words of its own, whatever was rounded before, and in whatever shape."""
    shapes = ((COPIES // 8,), (COPIES // 8,), (256, COPIES // 2048))
    calls = [_halves(session, shapes[i % 3]).ravel() for i in range(40)]
    _unlike_itself(
        session, np.concatenate(calls), f"roundings in 40 calls of {COPIES // 8} numbers in a row", COPIES // 8
    )


@check("rounding/every-size", rules=RULE)
def every_size(session: Session) -> None:
    """Numbers of every exponent, every leading digit and both signs are rounded at random, up to overflow."""
    exponents = np.arange(0 if session.habits.subnormals == "keep" else 1, 0xFF) << 7
    digits = np.arange(128)
    highs = np.concatenate([exponents | 0x2A, exponents | 0x8055, 0x3F80 | digits, 0xC280 | digits])
    for low, chance in ((0x4000, 0.25), (0xC000, 0.75)):
        x = np.repeat(_float((highs << 16 | low).astype(np.uint32)), 512)
        counts = (_round(session, x) == np.repeat(highs + 1, 512)).reshape(-1, 512).sum(axis=1)
        for high, count in zip(highs.tolist(), counts.tolist(), strict=True):
            bits = high << 16 | low
            _expect(session, count, 512, chance, f"of x = 0x{bits:08x} away from zero", bits)


@check("rounding/tails", rules=RULE)
def tails(session: Session) -> None:
    """Every place of a tensor is rounded at random, its last elements too, in small ones and in those of odd size."""
    for size, calls in ((259, 128), (5119, 96)):
        counts = sum(_halves(session, size).astype(np.int64) for _ in range(calls))
        for place, count in enumerate(np.asarray(counts).tolist()):
            _expect(session, count, calls, 0.5, f"of {calls} calls that rounded element {place} of {size} up")
    for size in range(2, 34):
        calls = -(-256 // size)
        up = sum(int(_halves(session, size).sum()) for _ in range(calls))
        _expect(session, up, calls * size, 0.5, f"in tensors of {size} elements away from zero")


@check("rounding/singles", rules=RULE)
def singles(session: Session) -> None:
    """Single numbers are rounded at random, each call for itself, with an axis and without."""
    for shape, count in (((1,), 1024), ((), 256)):
        bits = np.array([_halves(session, shape).ravel()[0] for _ in range(count)])
        _expect(session, int(bits.sum()), count, 0.5, f"single numbers of shape {shape} away from zero")
        unlike = int((bits[1:] ^ bits[:-1]).sum())
        _expect(session, unlike, count - 1, 0.5, f"single numbers of shape {shape} unlike the last")


def _counted(session: Session, highs: Sequence[int], lows: Sequence[int]) -> None:
    if not session.driver.has("round_with"):
        raise NotApplicableError("the port has no round_with(x, words): its words cannot be set")
    words = np.tile(np.arange(1 << 16, dtype=np.uint32), TOGETHER)
    for high in highs:
        for first in range(0, len(lows), TOGETHER):
            places = lows[first : first + TOGETHER]
            x = np.repeat(_float([high << 16 | low for low in places]), 1 << 16)
            got = _round(session, x, words[: x.size])
            ups = got == high + 1
            if not (ups | (got == high)).all():
                _judge(session, x, got, "with words that are set")
            for low, up in zip(places, map(np.count_nonzero, ups.reshape(-1, 1 << 16)), strict=True):
                if up != low:
                    what = f"of the 65536 words, {up} round 0x{high:04x}{low:04x} away from zero"
                    session.fail(what, allowed=str(low))


@check("rounding/counted", rules=RULE)
def counted(session: Session) -> None:
    """If words can be set, of all 65 536 exactly as many go away from zero as the place of x says; NaN stays."""
    highs = (0x3F80, 0xBF80, 0xC17F) + ((0x0000, 0x8001) if session.habits.subnormals == "keep" else ())
    _counted(session, highs, [*range(0, 1 << 16, 2570), 1, 2, 0x7FFF, 0x8000, 0x8001, 0xFFFE, 0xFFFF])
    _counted(session, (0x7E2A, 0xFD55, 0x0D2A, 0x4F12), [0x4000, 0xC001])
    words = np.arange(1 << 16, dtype=np.uint32)
    for pattern in (0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x7FC00000, 0x7F800000, 0xFF800000, 0x80000000, 0):
        x = np.full(1 << 16, _float(pattern)[0])
        _judge(session, x, _round(session, x, words), "with every word")


@check("rounding/counted-all", profile="strict", rules=RULE)
def counted_all(session: Session) -> None:
    """The same for every one of the 65 536 places, of both signs: a proof, by counting 2³³ results."""
    _counted(session, (0x3F80, 0xBF80), range(1 << 16))
