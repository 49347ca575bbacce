"""Which known bug explains a failing report.

The traces of the failed checks are replayed on the plain port of the rule and on every known mutant. The *symptoms*
are the numbers in which the port under test departs from the plain one. A mutant scores the share of symptoms that it
reproduces, less what it gets wrong elsewhere: 1 means that it does all that was seen and nothing else.

Of bugs that explain as much, the simpler ones come first, and of these the ones that a published port has. A bug that
leaves numbers alone which the port changed is none, however little: "never written" is not said of a small step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from signopt.conformance.mutants import MUTANTS
from signopt.conformance.mutants.rounding import RoundingVariant
from signopt.conformance.numpy_ports import RIGHT_PORTS, Variant
from signopt.conformance.port import Arrays
from signopt.conformance.report import Report, Trace
from signopt.conformance.rounding_diagnosis import explain_rounding

__all__ = ["Explanation", "explain", "explanations"]

Array = np.ndarray[Any, Any]

ENOUGH = 0.9
SIMILAR = 0.5
MOST_TRACES = 16
MOST_NUMBERS = 20_000
ROUNDINGS = {"muon": (0, 1024)}
OTHERWISE = (0, 32)
"""How many units of rounding are forgiven: none at first, then as many as this; Muon's iteration enlarges them."""
MOST_CONTRADICTED = 0.05


@dataclass(frozen=True)
class Explanation:
    """A known bug and its score, at most 1."""

    mutant: Variant
    score: float

    def __str__(self) -> str:
        verb = "looks like" if self.score >= ENOUGH else "resembles"
        link = f" ({self.mutant.source})" if self.mutant.source else ""
        return f"{verb} {self.mutant.summary}{link} [{self.mutant.rule}/{self.mutant.id}]"


def explain(report: Report, check: Callable[..., Report] | None = None) -> list[str]:
    """Sentences that name the known bugs which reproduce the traces of the failed checks, best first; at most three.

    Those of a stochastic rounding are told apart by running checks on them with ``check``, if it is given.
    """
    if report.rule == RoundingVariant.rule:
        return explain_rounding(report, check)
    return [str(explanation) for explanation in explanations(report)[:3]]


def explanations(report: Report) -> list[Explanation]:
    """The mutants that explain the report, best first; those tied with the best when it explains it all, else the best.

    Bits are compared first; only if no mutant has the same bits are a few roundings forgiven.
    """
    traces = _chosen(report)
    if not traces or report.rule not in MUTANTS:
        return []
    ranked: list[Explanation] = []
    plain, *replays = (
        _replays(v, traces, report) for v in (Variant("plain", report.rule, "", {}), *MUTANTS[report.rule])
    )
    for roundings in ROUNDINGS.get(report.rule, OTHERWISE):
        ranked = _ranked(traces, replays, plain, roundings)
        if ranked and ranked[0].score >= ENOUGH:
            break
    return [each for each in ranked if each.score >= max(SIMILAR, ranked[0].score - 0.02)]


def _chosen(report: Report) -> list[Trace]:
    """Traces of the failed checks in turn, the last of each (there it failed) first, as many as replay quickly."""
    dtype = next((result.dtype for result in report.checks if result.failures and result.traces), None)
    queues = [list(result.traces) for result in report.checks if result.failures and result.dtype == dtype]
    in_turn = [queue[-1 - i] for i in range(MOST_TRACES) for queue in queues if i < len(queue)]
    chosen, numbers = [], 0
    for trace in in_turn:
        numbers += sum(p.size for p in trace.params.values()) * len(trace.outputs)
        if trace.outputs and numbers <= MOST_NUMBERS:
            chosen.append(trace)
    return chosen[:MOST_TRACES]


def _habits(report: Report) -> list[Variant]:
    """The right ports whose declared habits the mutants are given too."""
    declared = report.declared
    wanted = {
        "sign-nan-zero": declared.get("nan") == "zero",
        "subnormals-flushed": declared.get("subnormals") == "flush",
        "decay-first": declared.get("decay") == "first",
    }
    return [right for right in RIGHT_PORTS[report.rule] if wanted.get(right.id)]


@dataclass(frozen=True)
class _Replays:
    """What a variant shows on every trace; None if it raises."""

    variant: Variant
    shown: list[Array | None]


def _replays(variant: Variant, traces: Sequence[Trace], report: Report) -> _Replays:
    habits = _habits(report)
    return _Replays(variant, [_replay(variant.over(*habits), trace) for trace in traces])


def _replay(port: Any, trace: Trace) -> Array | None:
    # A mutant may be unable to follow a trace that its bug was not made for; then it explains nothing.
    try:
        return np.concatenate(list(_steps(port, trace)))
    except (ValueError, ArithmeticError, LookupError, TypeError):
        return None


def _steps(port: Any, trace: Trace) -> Iterator[Array]:
    hyper = trace.hyper[0]
    # Copies: some bugs write into what they are given.
    port.init(_copied(trace.params), hyper, trace.momentum and _copied(trace.momentum))
    for now, grads in zip(trace.hyper, trace.steps, strict=True):
        if now is not hyper:
            port.configure(now)
        hyper = now
        port.step(_copied(grads))
        yield _flat(port.params(), port.momentum())


def _copied(arrays: Arrays) -> Arrays:
    return {name: array.copy() for name, array in arrays.items()}


def _flat(params: Arrays, momentum: Arrays | None) -> Array:
    """Parameters and momentum in one row; a hidden momentum leaves NaN of its own kind, see `_seen`."""
    hidden = {name: np.full(np.shape(p), np.inf) for name, p in params.items()} if momentum is None else momentum
    arrays = [*params.values(), *(hidden[name] for name in params)]
    return np.concatenate([np.ravel(array).astype(np.float64) for array in arrays])


def _seen(trace: Trace) -> Array:
    """Which of the numbers the port under test showed."""
    size = sum(p.size for p in trace.params.values())
    return np.concatenate([np.repeat([True, momentum is not None], size) for _, momentum in trace.outputs])


def _slack(trace: Trace, roundings: int) -> Array:
    """``roundings`` units of rounding of the operands of every number."""
    eps = max(float(np.finfo(_double_or_single(p)).eps) for p in trace.params.values())
    rows = []
    for hyper, grads, (params, momentum) in zip(trace.hyper, trace.steps, trace.outputs, strict=True):
        shown = np.abs(_flat(params, momentum))
        rates = {name: np.full(p.shape, hyper["lr"]) for name, p in params.items()}
        given = {name: grads.get(name, np.zeros(p.shape)) for name, p in params.items()}
        rows.append(shown + np.abs(_flat(rates, given)))
    return np.asarray(np.nan_to_num(np.concatenate(rows), posinf=0.0) * eps * roundings)


def _double_or_single(array: Array) -> type:
    return np.float64 if array.dtype == np.float64 else np.float32


def _same(one: Array, two: Array, slack: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray((one == two) | (np.isnan(one) & np.isnan(two)) | (np.abs(one - two) <= slack))


def _ranked(traces: Sequence[Trace], replays: Sequence[_Replays], plain: _Replays, roundings: int) -> list[Explanation]:
    got = [np.concatenate([_flat(p, m) for p, m in trace.outputs]) for trace in traces]
    slack = [_slack(trace, roundings) for trace in traces]
    seen = [_seen(trace) for trace in traces]

    def matches(shown: Sequence[Array | None]) -> Array:
        rows = zip(got, shown, slack, seen, strict=True)
        return np.concatenate([np.zeros(s.sum(), bool) if r is None else _same(g, r, k)[s] for g, r, k, s in rows])

    symptoms = ~matches(plain.shown)
    if not symptoms.any():
        return []
    moves = np.concatenate([_changed(trace, g)[s] for trace, g, s in zip(traces, got, seen, strict=True)]) & symptoms

    def contradicted(shown: Sequence[Array | None]) -> bool:
        """Whether the port changed numbers in which it differs from the plain one and which the mutant leaves alone."""
        rows = zip(traces, shown, seen, strict=True)
        still = np.concatenate([np.zeros(s.sum(), bool) if r is None else ~_changed(t, r)[s] for t, r, s in rows])
        return bool(np.count_nonzero(still & moves) > MOST_CONTRADICTED * np.count_nonzero(still & symptoms))

    possible = [each for each in replays if not contradicted(each.shown)]
    scored = [Explanation(each.variant, _score(matches(each.shown), symptoms)) for each in possible]
    return sorted(scored, key=_preference)


def _preference(each: Explanation) -> tuple[float, int, bool, int]:
    """By score; then the bugs of fewer pieces; then those of published ports; then those of less code."""
    pieces = each.mutant.pieces
    code = sum(len(piece.__code__.co_code) for piece in pieces.values() if hasattr(piece, "__code__"))
    return -each.score, len(pieces), not each.mutant.source, code


def _changed(trace: Trace, shown: Array) -> Array:
    """Which numbers of a replay differ from what they were before their step."""
    zeros = {name: np.zeros_like(p) for name, p in trace.params.items()}
    start = _flat(trace.params, zeros if trace.momentum is None else trace.momentum)
    rows = shown.reshape(len(trace.outputs), start.size)
    before = np.vstack([start, rows[:-1]])
    return np.asarray(~((rows == before) | (np.isnan(rows) & np.isnan(before)))).ravel()


def _score(right: Array, symptoms: Array) -> float:
    explained, contradicted = np.count_nonzero(right & symptoms), np.count_nonzero(~right & ~symptoms)
    return (explained - contradicted) / np.count_nonzero(symptoms)
