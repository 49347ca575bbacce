"""The checks checked: a check that could not tell a wrong port from a right one is vacuous, and rejected.

A check is run on a right port. For each element of each step the bound within which any legal order may differ is set
against half of the rate (else a wrong sign could hide in it) and half of rate·wd·|p| (else a missing decay could).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from signopt.conformance.checks import REGISTRY, Check
from signopt.conformance.declarations import Declaration
from signopt.conformance.driver import Driver
from signopt.conformance.numpy_ports.bases import BASES
from signopt.conformance.oracle.rules import RULES, SIGN_RULES, Optimizer
from signopt.conformance.oracle.step import Step
from signopt.conformance.report import CheckResult
from signopt.conformance.session import NotApplicableError, Session

__all__ = ["Lint", "lint", "lint_all"]


@dataclass
class Lint:
    """What one check can tell, in one rule and dtype.

    ``judged`` elements in all, of which ``stepped`` were judged against the rule; ``direction`` of these can tell a
    wrong sign and ``decay`` a missing decay. The others, judged minus stepped, are compared bit for bit.
    """

    check: str
    rule: str
    dtype: str
    stepped: int = 0
    direction: int = 0
    decay: int = 0
    judged: int = 0
    applies: bool = True

    @property
    def vacuous(self) -> str:
        """Why the check proves nothing; empty if it proves something."""
        if not self.applies:
            return ""
        if not self.judged:
            return "it judges nothing"
        if self.judged > self.stepped:
            return ""
        if self.check.startswith("decay/") and self.check != "decay/none" and not self.decay:
            return "no element can tell a missing decay: the bound reaches half of rate·wd·|p| everywhere"
        if not self.direction and not self.decay:
            return "no element can tell a wrong sign: the bound reaches half of the rate everywhere"
        return ""

    def watch(self, rule: Optimizer, habits: Any, step: Step) -> None:
        """Count the elements of one step."""
        found = rule.discrimination(habits, step)
        self.stepped += found.judged
        self.direction += found.direction
        self.decay += found.decay


def lint(check: Check, rule: str, dtype: str, seed: int = 0) -> Lint:
    """Run one check on a right port and count what its elements can tell."""
    driver = Driver(BASES[rule]())
    declared = Declaration.of({**driver.describe(), "dtypes": [dtype], "decay": "bracket", "form": "mul-add"})
    result = CheckResult(check.id, check.group, dtype, check.proves)
    found, optimizer = Lint(check.id, rule, dtype), RULES[rule]
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{rule} has no steps whose elements could tell anything")
    try:
        check.function(Session(driver, declared, result, seed, partial(found.watch, optimizer, declared.habits)))
    except NotApplicableError:
        found.applies = False
    found.judged = result.judged
    return found


def lint_all(
    rules: Iterable[str] = SIGN_RULES, dtypes: Iterable[str] = ("float32", "float64"), seed: int = 0
) -> Iterator[Lint]:
    """Every check of the registry, in every rule that it is for."""
    for check in REGISTRY.values():
        for rule in rules:
            if rule in check.rules:
                yield from (lint(check, rule, dtype, seed) for dtype in dtypes)
