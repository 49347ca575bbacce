"""The examples in docstrings, in the README and in the documentation run as they are printed."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import signopt
from signopt.optimizer import Optimizer
from signopt.rules import UPDATES

ROOT = Path(__file__).parents[1]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if ">>> " in page.read_text()]
MODULES = [
    module.name
    for module in pkgutil.walk_packages(signopt.__path__, "signopt.")
    if ">>> " in Path(importlib.util.find_spec(module.name).origin).read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages(page):
    assert not doctest.testfile(str(page), module_relative=False, encoding="utf-8").failed


def test_the_rules_have_examples():
    assert {f"signopt.rules.{rule}" for rule in UPDATES} <= set(MODULES)
    assert {optimizer.__module__ for optimizer in Optimizer.__subclasses__()} <= set(MODULES)
    assert ROOT / "README.md" in PAGES
