"""The report as one HTML file without scripts or anything to fetch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files

from signopt.conformance.report import CheckResult, Failure, Report
from signopt.conformance.reporting.common import SIGNS, WORDS, dtypes, readable, rows, summary, verdict

__all__ = ["as_html"]


def as_html(reports: Sequence[Report]) -> str:
    """The reports as one page: an overview of several, then each with its matrix and its failures."""
    style = (files(__package__) / "report.css").read_text("utf-8")
    title = f"signopt: {reports[0].port}" if len(reports) == 1 else f"signopt: {len(reports)} ports"
    body = [*(_overview(reports) if len(reports) != 1 else ()), *map(_report, range(len(reports)), reports)]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(title)}</title>\n<style>\n{style}</style></head><body>",
            *body,
            "</body></html>\n",
        ]
    )


def _overview(reports: Sequence[Report]) -> Iterator[str]:
    yield f"<h1>{len(reports)} ports {_verdict(verdict(reports))}</h1>"
    yield "<table><thead><tr><th>port<th>version<th>rule<th>verdict<th>checks<th>looks like</tr></thead><tbody>"
    for number, report in enumerate(reports):
        likeness = report.diagnosis[0] if report.diagnosis else ""
        yield (
            f'<tr><td><a href="#port-{number}">{_text(report.port)}</a><td>{_text(report.port_version)}'
            f"<td>{_text(report.rule)}<td>{_verdict(report.verdict)}<td>{_text(summary(report))}<td>{_text(likeness)}"
        )
    yield "</tbody></table>"


def _report(number: int, report: Report) -> str:
    heading = f"{report.port} {report.port_version}".strip()
    parts = [
        f'<section id="port-{number}"><h1>{_text(heading)} {_verdict(report.verdict)}</h1>',
        f"<p>{_text(report.rule)}, profile {_text(report.profile)}, suite {_text(report.suite)}, "
        f"seed {report.seed}. {_text(summary(report))}.</p>",
        *(f'<p class="error">{_text(error)}</p>' for error in report.errors),
        *(f'<p class="obstacle">{_text(text)}</p>' for text in report.obstacles),
        *(f'<p class="note">{_text(note)}</p>' for note in report.notes),
        *(f'<p class="diagnosis">{_text(line)}</p>' for line in report.diagnosis),
        *_matrix(number, report),
        *_failures(number, report),
        "</section>",
    ]
    return "\n".join(parts)


def _matrix(number: int, report: Report) -> Iterator[str]:
    columns = dtypes(report)
    if not columns:
        return
    yield f"<h2>Checks</h2>{_legend()}<table><thead><tr><th>check"
    yield "".join(f"<th>{_text(dtype)}" for dtype in columns) + "<th>what it proves</tr></thead><tbody>"
    for identifier, proves, results in rows(report):
        cells = "".join(_cell(number, results, dtype) for dtype in columns)
        yield f"<tr><td><code>{_text(identifier)}</code>{cells}<td>{_text(proves)}{_reasons(results)}"
    yield "</tbody></table>"


def _legend() -> str:
    signs = (f'<span class="{status}">{SIGNS[status]}</span> {WORDS[status]}' for status in SIGNS)
    return f'<p class="legend">{" &ensp; ".join(signs)}</p>'


def _cell(number: int, results: Mapping[str, CheckResult], dtype: str) -> str:
    if dtype not in results:
        return "<td>"
    result = results[dtype]
    sign = f'<span title="{WORDS[result.status]}, {result.judged} elements">{SIGNS[result.status]}</span>'
    if result.failures:
        sign = f'<a href="#{_anchor(number, result)}">{sign}</a>'
    return f'<td class="{result.status}">{sign}'


def _reasons(results: Mapping[str, CheckResult]) -> str:
    reasons = dict.fromkeys(result.reason for result in results.values() if result.reason)
    return "".join(f'<br><small>{_text(reason)}</small>' for reason in reasons)  # fmt: skip


def _failures(number: int, report: Report) -> Iterator[str]:
    failing = [result for result in report.checks if result.failures]
    if failing:
        yield "<h2>Failures</h2>"
    for result in failing:
        state = "open " if result is failing[0] else ""
        yield f'<details {state}id="{_anchor(number, result)}">'
        yield f"<summary><code>{_text(result.id)}</code> {_text(result.dtype)}</summary><p>{_text(result.proves)}</p>"
        yield from map(_failure, result.failures)
        yield "</details>"


def _failure(failure: Failure) -> str:
    lines = "".join(f"<dt>{_text(label)}<dd><code>{_text(text)}</code>" for label, text in failure.details())
    return f'<div class="failure"><b>{_text(failure.message)}</b><dl>{lines}</dl></div>'


def _verdict(word: str) -> str:
    return f'<span class="verdict {word}">{word}</span>'


def _anchor(number: int, result: CheckResult) -> str:
    return _text(f"port-{number}-{result.id}-{result.dtype}")


def _text(text: str) -> str:
    return escape(readable(text))
