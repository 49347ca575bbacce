"""``signopt check``."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from rich.status import Status

from signopt.cli import COULD_NOT_RUN, FAILED, PASSED
from signopt.commands.console import make_console, reporter
from signopt.conformance.adapters.discovery import candidates
from signopt.conformance.adapters.process import ProcessPort
from signopt.conformance.deviations import Deviation, load, stated
from signopt.conformance.isolation.run import DEFAULT_LIMITS, check_isolated
from signopt.conformance.protocol.child import Limits
from signopt.conformance.protocol.errors import PortFailure
from signopt.conformance.report import Report
from signopt.conformance.reporting.html import as_html
from signopt.conformance.reporting.machine import as_json, as_junit
from signopt.conformance.reporting.matrix import summary
from signopt.conformance.reporting.terminal import show
from signopt.conformance.suite import apply_deviations, check

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Check what the options name; print the table, write the files, return the exit code."""
    if options.target is not None and options.port_command is not None:
        raise ValueError("give a TARGET or a command after --, not both")
    if options.port_command == []:
        raise ValueError("there is no command after --")
    if options.deviations is not None and options.target is None and options.port_command is None:
        raise ValueError("--deviations states what one port does: name it")
    deviations = [] if options.deviations is None else load(options.deviations)
    files = _files(options)
    reports = _reports(options)
    for report in reports:
        _state(report, deviations)
    show(reports, make_console())
    for path, render in files.items():
        path.write_text(render(reports), "utf-8")
    return _exit_code(reports)


def _state(report: Report, deviations: list[Deviation]) -> None:
    """Mark what is stated; a report that passes with it has nothing left to diagnose."""
    apply_deviations(report, stated(deviations, report.rule))
    if report.verdict == "pass":
        report.diagnosis.clear()


def _files(options: argparse.Namespace) -> Mapping[Path, Callable[[list[Report]], str]]:
    """The files asked for; each is opened once now, because a long run should not end in an error of writing."""
    wanted = {options.json: as_json, options.junit: as_junit, options.html: as_html}
    files = {Path(name): render for name, render in wanted.items() if name is not None}
    for path in files:
        with path.open("a"):
            pass
    return files


def _reports(options: argparse.Namespace) -> list[Report]:
    with make_console(stderr=True).status("starting") as status:
        if options.port_command is not None:
            return _check_command(options, status)
        if options.target is not None:
            return [_check_python(options, options.target, options.rule, {}, status)]
        return _check_everything(options, status)


def _check_everything(options: argparse.Namespace, status: Status) -> list[Report]:
    """Every candidate that is installed and meant to be the rule that it names; each is told as it is done."""
    reports = []
    for each in candidates():
        if options.rule in (None, each.rule) and not each.variant and not _absent(each.missing()):
            report = _check_python(options, each.name, each.rule, each.environment, status)
            status.console.print(f"{each.name} {each.rule}: {report.verdict}, {summary(report)}", markup=False)
            reports.append(report)
    return reports


def _absent(missing: list[str]) -> list[str]:
    """What is not installed; variables of the environment are set for the child."""
    return [name for name in missing if "=" not in name]


def _check_python(
    options: argparse.Namespace, target: str, rule: str | None, environment: Mapping[str, str], status: Status
) -> Report:
    limits = DEFAULT_LIMITS
    if options.timeout is not None:
        limits = replace(limits, message_seconds=options.timeout)
    return check_isolated(
        target,
        options.profile,
        rule=rule,
        seed=options.seed,
        limits=limits,
        environment=environment,
        progress=reporter(status, target),
    )


def _check_command(options: argparse.Namespace, status: Status) -> list[Report]:
    limits = Limits() if options.timeout is None else Limits(message_seconds=options.timeout)
    with contextlib.ExitStack() as stack:
        replay: BinaryIO | None = None
        if options.replay is not None:
            replay = stack.enter_context(Path(options.replay).open("wb"))
        rules = [options.rule] if options.rule else _rules(options.port_command, limits)
        return [_check_process(options, rule, limits, replay, status) for rule in rules]


def _rules(command: list[str], limits: Limits) -> list[str | None]:
    """The rules that a program knows, from its handshake; [None] where it does not say."""
    with ProcessPort(command, limits=limits) as port, contextlib.suppress(PortFailure, RuntimeError):
        rules = port.describe().get("rules")
        if isinstance(rules, list) and rules and all(isinstance(rule, str) for rule in rules):
            return list(rules)
    return [None]


def _check_process(
    options: argparse.Namespace, rule: str | None, limits: Limits, replay: BinaryIO | None, status: Status
) -> Report:
    with ProcessPort(options.port_command, rule=rule, limits=limits, replay=replay) as port:
        name = Path(options.port_command[0]).name
        report = check(port, options.profile, seed=options.seed, progress=reporter(status, name))
    report.errors.extend(f"protocol: {complaint}" for complaint in dict.fromkeys(port.complaints))
    if not report.checks:
        report.port, report.rule = name, report.rule or rule or ""
    return report


def _exit_code(reports: list[Report]) -> int:
    if any(report.checks and report.verdict == "fail" for report in reports):
        return FAILED
    if not reports or any(not report.checks for report in reports):
        return COULD_NOT_RUN
    return PASSED
