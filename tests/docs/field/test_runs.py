"""The field: the rows, the page, and the rule that no failure is published without an argument."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from docs.field import __main__, runs
from docs.field.findings import Finding, explain, load
from docs.field.implementations import load as register
from docs.field.page import compose, verdict
from docs.field.runs import Row, rows, run_row
from signopt.conformance.adapters.candidate import Candidate

DOCS = Path(__file__).parents[3] / "docs" / "field"
FIELD = sorted((DOCS / "cases").glob("*.md"))
CASES = FIELD + sorted((DOCS.parent / "low_precision" / "cases").glob("*.md"))


def result(name: str = "one", failed: tuple[str, ...] = (), **other: Any) -> dict[str, Any]:
    checks = [{"id": "step/clear", "dtype": "float32", "status": "passed"}]
    checks += [{"id": each, "dtype": "float32", "status": "failed"} for each in failed]
    counts = {"passed": 1, "failed": len(failed), "deviating": 0, "not_applicable": 0, "not_run": 0}
    declared = {"dtypes": ["float32"], "decay": "first", "nan": "zero"}
    report = {"suite": "2026.11.0", "profile": "standard", "declared": declared, "counts": counts}
    report |= {
        "checks": checks,
        "diagnosis": ["looks like a bug (https://example.org/a) [lion/zero]"] if failed else [],
    }
    report["verdict"] = "fail" if failed else "pass"
    found = {"name": name, "rule": "lion", "distribution": name, "version": "1.0", "variant": "", "past": False}
    return {**found, "date": "2026-11-22", "machine": "Python", "seconds": 1.0, "report": report, **other}


FINDING = Finding(("lion/one",), ("1.0",), "bug", ("zero/*",), "Zero moves", "Because.", "one.c:7", "cases/one.md")


def code_of(case: Path) -> str:
    return re.search(r"```python\n(.*?)```", case.read_text("utf-8"), re.DOTALL).group(1)


def test_a_failure_without_an_argument_is_not_published() -> None:
    with pytest.raises(ValueError, match=r"lion/one 1\.0 fails decay/size:float32: no finding argues it"):
        compose([result(failed=("decay/size", "zero/gradient"))], [FINDING])


@pytest.mark.parametrize("failed", [(), ("decay/size",)])
def test_an_argument_that_is_out_of_date_is_not_published(failed: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="lion/one"):
        explain(result(failed=failed), [FINDING])


def test_an_argument_may_be_for_one_dtype_alone() -> None:
    explain(result(failed=("zero/gradient",)), [replace(FINDING, checks=("*:float32",))])
    with pytest.raises(ValueError, match="no finding"):
        explain(result(failed=("zero/gradient",)), [replace(FINDING, checks=("*:float64",))])


def test_another_version_or_rule_needs_an_argument_of_its_own() -> None:
    assert explain(result(failed=("zero/gradient",)), [FINDING]) == [FINDING]
    for change in ({"version": "1.1"}, {"rule": "tiger"}, {"name": "two"}):
        with pytest.raises(ValueError, match="no finding"):
            explain(result(failed=("zero/gradient",), **change), [FINDING])


def test_the_page_tells_bugs_choices_mended_and_not_run_apart() -> None:
    choice = replace(FINDING, ports=("lion/choice",), kind="choice", title="Masked by design")
    fixed = replace(FINDING, versions=("0.9",), title="Moved nothing", fixed="1.0", case="")
    stopped = {"name": "absent", "rule": "lion", "distribution": "absent", "variant": "", "past": False}
    page = compose(
        [
            result(failed=("zero/gradient",)),
            result("choice", failed=("zero/gradient",), variant="masks"),
            result(failed=("zero/gradient",), past=True, version="0.9"),
            result("fine"),
            {**stopped, "stopped": "not installed: absent", "seconds": 0.0},
        ],
        [FINDING, choice, fixed],
    )
    parts = dict(zip(*[iter(re.split(r"^## (.*)$", page, flags=re.MULTILINE)[1:])] * 2, strict=True))
    assert "| lion | fine | fine 1.0 | **passes** |" in parts["Verdicts"]
    assert "| lion | one | one 1.0 | **fails** [1](cases/one.md) |" in parts["Verdicts"]
    assert "0.9" not in parts["Verdicts"]
    assert "Zero moves" in parts["Why a port fails"]
    assert "looks like a bug (<https://example.org/a>), mutant `lion/zero`." in parts["Why a port fails"]
    assert "Masked by design" in parts["Another rule, by choice"]
    assert "| one 0.9 | Moved nothing | 1.0 |" in parts["Fixed"]
    assert "| lion | absent | not installed: absent |" in parts["Not run"]


def test_a_variant_that_fails_is_a_choice_and_one_that_passes_passes() -> None:
    assert verdict(result(failed=("a",))) == "bug"
    assert verdict(result(failed=("a",), variant="masks")) == "choice"
    assert verdict(result(variant="masks")) == "pass"


def test_a_run_that_the_findings_do_not_explain_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = result("no-such", failed=("zero/gradient",))
    monkeypatch.setattr(__main__, "rows", lambda past: [Row(candidate(distribution="no-such"))])
    monkeypatch.setattr(__main__, "run_row", lambda *args: found)
    assert __main__.main(["run", "--out", str(tmp_path)]) == 1
    assert "no finding argues it" in capsys.readouterr().out
    found = result("no-such")
    assert __main__.main(["run", "--out", str(tmp_path), "--only", "no-such"]) == 0
    with pytest.raises(SystemExit, match="no port of other is known"):
        __main__.main(["run", "--out", str(tmp_path), "--only", "other"])


def candidate(**changes: Any) -> Candidate:
    return replace(Candidate("a/b, c", "lion", "dist", ("json",), object), **changes)


def test_a_row_of_the_past_has_a_name_and_a_path_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my-dist-0.9"
    folder.mkdir()
    mine, other = candidate(distribution="my-dist", environment={"BACKEND": "x"}), candidate(name="other")
    known = replace(FINDING, ports=("lion/a/b, c",), versions=("0.9",))
    monkeypatch.setattr(runs, "discover", lambda: iter([mine, other]))
    monkeypatch.setattr(runs, "load", lambda: (known,))
    monkeypatch.setenv("PYTHONPATH", "before")
    (tmp_path / "my-dist-0.8").mkdir()
    present, _, past = rows(tmp_path)
    assert (present.id, past.id) == ("lion--a-b-c", "lion--a-b-c--my-dist-0.9")
    assert past.environment()["PYTHONPATH"].split(":") == [str(folder), "before"]
    assert past.environment()["BACKEND"] == "x"


def test_a_port_that_is_not_installed_is_written_down_as_not_run(tmp_path: Path) -> None:
    run_row(Row(candidate(modules=("no_such_module",))), tmp_path, "core", 10)
    written = json.loads((tmp_path / "lion--a-b-c.json").read_text())
    assert written["stopped"] == "not installed: no_such_module"
    assert "report" not in written


def test_a_port_that_cannot_be_built_or_never_ends_costs_its_own_row_only(tmp_path: Path) -> None:
    assert "StopIteration" in run_row(Row(candidate(name="unknown")), tmp_path, "core", 100)["stopped"]
    assert run_row(Row(candidate(name="unknown")), tmp_path, "core", 0.01)["stopped"] == "did not end within 0 s"


NO_CUDA = "Torch not compiled with CUDA enabled|Found no NVIDIA driver|No CUDA GPUs are available"
RUN_ALL = """
import json, sys, traceback
errors = {}
for name, code in json.load(sys.stdin).items():
    try:
        exec(compile(code, name, "exec"), {"__name__": "__main__"})
    except BaseException:
        errors[name] = traceback.format_exc()
    for module in [each for each in sys.modules if each.partition(".")[0] == "keras"]:
        del sys.modules[module]  # the next case may ask Keras for another backend
print("\\n" + json.dumps(errors), flush=True)
"""


@pytest.fixture(scope="module")
def errors(request: pytest.FixtureRequest) -> dict[str, str]:
    """What each case of this run raised, in one process: a framework takes longer to import than a case."""
    chosen = {
        item.callspec.params["case"]
        for item in request.session.items
        if item.path == request.path and "errors" in item.fixturenames
    }
    codes = json.dumps({case.stem: code_of(case) for case in CASES if case in chosen})
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", RUN_ALL], input=codes, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
@pytest.mark.one_in(4)
def test_the_bug_is_still_there(case: Path, errors: dict[str, str]) -> None:
    """Red here is good news: the port was fixed, so the finding goes to the fixed ones."""
    error = errors.get(case.stem, "")
    absent = re.search(rf"ModuleNotFoundError: .*|'NoneType' object has no attribute 'origin'|{NO_CUDA}", error)
    if absent:
        pytest.skip(f"not installed here: {absent.group()}")
    assert not error


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_case_is_short_stands_alone_and_asserts(case: Path) -> None:
    code = code_of(case)
    assert "signopt" not in code
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    assert re.search(r"^ *assert ", code, re.MULTILINE)
    for heading in ("What comes.", "What the source says.", "Why."):
        assert f"**{heading}**" in case.read_text("utf-8")


def test_every_finding_has_its_case_and_every_case_its_finding() -> None:
    """Of a port that is not in the matrix the register has the case."""
    named = {each.case for each in load() if not each.fixed}
    tried = {entry["case"] for entry in register() if entry["run"] == "tried" and "case" in entry}
    assert not named & tried
    assert named | tried == {f"cases/{path.name}" for path in FIELD}
    for each in load():
        assert each.kind in ("bug", "choice")
        assert re.search(r":\d+", each.source), f"{each.title}: no line in its source"
