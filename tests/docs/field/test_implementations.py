"""The register of the field: its data are checked, and its pages are those that the data give."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "docs" / "field"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("implementations", FOLDER / "implementations.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_those_of_the_data(script):
    entries = script.load()
    assert (FOLDER / "state.md").read_text("utf-8") == script.state(entries)
    page = (FOLDER / "implementations.md").read_text("utf-8")
    assert page.endswith(script.table(entries) + script.TAIL)
    assert f"{len(entries)} public implementations" in page


def test_every_wrong_port_of_the_compatibility_page_is_in_the_register(script):
    cases = {entry.get("case") for entry in script.load()}
    reproductions = {f"cases/{path.name}" for path in (FOLDER / "cases").glob("*.md")}
    second = {"cases/deepspeed-strided-parameter.md", "cases/torch-muon-epsilon.md", "cases/optax-muon-preset.md"}
    assert reproductions - cases <= second, "a second case of the same port"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('verdict = "right"\nkind = "decay"', "a fault or a choice has one of the kinds"),
        ('verdict = "wrong"', "a fault or a choice has one of the kinds"),
        ('verdict = "maybe"\nkind = "decay"', "unknown verdict"),
        ('verdict = "wrong"\nkind = "decay"\ncase = "cases/none.md"', "there is no cases/none.md"),
    ],
)
def test_wrong_entries_are_refused(script, line, message, tmp_path, monkeypatch):
    entry = f'name = "x"\nrule = "lion"\nversion = "1"\nwhere = "y"\ncomputes = "z"\nrun = "run"\n{line}\n'
    (tmp_path / "implementations.toml").write_text(f"[[implementation]]\n{entry}")
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=message):
        script.load()


def test_the_readme_gives_the_counts_of_the_register(script):
    entries = script.load()
    wrong = sum(entry["verdict"] == "wrong" for entry in entries)
    readme = " ".join((FOLDER.parents[1] / "README.md").read_text("utf-8").split())
    assert f"Of {len(entries)} public implementations of these rules, {wrong} compute something else" in readme
