"""The commands of the field: run the matrix, run one row, build the page."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from docs.field.findings import Finding, explain, load
from docs.field.runs import rows, run_row
from signopt.conformance.adapters.discovery import discover
from signopt.conformance.oracle.rules import RULES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs.field", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="check every port that is installed; exit 1 where a finding is missing"))
    _add_one(commands.add_parser("one", help="check one port in this process; the report is the last line"))
    _add_page(commands.add_parser("page", help="build the compatibility page from the reports"))
    _add_publish(commands.add_parser("publish", help="write the verdicts that 'signopt check' compares with"))
    options = parser.parse_args(arguments)
    return int(options.command(options))


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder for the reports")
    parser.add_argument("--past", type=Path, help="folder of releases of the past, each distribution-version")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="only ports whose distribution is one of these")
    parser.add_argument(
        "--rule", nargs="+", choices=tuple(RULES), default=tuple(RULES), help="only ports of these rules"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="only ports that work there")
    parser.add_argument("--profile", default="standard")
    parser.add_argument("--seconds", type=float, default=900.0, help="limit for one port")
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    options.out.mkdir(parents=True, exist_ok=True)
    named = [row for row in rows(options.past) if not options.only or row.candidate.distribution in options.only]
    chosen = [row for row in named if row.candidate.rule in options.rule]
    chosen = [row for row in chosen if options.device in (None, row.candidate.device)]
    if not chosen:
        raise SystemExit(f"no port of {', '.join(options.only or options.rule)} is known")
    findings, surprises = load(), []
    for row in chosen:
        result = run_row(row, options.out, options.profile, options.seconds)
        report = result.get("report")
        said = report["verdict"] if report else f"not run: {result['stopped']}"
        print(f"{row.id:<62} {result['seconds']:>6.1f} s  {said}", flush=True)
        surprises += [surprise for surprise in [_surprise(result, findings)] if surprise]
    print("\n".join(surprises))
    return 1 if surprises else 0


def _surprise(result: Mapping[str, Any], findings: Sequence[Finding]) -> str:
    """Say where a row and the findings disagree; empty where they agree or it did not run."""
    try:
        if "report" in result:
            explain(result, findings)
    except ValueError as error:
        return str(error)
    return ""


def _add_one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True)
    parser.add_argument("--rule", required=True)
    parser.add_argument("--profile", default="standard")
    parser.set_defaults(command=_one)


def _one(options: argparse.Namespace) -> int:
    from signopt.conformance import check

    candidate = next(c for c in discover() if (c.name, c.rule) == (options.name, options.rule))
    report = check(candidate.build(), profile=options.profile)
    result = {
        "version": candidate.version(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
        "report": _shortened(report.to_dict()),
    }
    print("\n" + json.dumps(result))
    return 0


def _shortened(report: dict[str, Any]) -> dict[str, Any]:
    """Keep what the page and a reader need: every status, and of each group of checks the first failure."""
    checks, reported = [], set()
    for each in report["checks"]:
        short = {key: each[key] for key in ("id", "dtype", "status", "reason") if each[key]}
        group = each["id"].partition("/")[0]
        if each["failures"] and group not in reported:
            reported.add(group)
            short["failure"] = each["failures"][0]
        checks.append(short)
    return report | {"checks": checks}


def _add_page(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reports", type=Path, required=True, help="folder that run wrote")
    parser.add_argument("--docs", type=Path, required=True, help="the docs folder")
    parser.set_defaults(command=_page)


def _page(options: argparse.Namespace) -> int:
    from docs.field.bars import draw
    from docs.field.page import write_page

    results = [json.loads(path.read_text()) for path in sorted(options.reports.glob("*.json"))]
    write_page(results, options.docs / "field" / "compatibility.md")
    draw(results, options.docs / "_static" / "compatibility.svg")
    return 0


def _add_publish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reports", type=Path, default=Path(__file__).parent / "reports", help="folder that run wrote")
    parser.set_defaults(command=_publish)


def _publish(options: argparse.Namespace) -> int:
    from signopt.conformance.adapters.published import write

    write([json.loads(path.read_text()) for path in sorted(options.reports.glob("*.json"))])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
