"""Which known bug explains a failing report on a stochastic rounding.

There is nothing to replay, since words differ from run to run. But a failure says what became of a number, or how often
something happened, and so every known mutant is asked: can it do that, and does it do so as often? Of those that can,
the ones stay that fail the same sure checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from signopt.conformance.mutants.rounding import ROUNDING, RoundingVariant
from signopt.conformance.report import Failure, Report

__all__ = ["explain_rounding"]

ENOUGH = 0.9
COPIES = 1 << 16
WIDTH = 6.0
"""Standard errors between two frequencies that may be one."""
MOST_FAILURES = 24
MOST = 3
SURE = ("rounding/nan", "rounding/shapes", "rounding/neighbours", "rounding/representable")


def explain_rounding(report: Report, check: Callable[..., Report] | None = None) -> list[str]:
    """Sentences that name the known bugs which do what the failures say, those of published libraries first."""
    failures = [failure for result in report.checks for failure in result.failures if failure.inputs]
    chosen = [failure for turn in _in_turn(failures) for failure in turn][:MOST_FAILURES]
    if not chosen:
        return []
    scored = [(*_score(variant, chosen), variant) for variant in ROUNDING]
    likely = sorted((each for each in scored if each[0] >= ENOUGH), key=_preference)
    ran = [result.id for result in report.checks if result.id in SURE]

    def agrees(variant: RoundingVariant) -> bool:
        """Whether a mutant fails those of the sure checks that failed, in the same way, and no other that ran."""
        return not check or not ran or _failed(check(variant(), only=ran, diagnose=False)) == _failed(report)

    return [_sentence(variant) for *_, variant in likely if agrees(variant)][:MOST]


def _preference(each: tuple[float, float, RoundingVariant]) -> tuple[float, float, bool]:
    score, often, variant = each
    return -score, -often, not variant.source


def _in_turn(failures: Sequence[Failure]) -> Iterator[list[Failure]]:
    """One failure of every check, another of every check, and so on."""
    by_check: dict[str, list[Failure]] = {}
    for failure in failures:
        by_check.setdefault(failure.check, []).append(failure)
    for turn in range(max(map(len, by_check.values()), default=0)):
        yield [each[turn] for each in by_check.values() if turn < len(each)]


def _sentence(variant: RoundingVariant) -> str:
    link = f" ({variant.source})" if variant.source else ""
    return f"looks like {variant.summary}{link} [{variant.rule}/{variant.id}]"


def _score(variant: RoundingVariant, failures: Sequence[Failure]) -> tuple[float, float]:
    """The share of failures that a mutant can have made, and, in tenths, how often it does."""
    port = variant()
    shares = [_share(port, failure) for failure in failures]
    return sum(share > 0 for share in shares) / len(shares), round(sum(shares) / len(shares), 1)


def _share(port: Any, failure: Failure) -> float:
    """How often what is said of a number happens to a mutant; if that was counted, 1 for as often, and else 0."""
    seen: Mapping[str, Any] = failure.inputs
    x = np.full(COPIES, int(seen["x"], 16), np.uint32)
    got = port.round(x.view(np.float32)).view(np.uint16)
    if "count" not in seen:
        return np.count_nonzero(got == int(failure.got, 16)) / COPIES
    share = np.count_nonzero(got == (x[0] >> 16) + 1) / COPIES
    variance = max(share * (1 - share), 1 / COPIES) * (1 / seen["of"] + 1 / COPIES)
    return float(abs(seen["count"] / seen["of"] - share) <= WIDTH * variance**0.5)


def _failed(report: Report) -> set[tuple[str, bool]]:
    """The sure checks that failed, and whether the first failure is an infinity."""
    failed = [result for result in report.checks if result.failures and result.id in SURE]
    return {(result.id, result.failures[0].got in ("0x7f80", "0xff80")) for result in failed}
