"""The tables of docs/gpu.md that a GPU was needed for are those of the numbers that are kept."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_of_what_was_measured(monkeypatch, capsys):
    script, numbers = ROOT / "asv_benchmarks" / "gpu.py", ROOT / "docs" / "gpu_measured.json"
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", [str(script), "--read", str(numbers)])
    runpy.run_path(str(script), run_name="__main__")
    tables = capsys.readouterr().out.strip()
    assert tables.count("\n**") == 9
    assert tables in (ROOT / "docs" / "gpu.md").read_text("utf-8")
