"""``signopt demo`` shows what it promises, and fails if anything comes out otherwise."""

from pathlib import Path

import pytest

from signopt.cli import FAILED, PASSED, main
from signopt.commands import demo
from signopt.commands.demo_ports import DEMO_PORTS, CoupledDecay, DemoLion
from signopt.conformance.mutants import MUTANTS


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Its own ports and one backend; the others have tests of their own."""
    own = [each for each in demo.OWN if (each.name, each.rule) == ("signopt/numpy", "lion")]
    monkeypatch.setattr(demo, "OWN", own)
    monkeypatch.setattr(demo, "CATALOGUE", ())


def test_right_passes_and_each_wrong_port_is_caught_and_named(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["demo"]) == PASSED
    lines = capsys.readouterr().out.splitlines()
    assert sum("✓ pass" in line for line in lines) == 2
    for port in DEMO_PORTS[1:]:
        at = next(i for i, line in enumerate(lines) if port.label in line)
        assert "✗ fail" in lines[at]
        assert port.source in lines[at + 1], "the named bug stands under the port, with its link"
    assert any("signopt check --torch" in line for line in lines)


@pytest.mark.parametrize(
    ("label", "update", "surprise"),
    [
        ("right", CoupledDecay.update, "was accused"),
        ("wrong", DemoLion.update, "was not caught"),
        ("other", lambda self, p, g, m, *rest: (p, m), "was not named"),
    ],
)
def test_a_surprise_is_said_and_the_exit_code_tells(label, update, surprise, capsys, monkeypatch):
    planted = type("Planted", (DemoLion,), {"update": update, "bug": "" if label == "right" else "decay-coupled"})
    monkeypatch.setattr(demo, "DEMO_PORTS", (planted,))
    assert main(["demo"]) == FAILED
    assert surprise in capsys.readouterr().out


def test_the_bugs_that_it_names_are_known():
    known = {mutant.id for mutant in MUTANTS["lion"]}
    assert {port.bug for port in DEMO_PORTS if port.bug} <= known


def test_the_readme_shows_what_it_prints(capsys, monkeypatch):
    monkeypatch.setattr(demo, "OWN", [])
    main(["demo"])
    printed = capsys.readouterr().out
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    shown = readme.partition("<!-- the demo's output")[2].partition("```text\n")[2].partition("```")[0]
    assert shown.count("✗ fail") == 3
    for line in shown.splitlines():
        assert line in printed
