"""``signopt check``."""

from __future__ import annotations

import argparse
import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import date
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, BinaryIO

from rich.status import Status

from signopt.commands._exit_codes import COULD_NOT_RUN, FAILED, PASSED, of_verdict
from signopt.commands.console import make_console, reporter
from signopt.conformance import byte_order
from signopt.conformance.adapters.process import ProcessPort
from signopt.conformance.adapters.published import surprises
from signopt.conformance.deviations import as_toml, load, stated
from signopt.conformance.errors import PortBroke, PortRefused
from signopt.conformance.isolation.listing import Listed, listed
from signopt.conformance.isolation.run import check_isolated
from signopt.conformance.oracle.rules import RULES
from signopt.conformance.protocol.limits import Limits
from signopt.conformance.protocol.wire import brief
from signopt.conformance.report import Report
from signopt.conformance.reporting.common import summary, verdict
from signopt.conformance.reporting.html import as_html
from signopt.conformance.reporting.machine import as_json, as_junit
from signopt.conformance.reporting.terminal import show
from signopt.conformance.suite import apply_deviations, check

__all__ = ["run"]

_KINDS = ("target", "torch", "optax", "port_command")


def run(options: argparse.Namespace) -> int:
    """Check what the options name; print the report, write the files, return the exit code."""
    given = [kind for kind in _KINDS if getattr(options, kind) is not None]
    if len(given) > 1:
        raise ValueError("give a TARGET, --torch, --optax or a command after --, not both")
    if options.device is not None and options.torch is None:
        raise ValueError("--device is for --torch; a port of your own says where its arrays are")
    if options.port_command == []:
        raise ValueError("there is no command after --")
    if not given and (options.deviations is not None or options.write_deviations is not None):
        raise ValueError("deviations are what one port does differently: name it")
    deviations = [] if options.deviations is None else load(options.deviations)
    files = _files(options)
    reports = _reports(options)
    for report in reports:
        apply_deviations(report, stated(deviations, report.rule))
        if report.verdict == "pass":
            report.diagnosis.clear()  # with what is stated nothing is left to explain
    show(reports, make_console(), table=options.table)
    for path, render in files.items():
        path.write_text(render(reports), "utf-8")
    return of_verdict(verdict(reports)) if given else _as_published(reports)


def _as_published(reports: list[Report]) -> int:
    """The exit code of a run over everything: a port that is known to be wrong is no failure of this run."""
    console, found = make_console(), surprises(reports)
    for surprise in found:
        console.print(f"not as published: {surprise}", style="bold red", soft_wrap=True, markup=False)
    if found:
        return FAILED
    undecided = sum(report.verdict == "undecided" for report in reports)
    console.print(f"{len(reports) - undecided} ports as published" + (f", {undecided} undecided" if undecided else ""))
    return COULD_NOT_RUN if undecided or not reports else PASSED


def _files(options: argparse.Namespace) -> Mapping[Path, Callable[[list[Report]], str]]:
    """The files asked for; each is opened once now, because a long run should not end in an error of writing."""
    wanted: dict[str | None, Callable[[list[Report]], str]] = {
        options.json: as_json,
        options.junit: as_junit,
        options.html: as_html,
        options.write_deviations: lambda reports: as_toml(reports, date.today()),
    }
    files = {Path(name): render for name, render in wanted.items() if name is not None}
    for path in files:
        with path.open("a"):
            pass
    return files


def _reports(options: argparse.Namespace) -> list[Report]:
    with make_console(stderr=True).status("starting") as status:
        if options.port_command is not None:
            return _check_command(options, status)
        target = _target(options)
        if target is not None:
            return [_check_python(options, target, options.rule, {}, status)]
        return _check_everything(options, status)


def _target(options: argparse.Namespace) -> str | None:
    if options.torch is not None:
        return f"torch{'' if options.device is None else f'@{options.device}'}={options.torch}"
    if options.optax is not None:
        return f"optax={options.optax}"
    target: str | None = options.target
    return target


def _check_everything(options: argparse.Namespace, status: Status) -> list[Report]:
    """Every candidate that is installed and meant to be the rule that it names; each is reported as it is done."""
    try:
        known = listed(_limits(options))
    except PortBroke as failure:
        raise ValueError(f"cannot list what there is to check: {failure}") from None
    wanted = [each for each in known if options.rule in (None, each.rule) and not each.variant and not each.needs]
    reports = []
    status.update(f"{len(wanted)} ports")
    with ProcessPoolExecutor(_processors(len(wanted)), get_context("spawn"), end_with_parent) as pool:
        for each, report in zip(wanted, pool.map(partial(_check_listed, options), wanted), strict=True):
            status.console.print(f"{each.name} {each.rule}: {report.verdict}, {summary(report)}", markup=False)
            reports.append(report)
            status.update(f"{len(reports)} of {len(wanted)} ports are done")
    return reports


def _processors(tasks: int) -> int:
    """How many ports are judged at once: their judges work in Python, each in a process of its own."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, tasks))


def end_with_parent() -> None:
    """Make this process end if that which started it is killed, since nobody would read its results."""

    def wait() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(COULD_NOT_RUN)

    threading.Thread(target=wait, daemon=True).start()


def _check_listed(options: argparse.Namespace, each: Listed) -> Report:
    return check_isolated(
        each.name,
        options.profile,
        rule=each.rule,
        limits=_limits(options),
        environment=each.environment,
        **_asked(options),
    )


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    return {"seed": options.seed, "only": options.only or None, "dtypes": options.dtype or None}


def _settings(options: argparse.Namespace, status: Status, port: str) -> dict[str, Any]:
    """What :func:`check` is asked for, whatever the port."""
    return _asked(options) | {"progress": reporter(status, port)}


def _limits(options: argparse.Namespace) -> Limits:
    if options.timeout is None:
        return Limits()
    return replace(Limits(), message_seconds=options.timeout, total_seconds=max(3600.0, 60 * options.timeout))


def _check_python(
    options: argparse.Namespace, target: str, rule: str | None, environment: Mapping[str, str], status: Status
) -> Report:
    return check_isolated(
        target,
        options.profile,
        rule=rule,
        limits=_limits(options),
        environment=environment,
        **_settings(options, status, target),
    )


def _check_command(options: argparse.Namespace, status: Status) -> list[Report]:
    with contextlib.ExitStack() as stack:
        replay: BinaryIO | None = None
        if options.replay is not None:
            replay = stack.enter_context(Path(options.replay).open("wb"))
        try:
            rules, notes = ([options.rule], []) if options.rule else _rules(options.port_command, _limits(options))
        except PortBroke as failure:
            name = Path(options.port_command[0]).name
            return [Report(name, "", options.profile, options.seed, obstacles=[f"could not run: {failure}"])]
        reports = [_check_process(options, rule, replay, status) for rule in rules]
        reports[0].notes.extend(notes)
        return reports


def _rules(command: list[str], limits: Limits) -> tuple[list[str | None], list[str]]:
    """The rules that a program knows, from its handshake, and what is odd about them; [None] if it does not say."""
    with ProcessPort(command, limits=limits) as port, contextlib.suppress(PortRefused, NotImplementedError):
        rules = port.describe().get("rules")
        if rules is None:
            return [None], []
        if not isinstance(rules, list) or not rules:
            return [None], [f"describe: 'rules' is a list of names, got {brief(rules)}"]
        known = [rule for rule in RULES if rule in rules]
        odd = len(rules) - len(known)
        notes = [f"describe: 'rules' has {odd} entries that are no known rule, or twice: {brief(rules)}"] if odd else []
        return [*known] or [None], notes
    return [None], []


def _check_process(options: argparse.Namespace, rule: str | None, replay: BinaryIO | None, status: Status) -> Report:
    name = Path(options.port_command[0]).name
    with ProcessPort(options.port_command, rule=rule, limits=_limits(options), replay=replay) as port:
        report = check(port, options.profile, rule=rule, **_settings(options, status, name))
        ending = port.close()
    byte_order.diagnose(report)
    report.errors.extend([f"protocol: {ending.fault}"] if ending.fault else [])
    report.notes.extend([f"protocol: {ending.remark}"] if ending.remark else [])
    if not report.rule:
        report.port, report.rule = name, rule or ""
    return report
