"""One pytest test per check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from signopt.conformance import diagnosis
from signopt.conformance.checks import Check
from signopt.conformance.declarations import Declaration
from signopt.conformance.driver import Driver, as_port
from signopt.conformance.errors import CheckNotRun
from signopt.conformance.report import CheckResult, Report
from signopt.conformance.suite import check, run_check, select

__all__ = ["CheckCall", "parametrize"]


@dataclass(frozen=True)
class CheckCall:
    """One check of one port in one dtype, to be called in a test: AssertionError if it fails."""

    check: Check
    port: Any
    dtype: str
    seed: int

    def __call__(self) -> CheckResult:
        driver = Driver(as_port(self.port))
        described = driver.describe()
        result = run_check(self.check, driver, Declaration.of(described), self.dtype, self.seed)
        if result.status == "failed":
            raise AssertionError(_failed(result, described))
        if result.status == "not_run":
            raise CheckNotRun(f"{result.id}[{result.dtype}] did not run: {result.reason}")
        if result.status == "not_applicable":
            import pytest

            pytest.skip(result.reason)
        return result


def _failed(result: CheckResult, described: Mapping[str, Any]) -> str:
    """What the check proves, the known bug that its failures look like, and the failures."""
    report = Report(described["name"], described["rule"], result.id, declared=described, checks=[result])
    report.explain(diagnosis.explain(report, check))
    return "\n".join([f"{result.id}: {result.proves}", *report.diagnosis[:1], *map(str, result.failures)])


def parametrize(
    port: Any,
    profile: str = "standard",
    *,
    deviations: Mapping[str, str] | None = None,
    seed: int = 0,
    dtypes: Iterable[str] | None = None,
    name: str = "check",
) -> Any:
    """A ``pytest.mark.parametrize`` that gives one test per check and dtype.

    ::

        @parametrize(MyPort(), deviations={"nonfinite/nan-gradient": "sign(NaN) is +1 by design"})
        def test_conforms(check):
            check()

    A stated deviation becomes a strict xfail: it must fail, or the test says that the statement is out of date.

    Raises
    ------
    ValueError
        If a deviation names no check of this run.
    """
    import pytest

    declared = Declaration.of(Driver(as_port(port)).describe())
    stated = dict(deviations or {})
    params, used = [], set()
    for each in select(declared.rule, profile):
        for dtype in declared.dtypes if dtypes is None else [d for d in declared.dtypes if d in set(dtypes)]:
            label = f"{each.id}[{dtype}]"
            key = next((k for k in (label, each.id) if k in stated), None)
            used.add(key)
            marks = [] if key is None else [pytest.mark.xfail(reason=stated[key], strict=True)]
            params.append(pytest.param(CheckCall(each, port, dtype, seed), id=label, marks=marks))
    unknown = sorted(set(stated) - used)
    if unknown:
        raise ValueError(f"deviations that match no check: {', '.join(unknown)}")
    return pytest.mark.parametrize(name, params)
