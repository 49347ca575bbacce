"""The table of weak suites: each restated suite accepts the right port, and the page shows what the command prints."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("mlx", "optax, modes", "keras", "DeepSpeed, non-contiguous", "signopt")


def loaded(name: str) -> ModuleType:
    path = ROOT / "docs" / "weak_suites" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"weak_suites_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    return loaded("measure")


def page() -> tuple[str, str]:
    """What the page says of Lion, and of Muon."""
    lion, muon = (ROOT / "docs" / "weak_suites.md").read_text(encoding="utf-8").split("## Muon\n")
    return lion, muon


def rows() -> dict[str, list[str]]:
    """The table of Lion: name of the suite, then its other cells."""
    page_of_lion = page()[0]
    lines = [line.strip("|").split("|") for line in page_of_lion.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    return {name: rest for name, *rest in cells[2:]}


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.one_in(4)
def test_a_suite_accepts_the_right_port(measure: ModuleType, name: str) -> None:
    assert not measure.kills(measure.SUITES[name][0], measure.right)


@pytest.mark.parametrize("name", QUICK[:-1])
def test_the_page_says_what_is_measured(measure: ModuleType, name: str) -> None:
    wrong = {variant.id: variant for variant in measure.MUTANTS["lion"]}
    passing = [key for key in measure.WRONG if not measure.kills(measure.SUITES[name][0], wrong[key])]
    assert rows()[name] == [str(len(measure.WRONG) - len(passing)), ", ".join(passing), measure.SUITES[name][1]]


def test_the_page_has_every_suite_and_the_last_rejects_all(measure: ModuleType) -> None:
    assert list(rows()) == list(measure.SUITES)
    assert rows()["signopt"][0] == str(len(measure.WRONG))


def shares(lines: list[str]) -> dict[str, float]:
    """Of each suite the share of wrong Muons that it rejects."""
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: int(count) / int(head[1].split()[-1]) for name, count, _ in rows}


@pytest.mark.thorough
def test_the_page_says_what_the_tests_of_muons_reject() -> None:
    """Within three percent: the number of known wrong Muons grows, and the page is measured now and then."""
    shown = shares([line for line in page()[1].splitlines() if line.startswith("|")])
    assert shown == pytest.approx(shares(list(loaded("muon").lines())), abs=0.03)
