"""``signopt demo`` shows what it promises, and fails if anything comes out otherwise."""

import contextlib
import io
from functools import partial
from pathlib import Path

import pytest

from signopt.cli import main
from signopt.commands import demo
from signopt.commands._exit_codes import FAILED, PASSED
from signopt.commands.demo_ports import DEMO_PORTS, CoupledDecay, DemoLion
from signopt.conformance.mutants import MUTANTS


@pytest.fixture(autouse=True, scope="module")
def quickly():
    """Its own ports and one backend; the others have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "OWN", [e for e in demo.OWN if (e.name, e.rule) == ("signopt/numpy", "signum")])
        patch.setattr(demo, "CATALOGUE", ())
        patch.setenv("COLUMNS", "60")
        yield


@pytest.fixture(scope="module")
def printed(quickly):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["demo"]) == PASSED
    return out.getvalue()


def test_right_passes_and_each_wrong_port_is_caught_and_named(printed):
    lines = printed.splitlines()
    assert sum("✓ pass" in line for line in lines) == 2
    for port in DEMO_PORTS[1:]:
        at = next(i for i, line in enumerate(lines) if port.label in line)
        assert "✗ fail" in lines[at]
        assert port.source in lines[at + 1], "the named bug stands under the port, with its link"
    assert any("signopt check --torch" in line for line in lines)


def test_the_readme_shows_what_it_prints(printed):
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    shown = readme.partition("<!-- the demo's output")[2].partition("```text\n")[2].partition("```")[0]
    assert shown.count("✗ fail") == 3
    for line in shown.splitlines():
        assert line in printed


@pytest.mark.parametrize(
    ("bug", "update", "surprise"),
    [
        ("", CoupledDecay.update, "was accused"),
        ("decay-coupled", DemoLion.update, "was not caught"),
        ("decay-coupled", lambda self, p, g, m, *rest: (p, m), "was not named"),
    ],
    ids=["accused", "missed", "unnamed"],
)
def test_a_surprise_is_said_and_the_exit_code_tells(bug, update, surprise, capsys, monkeypatch):
    planted = type("Planted", (DemoLion,), {"update": update, "bug": bug})
    monkeypatch.setattr(demo, "DEMO_PORTS", (planted,))
    monkeypatch.setattr(demo, "OWN", ())
    monkeypatch.setattr(demo, "check", partial(demo.check, only=["step", "decay"], dtypes=["float32"]))
    assert main(["demo"]) == FAILED
    assert surprise in capsys.readouterr().out


def test_the_bugs_that_it_names_are_known():
    known = {mutant.id for mutant in MUTANTS["lion"]}
    assert {port.bug for port in DEMO_PORTS if port.bug} <= known
