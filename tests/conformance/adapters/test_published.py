"""What is published of a port, and what of a run is a surprise."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from docs.field import __main__ as field
from signopt.conformance.adapters import published
from signopt.conformance.report import CheckResult, Report

REPORTS = Path(__file__).parents[3] / "docs" / "field" / "reports"


def report(name, rule, version, status):
    check = CheckResult("step/exact", "step", "float32", "", status)
    return Report(name, rule, "standard", port_version=version, checks=[check])


def test_the_file_is_that_of_the_reports(monkeypatch, tmp_path):
    kept = Path(published.__file__).with_name("published.json").read_text("utf-8")
    monkeypatch.setattr(published, "__file__", str(tmp_path / "published.py"))
    assert field.main(["publish", "--reports", str(REPORTS)]) == 0
    assert json.loads((tmp_path / "published.json").read_text("utf-8")) == json.loads(kept)


@pytest.mark.parametrize(
    ("seen", "surprise"),
    [
        (("mlx", "lion", "0.32.4", "passed"), None),
        (("mlx", "lion", "0.32.4", "failed"), "mlx 0.32.4, lion: fail, published as pass at 0.32.4"),
        (("mlx", "lion", "0.33", "passed"), None),
        (("mlx", "lion", "0.33", "failed"), "mlx 0.33, lion: fail, published as pass at 0.32.4"),
        (("mlx", "lion", "0.32.4", "not_run"), None),
        (("bert4torch", "tiger", "0.6.2", "failed"), None),
        (("bert4torch", "tiger", "0.6.2", "passed"), "tiger: pass, published as fail"),
        (("bert4torch", "tiger", "0.7", "passed"), None),
        (("signopt/numpy", "lion", "", "passed"), None),
        (("signopt/numpy", "lion", "", "failed"), "signopt/numpy, lion: fail, which nothing was published of"),
    ],
)
def test_what_is_a_surprise(seen, surprise):
    found = published.surprises([report(*seen)])
    assert len(found) == (surprise is not None)
    assert surprise is None or surprise in found[0]


@pytest.mark.parametrize("part", [{"profile": "core"}, {"selection": {"only": ["step"]}}])
def test_a_port_that_passes_a_part_of_the_checks_is_no_surprise(part):
    known_wrong = report("bert4torch", "tiger", "0.6.2", "passed")
    assert published.surprises([known_wrong])
    assert not published.surprises([replace(known_wrong, **part)])
