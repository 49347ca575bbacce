"""The report as a table in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import markup
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from signopt.conformance.report import CheckResult, Report
from signopt.conformance.reporting.matrix import details, dtypes, readable, rows, summary

__all__ = ["show"]

_SIGNS = {
    "passed": "[green]✓[/]",
    "failed": "[bold red]✗[/]",
    "deviating": "[yellow]~[/]",
    "not_applicable": "[dim]–[/]",
    "not_run": "[bold yellow]?[/]",
}
_VERDICTS = {"pass": "[bold green]pass[/]", "fail": "[bold red]fail[/]"}
_MOST_SHOWN = 8
_MOST_SHOWN_OF_SEVERAL = 1


def show(reports: Sequence[Report], console: Console) -> None:
    """One report in full; of several a line each, then the first thing that failed in each."""
    alone = len(reports) == 1
    if alone:
        _show_matrix(reports[0], console)
    else:
        _show_overview(reports, console)
    for report in reports:
        _show_failures(report, console, _MOST_SHOWN if alone else _MOST_SHOWN_OF_SEVERAL)
    if alone:
        _show_verdict(reports[0], console)


def _show_matrix(report: Report, console: Console) -> None:
    columns = dtypes(report)
    console.print(f"[bold]{_title(report)}[/]", soft_wrap=True)
    if not columns:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("check", no_wrap=True)
    for dtype in columns:
        table.add_column(_plain(dtype), justify="center")
    table.add_column("proves", style="dim", no_wrap=True, overflow="ellipsis")
    for identifier, proves, results in rows(report):
        cells = [_SIGNS[results[dtype].status] if dtype in results else "" for dtype in columns]
        table.add_row(_plain(identifier), *cells, _plain(proves))
    console.print(table)


def _title(report: Report) -> str:
    version = f" {report.port_version}" if report.port_version else ""
    return _plain(f"{report.port}{version}: {report.rule or 'no rule'}, profile {report.profile}, suite {report.suite}")


def _show_overview(reports: Sequence[Report], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("port", "version", "rule", "verdict", "checks", "looks like"):
        table.add_column(heading)
    for report in reports:
        likeness = report.diagnosis[0] if report.diagnosis else ""
        plain = (report.port, report.port_version, report.rule)
        table.add_row(*map(_plain, plain), _VERDICTS[report.verdict], summary(report), _plain(likeness))
    console.print(table)


def _show_failures(report: Report, console: Console, most: int) -> None:
    failing = {result.id: result for result in reversed(report.checks) if result.status == "failed"}
    shown = list(reversed(failing.values()))
    for result in shown[:most]:
        _show_failure(report, result, console)
    if len(shown) > most:
        rest = f"{len(shown) - most} more failed checks"
        console.print(f"\n{_plain(report.port)}: {rest}, see --html or --json", soft_wrap=True)
    for result in report.checks:
        if result.status == "not_run":
            console.print(f"\n[bold yellow]?[/] {_name(result)} did not run: {_plain(result.reason)}", soft_wrap=True)
    for error in report.errors:
        console.print(f"\n[bold red]✗[/] {_plain(report.port)}: {_plain(error)}", soft_wrap=True)
    for line in report.diagnosis:
        console.print(f"\n[bold]{_plain(report.port)}[/] {_plain(line)}", soft_wrap=True)


def _show_failure(report: Report, result: CheckResult, console: Console) -> None:
    first = result.failures[0] if result.failures else None
    message = first.message if first else result.reason
    console.print(f"\n[bold red]✗[/] {_plain(report.port)}: {_name(result)}: {_plain(message)}", soft_wrap=True)
    if first is None:
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in details(first):
        table.add_row(label, _plain(text))
    console.print(Padding(table, (0, 0, 0, 2)))


def _name(result: CheckResult) -> str:
    return _plain(f"{result.id}[{result.dtype}]")


def _show_verdict(report: Report, console: Console) -> None:
    console.print(f"\n{_VERDICTS[report.verdict]}: {summary(report)}", soft_wrap=True)


def _plain(text: str) -> str:
    """Text that means nothing to the terminal and nothing to rich."""
    return markup.escape(readable(text))
