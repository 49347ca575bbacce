"""The examples of the how-to pages run, one after the other, as a reader would paste them."""

import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "use").glob("*.md"))


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    if "import jax" in page.read_text("utf-8"):
        pytest.importorskip("jax")
    monkeypatch.chdir(tmp_path)
    names = {}
    for source in blocks(page):
        exec(compile(source, page.name, "exec"), names)


def test_every_page_but_the_tables_has_an_example():
    assert len(PAGES) > 5
    assert all(blocks(page) for page in PAGES)
