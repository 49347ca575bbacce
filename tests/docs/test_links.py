"""What a page links to or tells to run is in the repository. Sphinx checks the cross references of ``docs/`` itself."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "tests" / "README.md", *(ROOT / "docs").rglob("*.md")])
PAGES = [page for page in PAGES if not {"_build", "node_modules", "target"} & set(page.parts)]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PROGRAM = re.compile(r"\b(?:python|bash|node) ((?:docs|asv_benchmarks|tests)/[\w/.-]+\.(?:py|sh|mjs))")


def targets(page):
    """The relative targets of a page's links, without anchors; code is no link."""
    text = re.sub(r"^(`{3,}).*?^\1`*$|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.M | re.S)
    return [target.partition("#")[0] for target in LINK.findall(text) if ":" not in target and target[0] != "#"]


def missing(page):
    """Links that lead nowhere, and programs that are not there."""
    lost = [target for target in targets(page) if not (page.parent / target).exists()]
    return lost + [path for path in PROGRAM.findall(page.read_text("utf-8")) if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page):
    assert missing(page) == []


def test_a_lost_link_and_a_lost_program_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[a](gone.md#part), [b](https://example.org), `[c](code.md)`, python docs/gone.py")
    assert missing(page) == ["gone.md", "docs/gone.py"]


def test_pictures_have_words_for_those_who_cannot_see_them():
    bare = [page.name for page in PAGES if re.search(r"!\[\s*\]\(", page.read_text("utf-8"))]
    assert bare == []
