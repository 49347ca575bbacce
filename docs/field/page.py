"""The compatibility page: what each port is, what came of it, and why, in MyST Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.field.findings import Finding, explain, load

__all__ = ["VERDICTS", "compose", "verdict", "write_page"]

Result = Mapping[str, Any]

VERDICTS = {"pass": "passes", "bug": "fails", "choice": "another rule, by choice", "stopped": "not run"}


def write_page(results: Sequence[Result], path: Path) -> None:
    """Write the page for these results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(compose(results, load()), "utf-8")


def verdict(result: Result) -> str:
    """Return a key of :data:`VERDICTS`."""
    if "report" not in result:
        return "stopped"
    if result["report"]["verdict"] == "pass":
        return "pass"
    return "choice" if result["variant"] else "bug"


def compose(results: Sequence[Result], findings: Sequence[Finding]) -> str:
    """Return the page.

    Raises
    ------
    ValueError
        If a failure has no finding that argues it, or a finding is out of date: see :mod:`.findings`.
    """
    ordered = sorted(results, key=lambda each: (each["rule"], each["name"], each.get("version", "")))
    ran = [each for each in ordered if "report" in each]
    present = [each for each in ran if not each["past"]]
    causes = {id(each): explain(each, findings) for each in ran}
    sections = [
        _head(ran, len(present)),
        "## Verdicts\n\n" + _verdicts(present, causes),
        "## Why a port fails\n\n" + _arguments(present, causes, "bug"),
        "## Another rule, by choice\n\n" + _arguments(present, causes, "choice"),
        "## Fixed\n\n" + _fixed([each for each in ran if each["past"]], causes),
        "## Not run\n\n" + _stopped([each for each in ordered if "report" not in each]),
    ]
    return "\n".join(sections)


def _head(ran: Sequence[Result], present: int) -> str:
    suites = ", ".join(sorted({each["report"]["suite"] for each in ran}))
    profiles = ", ".join(sorted({each["report"]["profile"] for each in ran}))
    machines = ", ".join(sorted({each["machine"] for each in ran}))
    dates = sorted({each["date"] for each in ran})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"""# Compatibility

<!-- Written by `python -m docs.field page`; edit the findings, not this file. -->

{present} implementations that other people publish, each held to the rule that it names, and {len(ran) - present}
releases of the past. Suite {suites}, profile {profiles}, run {when} on {machines}; without a
GPU, but for `triton` and `cuda`.
`bash docs/field/run.sh FOLDER` makes the environment, runs the matrix and writes this page.

A port fails only if it contradicts its rule. The order of evaluation, the sign of NaN, whether subnormals survive
and the default hyperparameters are its author's choice, and are listed as such.

![Checks passed and failed, per port](../_static/compatibility.svg)
"""


_NAN = {"zero": "0", "propagate": "NaN", "": "not declared"}

_COLUMNS: tuple[tuple[str, Callable[[Result], str]], ...] = (
    ("rule", lambda each: each["rule"]),
    ("port", lambda each: each["name"]),
    ("version", lambda each: f"{each['distribution']} {each['version']}"),
    ("passed", lambda each: str(each["report"]["counts"]["passed"])),
    ("failed", lambda each: str(each["report"]["counts"]["failed"])),
    ("not applicable", lambda each: str(each["report"]["counts"]["not_applicable"])),
    ("dtypes", lambda each: ", ".join(each["report"]["declared"].get("dtypes", ("float32", "float64")))),
    ("decay", lambda each: each["report"]["declared"].get("decay", "")),
    ("sign of NaN", lambda each: _NAN[each["report"]["declared"].get("nan", "")]),
    ("subnormals", lambda each: each["report"]["declared"].get("subnormals", "keep")),
    ("defaults", lambda each: _hyper(each["report"]["declared"].get("constructor_defaults") or {})),
)


def _verdicts(present: Sequence[Result], causes: Mapping[int, Sequence[Finding]]) -> str:
    def said(result: Result) -> str:
        links = " ".join(f"[{number}]({each.case})" for number, each in enumerate(causes[id(result)], 1))
        return f"**{VERDICTS[verdict(result)]}** {links}".strip()

    titles = [title for title, _ in _COLUMNS]
    titles.insert(3, "verdict")
    lines = []
    for result in present:
        cells = [cell(result) for _, cell in _COLUMNS]
        cells.insert(3, said(result))
        lines.append(cells)
    return table(titles, lines)


def _arguments(results: Sequence[Result], causes: Mapping[int, Sequence[Finding]], kind: str) -> str:
    said: dict[Finding, list[str]] = {}
    for result in results:
        for each in causes[id(result)]:
            if each.kind == kind:
                said.setdefault(each, []).extend(result["report"]["diagnosis"][:1])
    return "\n".join(_argument(each, list(dict.fromkeys(lines))) for each, lines in said.items()) or "None.\n"


def _argument(finding: Finding, diagnosis: Sequence[str]) -> str:
    ports = ", ".join(f"`{port}`" for port in finding.ports)
    link = f" Upstream: <{finding.link}>." if finding.link else ""
    return f"""### {finding.title}

{ports}, version {", ".join(finding.versions)}. {finding.argument.strip()}

Source: {finding.source}. [Reproduction and suggested fix]({finding.case}).{link} Checks that fail: {_checks(finding)}.
{"".join(_said(line) for line in diagnosis)}"""


def _said(diagnosis: str) -> str:
    text, _, mutant = diagnosis.partition(" [")
    linked = re.sub(r"\((https?://[^)]+)\)", r"(<\1>)", text)
    return f"The suite says of it: {linked}" + (f", mutant `{mutant.rstrip(']')}`.\n" if mutant else ".\n")


def _checks(finding: Finding) -> str:
    """What fails because of it; nothing if the documentation alone is wrong."""
    named = ", ".join(f"`{check}`" for check in finding.checks) or "none"
    return "all that failed" if finding.checks == ("*",) else named


def _fixed(past: Sequence[Result], causes: Mapping[int, Sequence[Finding]]) -> str:
    lines = []
    for each in past:
        for cause in causes[id(each)]:
            version = f"{each['distribution']} {each['version']}"
            lines.append([each["rule"], each["name"], version, cause.title, cause.fixed, cause.link])
    return table(["rule", "port", "release", "what it computed", "fixed in", "upstream"], lines)


def _stopped(stopped: Iterable[Result]) -> str:
    return table(["rule", "port", "what stopped it"], [[e["rule"], e["name"], e["stopped"]] for e in stopped])


def _hyper(defaults: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in defaults.items())


def table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, or a word where there is nothing to show."""
    if not lines:
        return "None.\n"
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows) + "\n"
