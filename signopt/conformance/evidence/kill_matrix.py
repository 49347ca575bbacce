"""The kill matrix: every known mutant and every right port against every check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from signopt.conformance.mutants import MUTANTS
from signopt.conformance.mutants.rounding import ROUNDING, RoundingVariant
from signopt.conformance.mutants.rounding_right import RIGHT_ROUNDING
from signopt.conformance.numpy_ports import RIGHT_PORTS, Variant
from signopt.conformance.port import Port
from signopt.conformance.report import SUITE, CheckResult
from signopt.conformance.suite import check, select

__all__ = ["RULES", "Matrix", "Row", "kill_matrix"]

Wrap = Callable[[Port], Port]
AnyVariant = Variant | RoundingVariant

RULES = (*MUTANTS, RoundingVariant.rule)
"""The rules that have mutants."""


@dataclass
class Row:
    """One port: in how many runs each check failed, and how many runs failed at all.

    A run is one dtype with one seed. ``unrun`` names the checks that could not run.
    """

    variant: AnyVariant
    right: bool
    runs: int = 0
    failing: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    unrun: set[str] = field(default_factory=set)

    @property
    def as_expected(self) -> bool:
        """A mutant failed in every run, a right port in none."""
        return self.failing == (0 if self.right else self.runs)

    def to_dict(self) -> dict[str, Any]:
        """As in the JSON."""
        return {
            "id": self.variant.id,
            "rule": self.variant.rule,
            "right": self.right,
            "summary": self.variant.summary,
            "source": self.variant.source,
            "runs": self.runs,
            "failing": self.failing,
            "failed": dict(self.failed),
            "not_run": sorted(self.unrun),
        }


@dataclass
class Matrix:
    """All rows of one run of the suite against its own mutants."""

    profile: str
    dtypes: Sequence[str]
    seeds: Sequence[int]
    checks: Mapping[str, Sequence[str]]
    enough: int | None = None
    rows: list[Row] = field(default_factory=list)

    @property
    def survivors(self) -> list[Row]:
        """Mutants that some run did not catch."""
        return [row for row in self.rows if not row.right and not row.as_expected]

    @property
    def accused(self) -> list[Row]:
        """Right ports that some run failed."""
        return [row for row in self.rows if row.right and not row.as_expected]

    def sole_kills(self, rule: str) -> dict[str, list[str]]:
        """For each check of a rule the mutants that no other check catches in any run."""
        alone = [row for row in self.rows if row.variant.rule == rule and not row.right and len(row.failed) == 1]
        return {check: [row.variant.id for row in alone if check in row.failed] for check in self.checks[rule]}

    def to_dict(self) -> dict[str, Any]:
        """The matrix as JSON data."""
        return {
            "suite": SUITE,
            "profile": self.profile,
            "dtypes": list(self.dtypes),
            "seeds": list(self.seeds),
            "checks": {rule: list(names) for rule, names in self.checks.items()},
            "survivors": [f"{row.variant.rule}/{row.variant.id}" for row in self.survivors],
            "accused": [f"{row.variant.rule}/{row.variant.id}" for row in self.accused],
            "sole_kills": {rule: self.sole_kills(rule) for rule in self.checks},
            "rows": [row.to_dict() for row in self.rows],
        }

    def text(self) -> str:
        """The matrix for a terminal: one line for each port, one column for each check."""
        return "\n\n".join(self._text(rule) for rule in self.checks) + f"\n\n{self.summary()}"

    def _text(self, rule: str) -> str:
        names = self.checks[rule]
        rows = [row for row in self.rows if row.variant.rule == rule]
        width = max((len(row.variant.id) for row in rows), default=0)
        lines = [f"{rule}, profile {self.profile}, {', '.join(self.dtypes)}, seeds {', '.join(map(str, self.seeds))}"]
        lines += [f"  {i + 1:2d} {name}" for i, name in enumerate(names)]
        for row in rows:
            cells = "".join("x" if row.failed[name] else "?" if name in row.unrun else "." for name in names)
            mark = "" if row.as_expected else "  ACCUSED" if row.right else "  SURVIVES"
            lines.append(f"{'right ' if row.right else 'mutant'} {row.variant.id:{width}} {cells}{mark}")
        return "\n".join(lines)

    def summary(self) -> str:
        """Killed and accused, in one line for each rule."""
        return "\n".join(self._summary(rule) for rule in self.checks)

    def _summary(self, rule: str) -> str:
        mutants = [row for row in self.rows if row.variant.rule == rule and not row.right]
        right = [row for row in self.rows if row.variant.rule == rule and row.right]
        killed = sum(row.as_expected for row in mutants)
        accused = sum(not row.as_expected for row in right)
        return f"{rule}: killed {killed} of {len(mutants)} mutants, accused {accused} of {len(right)} right ports"


def kill_matrix(
    rules: Iterable[str] = RULES,
    *,
    profile: str = "standard",
    dtypes: Sequence[str] = ("float32", "float64"),
    seeds: Sequence[int] = (0,),
    wrap: Wrap = lambda port: port,
    only: Callable[[AnyVariant], bool] = lambda variant: True,
    enough: int | None = None,
    progress: Callable[[Row], None] = lambda row: None,
) -> Matrix:
    """Run the suite against every known mutant and right port.

    Parameters
    ----------
    rules, profile, dtypes, seeds
        What is run; a variant is run in those of the dtypes in which it shows.
    wrap : callable
        Put around every mutant, for instance :func:`hide_momentum`: it must be caught all the same. A stochastic
        rounding has no momentum, and is run as it is.
    only : callable
        Which variants to run.
    enough : int, optional
        End each run after so many failed checks: 1 still finds every survivor, 2 also every mutant that only one check
        catches, and most mutants are done within a few checks. With further dtypes and seeds, a mutant first meets the
        checks that caught it before, and the first of them that does so again ends its run.
    progress : callable
        Called with a row after each of its runs. All ports have their run in one dtype with one seed before the next
        begins, because what their runs have in common is worked out once, and kept for a while.
    """
    rules = tuple(rules)
    checks = {rule: [each.id for each in select(rule, profile)] for rule in rules}
    matrix = Matrix(profile, dtypes, seeds, checks, enough)
    for rule in rules:
        rows = [Row(variant, right) for variant, right in _ports(rule) if only(variant)]
        matrix.rows += rows
        for dtype, seed in product(dtypes, seeds):
            for row in (row for row in rows if dtype in row.variant.dtypes):
                _run(row, _port(row.variant, row.right, wrap, seed), matrix, dtype, seed)
                progress(row)
    return matrix


def _ports(rule: str) -> Sequence[tuple[AnyVariant, bool]]:
    """The mutants of a rule, and its right ports."""
    if rule == RoundingVariant.rule:
        return [*((v, False) for v in ROUNDING), *((v, True) for v in RIGHT_ROUNDING)]
    return [*((v, False) for v in MUTANTS.get(rule, ())), *((v, True) for v in RIGHT_PORTS.get(rule, ()))]


def _port(variant: AnyVariant, right: bool, wrap: Wrap, seed: int) -> Any:
    if isinstance(variant, RoundingVariant):
        return variant(seed)
    return variant() if right else wrap(variant())


class _EnoughError(Exception):
    """A run has shown what is asked of it."""


def _run(row: Row, port: Any, matrix: Matrix, dtype: str, seed: int) -> None:
    """One run, which in a quick matrix begins with the checks that caught this mutant before, and may end there."""
    row.runs += 1
    again = matrix.enough is not None and not row.right and bool(row.failed)
    caught = again and _fails(row, port, matrix, dtype, seed, enough=1, only=frozenset(row.failed))
    row.failing += caught or _fails(row, port, matrix, dtype, seed, matrix.enough)


def _fails(
    row: Row, port: Any, matrix: Matrix, dtype: str, seed: int, enough: int | None, only: frozenset[str] | None = None
) -> bool:
    failed: set[str] = set()
    unrun: set[str] = set()

    def note(result: CheckResult, done: int, planned: int) -> None:
        del done, planned
        failed.update({result.id} if result.status == "failed" else ())
        unrun.update({result.id} if result.status == "not_run" else ())
        if enough is not None and len(failed) >= enough:
            raise _EnoughError

    refused = False
    with suppress(_EnoughError):
        report = check(port, matrix.profile, seed=seed, dtypes=[dtype], only=only, progress=note, diagnose=False)
        refused = report.verdict != "pass"
    row.failed.update(failed)
    row.unrun |= unrun
    return bool(failed) or refused
