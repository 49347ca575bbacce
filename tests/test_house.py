"""The house: no circles, arrows point down, and the oracle knows no rule of the library."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("house", ROOT / "docs" / "house.py")
house = importlib.util.module_from_spec(spec)
spec.loader.exec_module(house)


@pytest.fixture(scope="module")
def edges():
    """What each module imports."""
    return house.imports()


def test_no_circle_of_modules(edges):
    assert house.circles(edges) == []


def test_no_circle_of_rooms(edges):
    assert house.circles(house.rooms(edges)) == []


def test_arrows_point_down(edges):
    assert house.upward(edges) == []


def test_the_oracle_knows_no_rule_of_the_library_and_nothing_of_ports(edges):
    own = "signopt.conformance.oracle"
    oracle = {module: targets for module, targets in edges.items() if module.startswith(own)}
    assert oracle
    assert {target for targets in oracle.values() for target in targets if not target.startswith(own)} == set()


def test_the_library_stands_without_the_suite(edges):
    library = {m: targets for m, targets in edges.items() if house.floor_of(m) <= house.floor_of("signopt")}
    assert [m for m, targets in library.items() if any("conformance" in target for target in targets)] == []


PLANTED = {
    "a circle of modules": {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"})},
    "a circle of two": {"a": frozenset({"b"}), "b": frozenset({"a"}), "c": frozenset({"a"})},
}


@pytest.mark.parametrize("edges", PLANTED.values(), ids=PLANTED)
def test_a_planted_circle_is_found(edges):
    (found,) = house.circles(edges)
    assert len(found) == (3 if edges["b"] == {"c"} else 2)


def test_a_planted_circle_of_rooms_is_found():
    edges = {"s.x.a": {"s.y.b"}, "s.y.b": (), "s.y.c": {"s.x.d"}, "s.x.d": ()}
    edges = {name: frozenset(targets) for name, targets in edges.items()}
    assert house.circles(edges) == []
    assert house.circles(house.rooms(edges)) == [["s.x", "s.y"]]


def test_a_planted_arrow_up_is_found():
    edges = {"signopt.rules.lion": frozenset({"signopt.backends.numpy"}), "signopt.backends.numpy": frozenset()}
    assert house.upward(edges) == ["signopt.rules.lion -> signopt.backends.numpy"]


def test_an_import_that_follows_from_others_is_not_drawn():
    edges = {"a": {"b", "c", "d"}, "b": {"c"}, "c": set(), "d": set()}
    edges = {name: frozenset(targets) for name, targets in edges.items()}
    assert house.direct(edges) == {"a": {"b", "d"}, "b": {"c"}, "c": set(), "d": set()}


def test_imports_are_read_from_every_form(tmp_path):
    package = tmp_path / "signopt"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "sub" / "__init__.py").write_text("")
    (package / "low.py").write_text("")
    (package / "sub" / "high.py").write_text(
        "from typing import TYPE_CHECKING\nfrom ..low import x\n"
        "def f():\n    import signopt.sub\nif TYPE_CHECKING:\n    from signopt import other\n"
    )
    assert house.imports(tmp_path)["signopt.sub.high"] == {"signopt.low", "signopt.sub"}


LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS = {
    ("signopt/conformance/vectors/shared.py", "_tensors"): "a table of cases",
    ("signopt/conformance/vectors/signum.py", "_exact"): "a table of cases",
    ("signopt/conformance/vectors/tiger.py", "_nan_rule"): "a table of cases",
}


def code_lines(function):
    """The lines of a function without its docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.end_lineno - function.lineno + 1 - (first.end_lineno - first.lineno + 1 if documented else 0)


def long_functions(path):
    tree = ast.parse(path.read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {function.name for function in functions if code_lines(function) > 40}


def test_files_have_at_most_300_lines_or_a_reason():
    files = [*(ROOT / "signopt").rglob("*.py"), *(ROOT / "docs").rglob("*.py")]
    long = {str(p.relative_to(ROOT)) for p in files if len(p.read_text("utf-8").splitlines()) > 300}
    assert long == LONG_FILES.keys()


def test_functions_have_at_most_40_lines_of_code_or_a_reason():
    files = (ROOT / "signopt").rglob("*.py")
    assert {(str(p.relative_to(ROOT)), name) for p in files for name in long_functions(p)} == LONG_FUNCTIONS.keys()


def test_a_planted_long_function_is_found_and_its_docstring_does_not_count(tmp_path):
    path = tmp_path / "module.py"
    lines = "    x = 1\n"
    path.write_text('def f():\n    """' + "\n" * 50 + '"""\n' + 39 * lines + "\nasync def g():\n" + 40 * lines)
    assert long_functions(path) == {"g"}
