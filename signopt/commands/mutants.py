"""``signopt mutants``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from signopt.commands._exit_codes import COULD_NOT_RUN, FAILED, PASSED
from signopt.conformance.evidence.grid import matrix_picture
from signopt.conformance.evidence.kill_matrix import RULES, Matrix, Row, kill_matrix

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Run the suite against its own mutants and right ports; print the kill matrix, and write it if asked to."""
    matrix = kill_matrix(
        [options.rule] if options.rule else RULES,
        profile=options.profile,
        dtypes=options.dtype or ("float32", "float64"),
        seeds=range(options.seeds),
        only=lambda variant: options.only in variant.id,
        enough=2 if options.quick else None,
        progress=_progress,
    )
    if not any(row.runs for row in matrix.rows):
        print("no port was run: none shows in this rule, with this id, and in these dtypes", file=sys.stderr)
        return COULD_NOT_RUN
    if options.json:
        Path(options.json).write_text(json.dumps(matrix.to_dict(), indent=1) + "\n", encoding="utf-8")
    if options.picture:
        Path(options.picture).write_text(matrix_picture(matrix), encoding="utf-8")
    print(matrix.text() + "\n")
    print("\n".join(_sole_kills(matrix)))
    return FAILED if matrix.survivors or matrix.accused else PASSED


def _sole_kills(matrix: Matrix) -> Iterator[str]:
    for rule in matrix.checks:
        yield f"{rule}: what only one check catches"
        yield from (f"  {check}: {', '.join(ids)}" for check, ids in matrix.sole_kills(rule).items() if ids)


def _progress(row: Row) -> None:
    if sys.stderr.isatty():
        print(f"\r{row.variant.rule} {row.variant.id:40}", end="", file=sys.stderr, flush=True)
