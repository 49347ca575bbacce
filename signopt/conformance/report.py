"""What a run of the suite found: plain data, the same in Python and in JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from signopt._version import __version__

__all__ = ["STATUSES", "SUITE", "CheckResult", "Failure", "Report", "Trace"]

SUITE = "2026.11.0"
"""The version of the suite, CalVer: year, month, number. Checks with the same version are the same checks."""

STATUSES = ("passed", "failed", "deviating", "not_applicable", "not_run")


@dataclass
class Trace:
    """One life of a port in a check, such that it can be repeated on another port: see :mod:`diagnosis`.

    ``steps`` holds the gradients of each step; ``outputs`` the (params, momentum) read after each; ``hyper`` the
    hyperparameters of each step, the first those of ``init``.
    """

    check: str
    params: dict[str, np.ndarray[Any, Any]]
    momentum: dict[str, np.ndarray[Any, Any]] | None
    hyper: list[Mapping[str, Any]] = field(default_factory=list)
    steps: list[dict[str, np.ndarray[Any, Any]]] = field(default_factory=list)
    outputs: list[tuple[dict[str, np.ndarray[Any, Any]], dict[str, np.ndarray[Any, Any]] | None]] = field(
        default_factory=list
    )


@dataclass(frozen=True)
class Failure:
    """One element, or one call, that is wrong: what went in, what was legal, what came.

    Numbers are hexadecimal floats of the value as binary64. ``inputs`` has p, g, m (two ends if the momentum is
    hidden) and the hyperparameters; ``direction`` is the exact c; ``looks_like`` the known bug that explains it.
    """

    check: str
    dtype: str
    message: str
    tensor: str = ""
    index: tuple[int, ...] = ()
    step: int = 0
    quantity: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    direction: str = ""
    region: str = ""
    allowed: str = ""
    got: str = ""
    looks_like: str = ""

    def __str__(self) -> str:
        """The message, then a line for each thing that is known."""
        known = [f"  {label}: {text}" for label, text in self.details()]
        return "\n".join([f"{self.check}[{self.dtype}]: {self.message}", *known])

    def details(self) -> list[tuple[str, str]]:
        """What is known, by label, without what is empty."""
        hyper = self.inputs.get("hyper") or {}
        known = [
            ("where", self._place()),
            ("parameter p", _number(self.inputs.get("p"))),
            ("gradient g", _number(self.inputs.get("g"))),
            ("momentum m", _number(self.inputs.get("m"))),
            ("hyperparameters", ", ".join(f"{key} = {value}" for key, value in hyper.items())),
            ("exact c", self.direction),
            ("region", self.region),
            ("allowed", self.allowed),
            ("got", _number(self.got)),
            ("diagnosis", self.looks_like),
        ]
        return [(label, text) for label, text in known if text]

    def _place(self) -> str:
        if not self.tensor:
            return ""
        index = ", ".join(map(str, self.index))
        what = f" ({self.quantity})" if self.quantity else ""
        return f"{self.tensor}[{index}]{what}, step {self.step}"


def _number(text: Any) -> str:
    """A hexadecimal float with its decimal value beside it; of an interval, both ends."""
    if isinstance(text, list | tuple):
        return " … ".join(map(_number, text))
    if not text:
        return ""
    try:
        return f"{text} ({float.fromhex(text):.9g})"
    except (ValueError, OverflowError):
        return str(text)


@dataclass
class CheckResult:
    """One check in one dtype. ``judged`` counts elements; ``reason`` says why it did not run or does not apply.

    ``judged_by`` counts elements of parameters by what they were judged by, if the rule has more than one way: the keys
    are those of `signopt.conformance.oracle.rules.Rule.grounds`.
    """

    id: str
    group: str
    dtype: str
    proves: str
    status: str = "passed"
    reason: str = ""
    judged: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list, repr=False)
    judged_by: dict[str, int] = field(default_factory=dict)

    def count(self, by: Mapping[str, int]) -> None:
        """Add what elements were judged by."""
        for ground, elements in by.items():
            self.judged_by[ground] = self.judged_by.get(ground, 0) + elements

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON report, without the traces."""
        shown = {key: value for key, value in vars(self).items() if key not in ("traces", "failures")}
        copied = {"judged_by": dict(self.judged_by), "notes": list(self.notes)}
        return {**shown, **copied, "failures": [asdict(failure) for failure in self.failures]}


@dataclass
class Report:
    """The whole run.

    ``errors`` are faults beside the checks, such as an unreadable reply to ``bye`` or a deviation that no longer shows:
    with one the verdict is "fail". ``obstacles`` say what kept checks from running, and accuse nobody. ``notes`` change
    no verdict. ``selection`` is what ``only`` and ``dtypes`` left of the profile, if they were given.
    """

    port: str
    rule: str
    profile: str
    seed: int = 0
    port_version: str = ""
    declared: Mapping[str, Any] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    selection: Mapping[str, list[str]] = field(default_factory=dict)
    diagnosis: list[str] = field(default_factory=list)
    suite: str = SUITE

    @property
    def counts(self) -> dict[str, int]:
        """How many checks ended in each status."""
        counted = Counter(result.status for result in self.checks)
        return {status: counted[status] for status in STATUSES}

    @property
    def verdict(self) -> str:
        """ "pass", "fail" or "undecided".

        "fail" if a check failed, or there is an error. "pass" only if every check ran, or does not apply for a
        stated reason. Else "undecided": something did not run.
        """
        counts = self.counts
        if counts["failed"] or self.errors:
            return "fail"
        return "undecided" if self.obstacles or counts["not_run"] or not counts["passed"] else "pass"

    def explain(self, diagnosis: Sequence[str]) -> None:
        """Enter which known bugs explain the report, best first; each failure names the first."""
        self.diagnosis.extend(diagnosis)
        for result in self.checks if diagnosis else []:
            result.failures[:] = [replace(each, looks_like=diagnosis[0]) for each in result.failures]

    @property
    def failures(self) -> list[Failure]:
        """Of all checks, deviating ones included."""
        return [failure for result in self.checks for failure in result.failures]

    def to_dict(self) -> dict[str, Any]:
        """The JSON report as Python data."""
        return {
            "suite": self.suite,
            "signopt": __version__,
            "port": self.port,
            "port_version": self.port_version,
            "rule": self.rule,
            "profile": self.profile,
            "seed": self.seed,
            "verdict": self.verdict,
            "counts": self.counts,
            "errors": list(self.errors),
            "obstacles": list(self.obstacles),
            "notes": list(self.notes),
            "selection": {key: list(names) for key, names in self.selection.items()},
            "diagnosis": list(self.diagnosis),
            "declared": _plain(self.declared),
            "checks": [result.to_dict() for result in self.checks],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
