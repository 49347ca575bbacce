"""Stochastic rounding: the words of elements, and of calls, are independent, and there are words for all of them."""

from __future__ import annotations

import math

import numpy as np

from signopt.conformance.checks._registry import check
from signopt.conformance.checks._rounding_calls import COPIES, RULE, Array, expect, halves
from signopt.conformance.oracle.binomial import most_surplus
from signopt.conformance.session import Session

ROW = 128
"""Fair bits that are compared at once. Among fewer than 2³² rows, two that are alike have a probability below 2⁻⁶⁵."""


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


def _no_two_alike(session: Session, rows: Array, what: str) -> None:
    """Demand that rows of ``ROW`` fair bits differ from each other, and that none has all up or all down."""
    seen = {np.full(ROW // 8, edge, np.uint8).tobytes(): -1 for edge in (0, 255)}
    for place, row in enumerate(np.packbits(rows, axis=1)):
        first = seen.setdefault(row.tobytes(), place)
        if first < 0:
            session.fail(f"{what}: number {place} is not random: all of its {ROW} roundings are the same")
        elif first < place:
            session.fail(f"{what}: number {place} has the {ROW} roundings of number {first}: words are used again")


def _no_more_even_than_chance(session: Session, bits: Array) -> None:
    """Demand that runs of fair bits have as many up as down no more often than independent ones."""
    length = 2
    while length <= bits.size // 64:
        even = int(np.count_nonzero(2 * bits.reshape(-1, length).sum(axis=1) == length))
        chance = math.comb(length, length // 2) / 2**length
        what = f"runs of {length} roundings of which exactly half go up"
        expect(session, even, bits.size // length, chance, what)
        length *= 2


@check("rounding/elements", rules=RULE)
def elements(session: Session) -> None:
    """Elements of one tensor are rounded independently of each other, whatever their distance and its shape."""
    for shape in ((2 * COPIES,), (512, 300), (60, 48, 50), (16, 16, 24, 24)):
        _unlike_itself(session, halves(session, shape), f"roundings in one call, of shape {shape}")
    quarter = halves(session, low=0x4000)
    up = int(np.count_nonzero(quarter[::2] & quarter[1::2]))
    expect(session, up, quarter.size // 2, 1 / 16, "neighbours both up")


@check("rounding/steps", rules=RULE)
def steps(session: Session) -> None:
    """Each call has words of its own, whatever was rounded before, and in whatever shape."""
    shapes = ((COPIES // 8,), (COPIES // 8,), (256, COPIES // 2048))
    calls = [halves(session, shapes[i % 3]).ravel() for i in range(40)]
    _unlike_itself(
        session, np.concatenate(calls), f"roundings in 40 calls of {COPIES // 8} numbers in a row", COPIES // 8
    )


@check("rounding/large", rules=RULE)
def large(session: Session) -> None:
    """In a tensor of two million elements no words come again, and they are no more even than chance makes them."""
    bits = halves(session, 8 * COPIES)
    _no_two_alike(session, bits.reshape(-1, ROW), f"rows of {ROW} in one call")
    _no_more_even_than_chance(session, bits)


def _calls_differ(session: Session, count: int) -> None:
    sizes = (ROW, 3 * ROW // 2, 5 * ROW // 2 + 1)
    _no_two_alike(session, np.stack([halves(session, sizes[i % 3])[:ROW] for i in range(count)]), f"{count} calls")


@check("rounding/calls", rules=RULE)
def calls(session: Session) -> None:
    """No call has the words of another, whatever their sizes and however far apart, up to 4200 calls."""
    _calls_differ(session, 4200)


@check("rounding/calls-all", profile="strict", rules=RULE)
def calls_all(session: Session) -> None:
    """The same of 66 000 calls: more than a step number of 16 bits can count."""
    _calls_differ(session, 66_000)


@check("rounding/tails", rules=RULE)
def tails(session: Session) -> None:
    """Every place of a tensor is rounded at random, its last elements too, in small ones and in those of odd size."""
    for size, calls in ((259, 128), (5119, 96)):
        counts = sum(halves(session, size).astype(np.int64) for _ in range(calls))
        for place, count in enumerate(np.asarray(counts).tolist()):
            expect(session, count, calls, 0.5, f"of {calls} calls that rounded element {place} of {size} up")
    for size in range(2, 34):
        calls = -(-256 // size)
        up = sum(int(halves(session, size).sum()) for _ in range(calls))
        expect(session, up, calls * size, 0.5, f"in tensors of {size} elements away from zero")


@check("rounding/singles", rules=RULE)
def singles(session: Session) -> None:
    """Single numbers are rounded at random, each call for itself, with an axis and without."""
    for shape, count in (((1,), 1024), ((), 256)):
        bits = np.array([halves(session, shape).ravel()[0] for _ in range(count)])
        expect(session, int(bits.sum()), count, 0.5, f"single numbers of shape {shape} away from zero")
        _unlike_itself(session, bits, f"single numbers of shape {shape}")
        unlike = int((bits[1:] ^ bits[:-1]).sum())
        expect(session, unlike, count - 1, 0.5, f"single numbers of shape {shape} unlike the last")
