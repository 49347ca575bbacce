"""Stochastic rounding: what every result must be, and how often.

What the results must be holds for any random words: no right port can fail it. Demands of chance accept every
count but the tails of its exact binomial distribution that have, over all tests of a run, at most the probability 1e-12
(:data:`~signopt.conformance.oracle.binomial.ALARM`). If words can be set, probabilities are counted, not estimated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks._rounding_calls import COPIES, RULE, Array, expect, halves, judge, number, rounded
from signopt.conformance.session import NotApplicableError, Session

LOWS = (1, 2, 0x0080, 0x1000, 0x4000, 0x7FFF, 0x8000, 0x8001, 0xC000, 0xFEDC)
"""Places between two neighbours, in units of 2⁻¹⁶."""
HIGHS = (0x3F80, 0xBF80, 0x3FFF, 0x0001, 0x8042, 0x4F12)
"""Of 1, −1, the last number below 2, subnormals of both signs, and a large number."""
ROUNDS = 12
"""So many times every upper half is rounded at every place."""
TOGETHER = 4
"""Places that are counted in one call."""


@check("rounding/first-call", profile="core", rules=RULE)
def first_call(session: Session) -> None:
    """The first numbers that a port is ever given are rounded at random already."""
    expect(session, int(halves(session, 128).sum()), 128, 0.5, "of the numbers of the first call away from zero")


@check("rounding/representable", profile="core", rules=RULE, essential=True)
def representable(session: Session) -> None:
    """Every number that bfloat16 has, ±0 and ±Inf among them, stays itself, whatever the words."""
    high = np.arange(1 << 16, dtype=np.uint32)
    high = high[(high & 0x7FFF) <= 0x7F80]
    for _ in range(40):
        x = number(session.rng.permutation(high) << 16)
        judge(session, x, rounded(session, x), "representable")


@check("rounding/nan", profile="core", rules=RULE)
def nan(session: Session) -> None:
    """Every NaN stays NaN, whatever its payload: 0x7fffffff of CUDA and 0xffc00000 of x86 among them."""
    usual = [0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF800001, 0x7FBFFFFF, 0x7FFF0000]
    drawn = session.rng.integers(0x7F800001, 0x80000000, 1 << 16).astype(np.uint32)
    signs = session.rng.integers(0, 2, drawn.size).astype(np.uint32) << 31
    for x in (number(np.repeat(np.array(usual, np.uint32), 4096)), number(drawn | signs)):
        judge(session, x, rounded(session, x), "NaN")


@check("rounding/neighbours", profile="core", rules=RULE)
def neighbours(session: Session) -> None:
    """Every result is one of the two bfloat16 numbers around x, with its sign, for x of every size."""
    drawn = session.rng.integers(0, 1 << 32, 1 << 20, dtype=np.uint32)
    edges = np.array([0x0000FFFF, 1, 0x007FFFFF, 0x00800001, 0x7F7FFFFF, 0x7F7F0001, 0x7F7E8000], np.uint32)
    for x in (number(drawn), number(np.repeat(np.concatenate([edges, edges | np.uint32(1 << 31)]), 1000))):
        judge(session, x, rounded(session, x), "neighbours")


def _layouts(x: Array) -> Iterator[Array]:
    """Arrays over the numbers of one with three axes, in many layouts."""
    wide = np.repeat(x, 2, axis=2)
    yield from (x, x.T, x[::-1, ::2], wide[:, :, ::2], np.asfortranarray(x), x[:1, :1, 0], x[:0], x[0, 0, 0, ...])


@check("rounding/shapes", profile="core", rules=RULE)
def shapes(session: Session) -> None:
    """Arrays of any shape and memory layout are rounded element by element, at random, and empty ones stay empty."""
    x = number(session.rng.integers(0, 1 << 32, (12, 35, 6), dtype=np.uint32).ravel()).reshape(12, 35, 6)
    x[np.isnan(x)] = 1.001
    for view in _layouts(x):
        judge(session, view, rounded(session, view), f"an array of shape {view.shape}")
    for view in _layouts(np.full(x.shape, number(0x3F808000)[0])):
        if view.size > 64:
            up = int(np.count_nonzero(rounded(session, view) == 0x3F81))
            what = f"of an array of shape {view.shape} with strides {view.strides} away from zero"
            expect(session, up, view.size, 0.5, what)


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
        got = rounded(session, np.full(COPIES, number(high << 16 | low)[0]))
        up = int(np.count_nonzero(got == high + 1))
        x = high << 16 | low
        expect(session, up, COPIES, low / 65536, f"of x = 0x{x:08x} away from zero", x)


@check("rounding/resolution", rules=RULE)
def resolution(session: Session) -> None:
    """A place of 2⁻¹⁶ between the neighbours, and one of 1 − 2⁻¹⁶, have these very probabilities, whatever the sign."""
    highs = np.tile(np.array([0x3F80, 0xBF80], np.uint32), COPIES)
    for low in (1, 0xFFFF):
        x, ups = number(highs << 16 | low), np.zeros(2, np.int64)
        for _ in range(10):
            ups += np.equal(rounded(session, x), highs + 1).reshape(-1, 2).sum(axis=0)
        for up, bits in zip(ups.tolist(), x[:2].view(np.uint32).tolist(), strict=True):
            expect(session, up, 10 * COPIES, low / 65536, f"of x = 0x{bits:08x} away from zero", bits)


@check("rounding/every-size", rules=RULE)
def every_size(session: Session) -> None:
    """Numbers of every exponent, every seven leading digits and both signs are rounded at random, side by side."""
    least = 0 if session.habits.subnormals == "keep" else 0x0080
    highs = np.arange(least, 0x7F7F, dtype=np.uint32)
    highs = np.concatenate([highs, highs | 0x8000])
    for low in (0x4000, 0x8000, 0xC000):
        ups = np.zeros(highs.size, np.int64)
        for _ in range(ROUNDS):
            order = session.rng.permutation(highs.size)
            ups[order] += rounded(session, number(highs[order] << 16 | low)) == highs[order] + 1
        for kept, what in ((0xFF80, "sign and exponent"), (0x807F, "sign and digits")):
            _expect_by(session, highs, ups, low, kept, what)


def _expect_by(session: Session, highs: Array, ups: Array, low: int, kept: int, what: str) -> None:
    """Demand the right number of ``ups``, of ``ROUNDS`` each, of all numbers with the same ``kept`` bits together."""
    order = np.argsort(highs & kept, kind="stable")
    groups = np.flatnonzero(np.diff(highs[order] & kept)) + 1
    for members in np.split(order, groups):
        x = int(highs[members[members.size // 2]]) << 16 | low
        count, of = int(ups[members].sum()), ROUNDS * members.size
        expect(session, count, of, low / 65536, f"of numbers with {what} of x = 0x{x:08x} away from zero", x)


def _counted(session: Session, highs: Sequence[int], lows: Sequence[int]) -> None:
    if not session.driver.has("round_with"):
        raise NotApplicableError("the port has no round_with(x, words): its words cannot be set")
    words = np.tile(np.arange(1 << 16, dtype=np.uint32), TOGETHER)
    for high in highs:
        for first in range(0, len(lows), TOGETHER):
            places = lows[first : first + TOGETHER]
            x = np.repeat(number([high << 16 | low for low in places]), 1 << 16)
            got = rounded(session, x, words[: x.size])
            ups = got == high + 1
            if not (ups | (got == high)).all():
                judge(session, x, got, "with words that are set")
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
        x = np.full(1 << 16, number(pattern)[0])
        judge(session, x, rounded(session, x, words), "with every word")


@check("rounding/counted-all", profile="strict", rules=RULE)
def counted_all(session: Session) -> None:
    """The same for every one of the 65 536 places, of both signs: a proof, by counting 2³³ results."""
    _counted(session, (0x3F80, 0xBF80), range(1 << 16))
