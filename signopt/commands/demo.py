"""``signopt demo``: the main job done once, on ports whose faults are known, and what to type for one's own."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape

from signopt.commands._exit_codes import FAILED, PASSED
from signopt.commands.console import make_console
from signopt.commands.demo_ports import DEMO_PORTS, DemoLion
from signopt.conformance import check
from signopt.conformance.adapters.candidate import Candidate
from signopt.conformance.adapters.catalogue import CATALOGUE
from signopt.conformance.adapters.own import OWN
from signopt.conformance.isolation.run import check_isolated
from signopt.conformance.report import Report

__all__ = ["run"]

_YOURS = """\
[bold]Now yours.[/] Each of these checks an optimizer, and names its bug if it has one:

  torch       signopt check --torch my_package:Lion --rule lion
  optax       signopt check --optax my_package:lion --rule lion
  any Python  signopt check my_module:MyPort      (a class with five methods)
  any other   signopt check -- ./my_port          (JSON lines on stdin and stdout)
  no Python   signopt vectors copy DIR            (JSON vectors for your own tests)
"""


def run(options: argparse.Namespace) -> int:
    """Run all of it; PASSED if everything comes out as it is known to be."""
    del options
    started, console = time.perf_counter(), make_console()
    console.print("[bold]Four ports of Lion[/], held to the rule by exact arithmetic:\n")
    surprises = [text for port in DEMO_PORTS for text in _try(port, console)]
    console.print("\n[bold]This library's own optimizers[/], on each backend that is installed:\n")
    for rule in dict.fromkeys(candidate.rule for candidate in OWN):
        surprises += _own(rule, console)
    frameworks = list(_frameworks())
    if frameworks:
        console.print("\n[bold]The Lions of other packages[/] that are installed here:\n")
    for candidate in frameworks:
        _framework(candidate, console)
    console.print(f"\n{_YOURS}", soft_wrap=True)
    for surprise in surprises:
        console.print(f"[bold red]unexpected:[/] {escape(surprise)}", soft_wrap=True)
    console.print(f"{'failed' if surprises else 'all as expected'}, {time.perf_counter() - started:.0f} s")
    return FAILED if surprises else PASSED


def _try(port: type[DemoLion], console: Console) -> Iterator[str]:
    """Check one of the demonstration's ports; yields what did not come out as it must."""
    report = check(port)
    _line(console, report.verdict == "pass", port.label, report)
    if port.bug:
        console.print(f"    {escape(report.diagnosis[0]) if report.diagnosis else port.source}", soft_wrap=True)
        if report.verdict != "fail":
            yield f"{port.label} was not caught"
        elif not any(f"/{port.bug}]" in named for named in report.diagnosis):
            yield f"the bug of {port.label} was not named"
    elif report.verdict != "pass":
        yield f"{port.label} was accused: {report.failures[0].message if report.failures else report.obstacles}"


def _own(rule: str, console: Console) -> list[str]:
    """Check one rule on every backend; returns which of them fail."""
    names = [candidate.name.partition("/")[2] for candidate in _installed(OWN) if candidate.rule == rule]
    reports = [check(candidate.build(), "core") for candidate in _installed(OWN) if candidate.rule == rule]
    failed = [name for name, report in zip(names, reports, strict=True) if report.verdict != "pass"]
    _line(console, not failed, f"{rule} on {', '.join(names)}", *reports)
    return [f"{rule} fails on {name}" for name in failed]


def _framework(candidate: Candidate, console: Console) -> None:
    report = check_isolated(candidate.name, "core", rule=candidate.rule)
    if report.verdict == "undecided":
        console.print(f"  ? did not run  {escape(candidate.name)}: signopt check {escape(candidate.name)} says why")
        return
    _line(console, report.verdict == "pass", f"{candidate.name} {candidate.version()}", report)
    if report.verdict != "pass":
        console.print(f"    signopt check {escape(candidate.name)} says why", soft_wrap=True)


def _installed(candidates: tuple[Candidate, ...]) -> Iterator[Candidate]:
    return (each for each in candidates if not each.missing())


def _frameworks() -> Iterator[Candidate]:
    """The plain Lion of each distribution that is installed."""
    seen = set()
    for candidate in _installed(CATALOGUE):
        if candidate.rule == "lion" and not candidate.variant and candidate.distribution not in seen:
            seen.add(candidate.distribution)
            yield candidate


def _line(console: Console, passed: bool, name: str, *reports: Report) -> None:
    passes, failures = (sum(report.counts[status] for report in reports) for status in ("passed", "failed"))
    counted = f"{passes} checks passed" if passed else f"{failures} of {passes + failures} checks failed"
    mark = "[bold green]✓ pass[/]" if passed else "[bold red]✗ fail[/]"
    console.print(f"  {mark}  {escape(name)}: {counted}", soft_wrap=True)
