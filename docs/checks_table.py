"""Write docs/checks.md from kill matrices: what each check proves, what it catches, and why it stays.

signopt mutants --dtype float32 --json matrix.json
python docs/checks_table.py matrix.json docs/checks.md

A matrix for each rule does as well, and can be made on as many processors as there are rules:

rules="lion signum tiger muon stochastic-rounding"
for rule in $rules; do signopt mutants --rule $rule --dtype float32 --json $rule.json; done
python docs/checks_table.py $(printf '%s.json ' $rules) docs/checks.md --picture docs/_static/kill_matrix.svg
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from signopt.conformance.checks import REGISTRY, Check
from signopt.conformance.evidence.grid import matrix_picture
from signopt.conformance.evidence.kill_matrix import Matrix, Row
from signopt.conformance.numpy_ports import Variant

HEAD = """# What each check is for

From `signopt mutants --dtype float32 --json matrix.json` and `python docs/checks_table.py matrix.json docs/checks.md`:
suite {suite}, profile {profile}, {dtypes}, {mutants} mutants and {right} right ports of {rules}. *Catches* counts
the mutants that fail the check; the last column names mutants that would pass without it, or says why it stays.

"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("matrices", type=Path, nargs="+")
    parser.add_argument("page", type=Path)
    parser.add_argument("--picture", type=Path, help="where to draw the matrix (.svg)")
    options = parser.parse_args()
    matrix = joined([json.loads(path.read_text()) for path in options.matrices])
    options.page.write_text("\n".join(lines(matrix)) + "\n", encoding="utf-8")
    if options.picture:
        options.picture.write_text(picture(matrix), encoding="utf-8")


def picture(matrix: dict[str, Any]) -> str:
    """The matrix as `signopt mutants --picture` draws it."""
    rows = [
        Row(
            Variant(row["id"], row["rule"], row["summary"], {}),
            row["right"], row["runs"], row["failing"], Counter(row["failed"]), set(row["not_run"]),
        )
        for row in matrix["rows"]
    ]  # fmt: skip
    return matrix_picture(Matrix(matrix["profile"], matrix["dtypes"], matrix["seeds"], matrix["checks"], rows=rows))


def joined(matrices: list[dict[str, Any]]) -> dict[str, Any]:
    """Several matrices as one.

    Raises
    ------
    SystemExit
        If they are not of one suite, profile and choice of dtypes, or if a rule stands in two of them.
    """
    first = matrices[0]
    for key in ("suite", "profile", "dtypes"):
        if any(matrix[key] != first[key] for matrix in matrices):
            raise SystemExit(f"the matrices differ in {key}: {', '.join(str(matrix[key]) for matrix in matrices)}")
    rules = [rule for matrix in matrices for rule in matrix["checks"]]
    if len(rules) != len(set(rules)):
        raise SystemExit(f"a rule stands in two matrices: {', '.join(rules)}")
    checks = {rule: names for matrix in matrices for rule, names in matrix["checks"].items()}
    return {**first, "checks": checks, "rows": [row for matrix in matrices for row in matrix["rows"]]}


def lines(matrix: dict[str, Any]) -> Iterator[str]:
    """The page, line by line."""
    mutants = [row for row in matrix["rows"] if not row["right"]]
    yield HEAD.format(
        suite=matrix["suite"],
        profile=matrix["profile"],
        dtypes=" and ".join(matrix["dtypes"]),
        mutants=len(mutants),
        right=len(matrix["rows"]) - len(mutants),
        rules=", ".join(matrix["checks"]),
    ).rstrip("\n")
    yield ""
    yield "| check | proves | catches | only it catches, or why it stays |"
    yield "| --- | --- | --- | --- |"
    for check in REGISTRY.values():
        if any(check.id in names for names in matrix["checks"].values()):
            caught = [row for row in mutants if check.id in row["failed"]]
            proves = check.proves.replace("|", "\\|")
            yield f"| `{check.id}` | {proves} | {len(caught)} | {why(check, caught)} |"


def why(check: Check, caught: list[dict[str, Any]]) -> str:
    """The mutants that no other check catches, else those that the fewest others do."""
    alone = _named(row for row in caught if len(row["failed"]) == 1)
    if alone:
        return f"only it: {alone}"
    if not caught:
        return "speaks of a dtype or a declaration that none of these mutants has"
    if check.metamorphic:
        return "compares the port with itself, so it holds whatever the bounds of the others are"
    fewest = min(len(row["failed"]) for row in caught)
    beside = "one other check" if fewest == 2 else f"{fewest - 1} other checks"
    core = "one of the few that any language can run in core; " if check.profile == "core" else ""
    return f"{core}with {beside}: {_named(row for row in caught if len(row['failed']) == fewest)}"


def _named(rows: Iterator[dict[str, Any]], most: int = 4) -> str:
    names = [f"`{row['rule']}/{row['id']}`" for row in rows]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


if __name__ == "__main__":
    main()
