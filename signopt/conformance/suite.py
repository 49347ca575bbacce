"""The suite: every check of a profile against one port, and the report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from signopt.conformance import diagnosis
from signopt.conformance.causes import message_of
from signopt.conformance.checks import ORDER, PROFILES, REGISTRY, Check
from signopt.conformance.declarations import Declaration
from signopt.conformance.driver import Driver, make_port
from signopt.conformance.errors import DeclarationError, PortMisbehaved, PortNotRun, PortRaised
from signopt.conformance.oracle.rules import RULES
from signopt.conformance.report import CheckResult, Report
from signopt.conformance.session import CannotRunError, EnoughError, NotApplicableError, Session

__all__ = ["apply_deviations", "check", "describe_port", "run_check", "select"]

Progress = Callable[[CheckResult, int, int], None]
MOST_NAMED = 4
"""Of checks in one line of the report."""


def check(
    port: Any,
    profile: str = "standard",
    *,
    rule: str | None = None,
    seed: int = 0,
    deviations: Mapping[str, str] | None = None,
    dtypes: Iterable[str] | None = None,
    only: Iterable[str] | None = None,
    progress: Progress | None = None,
    diagnose: bool = True,
) -> Report:
    """Check one port in this process. Never raises for a bad port: what is wrong with it is in the report.

    It trusts the port not to deceive: a port in this process can change NumPy, the suite or the report itself. The
    verdict is about code that is meant to be right; for code that is not, ``signopt check`` gives the port a process of
    its own. It also trusts the port to return: a call is interrupted after a minute of its own time, in the main thread
    only, and not inside compiled code. An exception that ends the process by intent (KeyboardInterrupt) passes.

    Parameters
    ----------
    port : Port
        An instance, or a class or factory without arguments.
    profile : {"core", "standard", "strict"}
    rule : str, optional
        What the port must implement; one that implements another is not run.
    seed : int, default 0
        From which, with the check's id and the dtype, every random choice follows.
    deviations : mapping, optional
        {check id: reason}, or {"id[dtype]": reason}, of failures that are known and stated.
    dtypes : iterable of str, optional
        Of the declared dtypes only these.
    only : iterable of str, optional
        Of the profile only the checks with these ids or groups; the rest is not part of the run.
    progress : callable, optional
        Called with each result as it is there, its number, and how many there will be.
    diagnose : bool, default True
        Whether a failing report names the known bug that explains it.

    Raises
    ------
    ValueError
        For an unknown profile, a negative seed, or an ``only`` that selects nothing or names an unknown check.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}; got {profile!r}")
    if seed < 0:
        raise ValueError(f"seed must not be negative; got {seed}")
    report = Report(port=type(port).__name__, rule="", profile=profile, seed=seed)
    report.selection = _selection(only, dtypes)
    described = describe_port(port, report)
    if described is None:
        return report
    driver, declared = described
    if rule not in (None, declared.rule):
        report.obstacles.append(f"could not run: asked for {rule}, and the port implements {declared.rule}")
        return report
    plan = _plan(declared, report)
    for number, (each, dtype) in enumerate(plan, 1):
        report.checks.append(run_check(each, driver, declared, dtype, seed))
        if progress:
            progress(report.checks[-1], number, len(plan))
    report.notes.extend(_unproven(report))
    apply_deviations(report, deviations or {})
    if diagnose and report.counts["failed"]:
        report.explain(diagnosis.explain(report, check))
    return report


def _selection(only: Iterable[str] | None, dtypes: Iterable[str] | None) -> dict[str, list[str]]:
    asked = {"only": only, "dtypes": dtypes}
    return {key: list(names) for key, names in asked.items() if names is not None}


def _unproven(report: Report) -> Iterator[str]:
    """A line for each ground that is no proof: what it is, how many checks it decided, and which."""
    for ground, sentence in RULES[report.rule].grounds.items():
        checks = list(dict.fromkeys(result.id for result in report.checks if result.judged_by.get(ground)))
        if sentence and checks:
            yield f"{sentence} Concerned {_counted(checks)}."


def _counted(checks: list[str]) -> str:
    few = ", ".join(checks[:MOST_NAMED])
    return few if len(checks) <= MOST_NAMED else f"{len(checks)} checks: {few}, …"


def _plan(declared: Declaration, report: Report) -> list[tuple[Check, str]]:
    """What is to be run, in order; a dtype that was asked for and is not declared is an obstacle."""
    asked = report.selection.get("dtypes", declared.dtypes)
    absent = [name for name in asked if name not in declared.dtypes]
    if absent or not asked:
        listed = ", ".join(declared.dtypes)
        report.obstacles.append(f"no check in {', '.join(absent) or 'any dtype'}: the port declares {listed}")
    dtypes = [name for name in declared.dtypes if name in asked]
    checks = select(declared.rule, report.profile, report.selection.get("only"))
    return [(each, dtype) for each in checks for dtype in dtypes]


def describe_port(port: Any, report: Report) -> tuple[Driver, Declaration] | None:
    """The port behind guards and what it says of itself; None, with the reason in the report, if that fails."""
    try:
        driver = Driver(make_port(port))
        described = driver.describe()
        declared = Declaration.of(described)
        report.declared = dict(described)
    except (DeclarationError, PortRaised, PortMisbehaved, PortNotRun) as error:
        report.obstacles.append(f"could not run: {error}")
        return None
    # What describe() returned is foreign too, and may raise when it is read.
    except Exception as error:
        report.obstacles.append(
            f"could not run: reading what describe() returned: {type(error).__name__}: {message_of(error)}"
        )
        return None
    report.notes.extend(declared.unread())
    report.port, report.rule, report.port_version = declared.name, declared.rule, declared.version
    return driver, declared


def select(rule: str, profile: str, only: Iterable[str] | None = None) -> list[Check]:
    """The checks of a profile for a rule, in their order."""
    names = None if only is None else set(only)
    chosen = sorted(
        (c for c in REGISTRY.values() if c.applies(rule, profile)),
        key=lambda c: (PROFILES.index(c.profile), ORDER.index(c.group)),
    )
    if names is not None:
        unknown = sorted(names - REGISTRY.keys() - {c.group for c in REGISTRY.values()})
        if unknown:
            raise ValueError(f"no check or group is called {', '.join(unknown)}; 'signopt checks' lists them")
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
    except (CannotRunError, PortNotRun) as reason:
        result.status, result.reason = "not_run", str(reason)
    except (PortRaised, PortMisbehaved) as error:
        _record_quietly(session, str(error))
    # Whatever a port made the suite stumble over, the other checks go on, and nobody is accused of it.
    except Exception as error:
        result.status, result.reason = "not_run", f"the check broke down: {type(error).__name__}: {message_of(error)}"
    _conclude(each, result)
    return result


def _record_quietly(session: Session, message: str) -> None:
    with contextlib.suppress(EnoughError):
        session.fail(message)


def _conclude(each: Check, result: CheckResult) -> None:
    """The status from what was recorded; traces are kept only if something failed."""
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
    """Mark stated failures as deviating; a statement that matches no failure of a check that ran is an error."""
    for name, reason in deviations.items():
        matching = [c for c in report.checks if name in (c.id, f"{c.id}[{c.dtype}]")]
        failing = [c for c in matching if c.failures]
        for result in failing:
            result.status, result.reason = "deviating", reason
        if not matching and not report.selection and not report.obstacles:
            report.errors.append(f"deviation {name!r} matches no check of this run")
        elif matching and not failing and all(c.status != "not_run" for c in matching):
            report.errors.append(f"deviation {name!r} is stated, but the check passes: remove it")
