"""The report in the terminal: the verdict and what it looks like first, then a line for each check that is not right.

Every line begins with its marks, so that no width hides them, and an id is never cut: at its narrowest the text that
belongs to it goes below.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich import markup
from rich.console import Console

from signopt.conformance.report import CheckResult, Failure, Report
from signopt.conformance.reporting.common import SIGNS, WORDS, dtypes, readable, rows, summary, verdict

__all__ = ["show"]

_STYLES = {
    "passed": "green",
    "failed": "bold red",
    "deviating": "yellow",
    "not_applicable": "dim",
    "not_run": "bold yellow",
    "pass": "bold green",
    "fail": "bold red",
    "undecided": "bold yellow",
}
_EXAMPLES = 2
_WORST_FIRST = ("failed", "not_run", "deviating", "passed", "not_applicable")
_LEAST_TEXT = 24


def show(reports: Sequence[Report], console: Console, *, table: bool = False) -> None:
    """One report in full, with each check in a ``table`` or only each group; of several the head of each."""
    alone = len(reports) == 1
    for report in reports:
        _print(console, _head(report, console.width))
        if alone:
            _print(console, _body(report, console.width, table))
        console.print()
    if not alone:
        _print(console, _headline(verdict(reports), _overall(reports), console.width))
    elif reports[0].checks:
        _print(console, _headline(reports[0].verdict, summary(reports[0]), console.width))


def _print(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, soft_wrap=True)


def _head(report: Report, width: int) -> Iterator[str]:
    """The verdict, the counts, what it looks like, and what stood in the way."""
    yield from _headline(report.verdict, _title(report), width)
    yield from _wrapped(summary(report), width)
    for line in report.diagnosis:
        yield from _wrapped(line, width, style="bold")
    for kind, lines in (("failed", report.errors), ("not_run", report.obstacles), ("not_applicable", report.notes)):
        for line in lines:
            yield from _wrapped(line, width, mark=kind)


def _title(report: Report) -> str:
    version = f" {report.port_version}" if report.port_version else ""
    parts = [report.rule or "no rule", f"profile {report.profile}", f"suite {report.suite}", f"seed {report.seed}"]
    parts += [f"{key} {', '.join(names)}" for key, names in report.selection.items()]
    return f"{report.port}{version}: {', '.join(parts)}"


def _body(report: Report, width: int, table: bool) -> Iterator[str]:
    columns = dtypes(report)
    wrong = [(name, proves, by) for name, proves, by in rows(report) if _worst(by.values()) in ("failed", "not_run")]
    if wrong:
        yield ""
        yield _columns(columns)
    longest = max((len(name) for name, _, _ in wrong), default=0)
    for name, _, by_dtype in wrong:
        marks = [_mark(by_dtype.get(dtype)) for dtype in columns]
        yield from _row(name.ljust(longest), _said(by_dtype.values()), marks, width)
    for failure in _examples(report):
        yield ""
        yield from _example(failure, width)
    for result in _not_run(report):
        yield ""
        yield from _wrapped(f"{result.id}[{result.dtype}]: {result.reason}", width, mark="not_run")
    if columns:
        yield ""
        yield from _wrapped(_legend(report), width, style="dim")
        yield _columns(columns)
        yield from (_each if table else _groups)(report, columns, width)


def _not_run(report: Report) -> list[CheckResult]:
    """The first checks that did not run, each for another reason: in its line above it may be cut."""
    firsts: dict[str, CheckResult] = {}
    for result in report.checks:
        if result.status == "not_run":
            firsts.setdefault(result.reason, result)
    return list(firsts.values())[:_EXAMPLES]


def _columns(columns: Sequence[str]) -> str:
    return _plain(f"marks: {', '.join(columns)}")


def _legend(report: Report) -> str:
    return ", ".join(f"{sign} {WORDS[status]}" for status, sign in SIGNS.items() if report.counts[status])


def _each(report: Report, columns: Sequence[str], width: int) -> Iterator[str]:
    longest = max(len(result.id) for result in report.checks)
    for name, proves, by_dtype in rows(report):
        yield from _row(name.ljust(longest), proves, [_mark(by_dtype.get(dtype)) for dtype in columns], width)


def _groups(report: Report, columns: Sequence[str], width: int) -> Iterator[str]:
    groups: dict[str, list[CheckResult]] = {}
    for result in report.checks:
        groups.setdefault(result.group, []).append(result)
    longest = max(map(len, groups))
    for name, results in groups.items():
        by = [[result for result in results if result.dtype == dtype] for dtype in columns]
        yield from _row(
            name.ljust(longest), _tally(results), [_styled(SIGNS[_worst(each)], _worst(each)) for each in by], width
        )


def _tally(results: Sequence[CheckResult]) -> str:
    counts = {status: sum(result.status == status for result in results) for status in SIGNS}
    return ", ".join(f"{count} {WORDS[status]}" for status, count in counts.items() if count)


def _worst(results: Iterable[CheckResult]) -> str:
    statuses = {result.status for result in results}
    return next((status for status in _WORST_FIRST if status in statuses), "not_applicable")


def _mark(result: CheckResult | None) -> str:
    return " " if result is None else _styled(SIGNS[result.status], result.status)


def _said(results: Iterable[CheckResult]) -> str:
    """The message of the first failure, else why it did not run."""
    worst = sorted(results, key=lambda result: _WORST_FIRST.index(result.status))[0]
    return worst.failures[0].message if worst.failures else worst.reason or worst.proves


def _row(name: str, text: str, marks: Sequence[str], width: int) -> Iterator[str]:
    """Marks, id and text; the text is cut to one line, and has a line of its own if little room is left."""
    used = 2 * len(marks) + len(name) + 2
    begin = f"{' '.join(marks)} {_plain(name)}".rstrip()
    if width - used >= _LEAST_TEXT:
        yield f"{' '.join(marks)} {_plain(name)}  {_plain(_cut(text, width - used))}"
        return
    yield begin
    indent = 2 * len(marks)
    yield " " * indent + _plain(_cut(text, max(width - indent, 8)))


def _cut(text: str, room: int) -> str:
    line = " ".join(readable(text).split())
    return line if len(line) <= room else f"{line[: room - 1]}…"


def _examples(report: Report) -> list[Failure]:
    """The first failure of the first checks that failed."""
    first = {result.id: result.failures[0] for result in reversed(report.checks) if _shows(result)}
    return list(reversed(first.values()))[:_EXAMPLES]


def _shows(result: CheckResult) -> bool:
    return result.status == "failed" and bool(result.failures)


def _example(failure: Failure, width: int) -> Iterator[str]:
    yield from _wrapped(f"{failure.check}[{failure.dtype}]: {failure.message}", width, mark="failed")
    for label, text in failure.details():
        if label != "diagnosis":  # which stands above
            yield from _detail(label, text, width)


def _detail(label: str, text: str, width: int) -> Iterator[str]:
    lines = textwrap.wrap(readable(text), max(width - 20, 20)) or [""]
    yield f"  [dim]{label:<17}[/] {_plain(lines[0])}"
    yield from (f"{'':20}{_plain(line)}" for line in lines[1:])


def _overall(reports: Sequence[Report]) -> str:
    """The verdict of several reports, and how many there are of each."""
    counts: Mapping[str, int] = {
        word: sum(report.verdict == word for report in reports) for word in ("pass", "fail", "undecided")
    }
    return ", ".join([f"{len(reports)} ports", *(f"{count} {word}" for word, count in counts.items() if count)])


def _headline(word: str, text: str, width: int) -> Iterator[str]:
    """A verdict and what belongs to it."""
    first, *rest = textwrap.wrap(f"{word}: {readable(text)}", max(width, 20), subsequent_indent="  ")
    yield _styled(word, word) + _plain(first.removeprefix(word))
    yield from map(_plain, rest)


def _wrapped(text: str, width: int, *, mark: str = "", style: str = "") -> Iterator[str]:
    """Text in lines, the first behind a mark."""
    lines = textwrap.wrap(readable(text), max(width - 2, 20), break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        begin = _styled(SIGNS[mark], mark) if mark and not number else " "
        yield f"{begin} {_styled(line, style) if style else _plain(line)}"


def _styled(text: str, style: str) -> str:
    return f"[{_STYLES.get(style, style)}]{_plain(text)}[/]"


def _plain(text: str) -> str:
    """Text that means nothing to the terminal and nothing to rich."""
    return markup.escape(readable(text))
