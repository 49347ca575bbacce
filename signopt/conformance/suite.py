"""The suite: every check of a profile against one port, and the report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from signopt.conformance import diagnosis
from signopt.conformance.checks import ORDER, PROFILES, REGISTRY, Check
from signopt.conformance.declarations import Declaration, DeclarationError
from signopt.conformance.driver import Driver, PortRaisedError, PortWrongError, made
from signopt.conformance.report import CheckResult, Report
from signopt.conformance.session import CannotRunError, EnoughError, NotApplicableError, Session

__all__ = ["apply_deviations", "check", "introduce", "run_check", "select"]

Progress = Callable[[CheckResult], None]


def check(
    port: Any,
    profile: str = "standard",
    *,
    seed: int = 0,
    deviations: Mapping[str, str] | None = None,
    dtypes: Iterable[str] | None = None,
    only: Iterable[str] | None = None,
    progress: Progress | None = None,
    diagnose: bool = True,
) -> Report:
    """Check one port. Never raises for a bad port: what is wrong with it is in the report.

    Parameters
    ----------
    port : Port
        An instance, or a class or factory without arguments.
    profile : {"core", "standard", "strict"}
    seed : int, default 0
        From which, with the check's id and the dtype, every random choice follows.
    deviations : mapping, optional
        {check id: reason}, or {"id[dtype]": reason}, of failures that are known and stated.
    dtypes : iterable of str, optional
        Of the declared dtypes only these.
    only : iterable of str, optional
        Of the profile only the checks with these ids or groups; the rest is not part of the run.
    progress : callable, optional
        Called with each result as it is there.
    diagnose : bool, default True
        Whether a failing report names the known bug that explains it.

    Raises
    ------
    ValueError
        For an unknown profile, or an ``only`` that selects nothing.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}; got {profile!r}")
    report = Report(port=type(port).__name__, rule="", profile=profile, seed=seed)
    described = introduce(port, report)
    if described is None:
        return report
    driver, declared = described
    wanted = [name for name in declared.dtypes if dtypes is None or name in set(dtypes)]
    if not wanted:
        report.errors.append(f"no dtype to check: the port declares {', '.join(declared.dtypes)}")
    for each in select(declared.rule, profile, only):
        for dtype in wanted:
            report.checks.append(run_check(each, driver, declared, dtype, seed))
            if progress:
                progress(report.checks[-1])
    apply_deviations(report, deviations or {})
    if diagnose and report.verdict == "fail":
        report.diagnosis.extend(diagnosis.explain(report))
    return report


def introduce(port: Any, report: Report) -> tuple[Driver, Declaration] | None:
    """The port behind guards and what it says of itself; None, with the reason in the report, where that fails."""
    try:
        driver = Driver(made(port))
        described = driver.describe()
        declared = Declaration.of(described)
    except (DeclarationError, PortRaisedError, PortWrongError) as error:
        report.errors.append(f"could not run: {error}")
        return None
    # A class or factory is foreign code too; what it raises is the report's business.
    except Exception as error:
        report.errors.append(f"could not make the port: {type(error).__name__}: {error}")
        return None
    report.port, report.rule, report.port_version = declared.name, declared.rule, declared.version
    report.declared = dict(described)
    return driver, declared


def select(rule: str, profile: str, only: Iterable[str] | None = None) -> list[Check]:
    """The checks of a profile for a rule, in their order."""
    names = None if only is None else set(only)
    chosen = sorted(
        (c for c in REGISTRY.values() if c.applies(rule, profile)),
        key=lambda c: (PROFILES.index(c.profile), ORDER.index(c.group)),
    )
    if names is not None:
        chosen = [c for c in chosen if c.id in names or c.group in names]
    if not chosen:
        raise ValueError(f"no check of profile {profile!r} for {rule} is among {sorted(names or ())}")
    return chosen


def run_check(each: Check, driver: Driver, declared: Declaration, dtype: str, seed: int = 0) -> CheckResult:
    """Run one check in one dtype."""
    result = CheckResult(each.id, each.group, dtype, each.proves)
    session = Session(driver, declared, result, seed)
    try:
        each.function(session)
    except EnoughError:
        pass
    except NotApplicableError as reason:
        result.status, result.reason = "not_applicable", str(reason)
    except CannotRunError as reason:
        result.status, result.reason = "not_run", str(reason)
    except (PortRaisedError, PortWrongError) as error:
        _record_quietly(session, str(error))
    _conclude(each, result)
    return result


def _record_quietly(session: Session, message: str) -> None:
    with contextlib.suppress(EnoughError):
        session.fail(message)


def _conclude(each: Check, result: CheckResult) -> None:
    """The status from what was recorded; traces are kept only where something failed."""
    if result.failures:
        result.status = "failed"
        return
    result.traces.clear()
    if result.status == "passed" and not result.judged:
        result.status = "not_applicable" if result.notes else "not_run"
        result.reason = "; ".join(result.notes) or "the check judged nothing"
    if result.status == "not_applicable" and each.essential:
        result.status, result.reason = "not_run", f"essential, and not possible: {result.reason}"


def apply_deviations(report: Report, deviations: Mapping[str, str]) -> None:
    """Mark stated failures as deviating; a statement that matches no failure is an error."""
    for name, reason in deviations.items():
        matching = [c for c in report.checks if name in (c.id, f"{c.id}[{c.dtype}]")]
        failing = [c for c in matching if c.failures]
        for result in failing:
            result.status, result.reason = "deviating", reason
        if not matching:
            report.errors.append(f"deviation {name!r} matches no check of this run")
        elif not failing:
            report.errors.append(f"deviation {name!r} is stated, but the check passes: remove it")
