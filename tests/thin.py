"""Few of many cases that are alike, for every run; the mark ``thorough`` has the others."""

import itertools

import pytest


def diagonal(*axes, also=lambda *case: False):
    """The product of ``axes`` as parameters; every value of every axis is in every run, and what ``also`` is true of.

    Row k of the diagonal has the k-th value of each axis, counted round: as many cases as the longest axis has values.
    """
    axes = [list(axis) for axis in axes]
    kept = {tuple(at % len(axis) for axis in axes) for at in range(max(map(len, axes)))}
    numbered = itertools.product(*(enumerate(axis) for axis in axes))
    return [
        pytest.param(*case, marks=[] if places in kept or also(*case) else pytest.mark.thorough)
        for places, case in (zip(*pairs, strict=True) for pairs in numbered)
    ]


def some(cases, every, also=()):
    """The first of every ``every`` cases in every run, and those that are in ``also``."""
    cases = list(cases)
    return keeping(cases, [*cases[::every], *also])


def keeping(cases, kept):
    """``kept`` in every run, of values, tuples of them or ``pytest.param``; a name that is no case is a mistake."""
    cases, kept = list(cases), list(kept)
    unknown = [each for each in kept if each not in cases]
    if unknown:
        raise ValueError(f"no such cases: {unknown}")
    return [_marked(case, [] if case in kept else [pytest.mark.thorough]) for case in cases]


def _marked(case, marks):
    if hasattr(case, "marks"):
        return pytest.param(*case.values, marks=[*case.marks, *marks], id=case.id)
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=marks)
