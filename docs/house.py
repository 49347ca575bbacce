"""The house of signopt, read from its imports: which room stands on which, and a picture of it.

python docs/house.py docs/_static/house.svg

A *room* is a folder, or a module at the top of ``signopt`` or of ``signopt.conformance``. Rooms stand on floors, and an
import goes to the same floor or to one below: tests/test_house.py holds the tree to that, and finds circles.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("signopt._*", "signopt.roles", "signopt.schedules"),
    ("signopt.rules", "signopt.rounding"),
    ("signopt.backends",),
    ("signopt._host", "signopt._state", "signopt.optimizer", "signopt.groups", "signopt.torch"),
    ("signopt.checkpoint", "signopt.states", "signopt"),
    ("signopt.conformance.oracle",),
    ("signopt.conformance.port", "signopt.conformance.causes", "signopt.conformance.errors",
     "signopt.conformance.report", "signopt.conformance.declarations", "signopt.conformance.deviations",
     "signopt.conformance.numpy_ports",
     "signopt.conformance.protocol"),
    ("signopt.conformance.mutants", "signopt.conformance.vectors", "signopt.conformance.reporting",
     "signopt.conformance.watchdog"),
    ("signopt.conformance.driver", "signopt.conformance.diagnosis", "signopt.conformance.rounding_diagnosis",
     "signopt.conformance.byte_order"),
    ("signopt.conformance.session",),
    ("signopt.conformance.checks",),
    ("signopt.conformance.suite",),
    ("signopt.conformance", "signopt.conformance.adapters", "signopt.conformance.evidence",
     "signopt.conformance.pytest_marks"),
    ("signopt.conformance.isolation", "signopt.conformance.pytest_plugin", "signopt.conformance.smoke"),
    ("signopt.commands", "signopt.cli", "signopt.__main__"),
)  # fmt: skip
"""From the ground up. ``signopt._*`` is every private module of the library's top folder that no other floor names."""

Imports = Mapping[str, frozenset[str]]


def modules(root: Path = ROOT, package: str = "signopt") -> dict[str, Path]:
    """Every module of a package by its dotted name."""
    named = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imports(root: Path = ROOT, package: str = "signopt") -> dict[str, frozenset[str]]:
    """For each module those of the package that it imports, also within functions; not for type checkers alone."""
    named = modules(root, package)
    return {module: frozenset(_targets(module, path, named)) - {module} for module, path in named.items()}


def _targets(module: str, path: Path, named: Mapping[str, Path]) -> Iterator[str]:
    here = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in _nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in named)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{stem}.{alias.name}"
                yield from (name for name in (full if full in named else stem,) if name in named)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _nodes(node)


def rooms(edges: Imports) -> dict[str, frozenset[str]]:
    """The imports between rooms."""
    found: dict[str, set[str]] = {}
    for module, targets in edges.items():
        found.setdefault(room_of(module), set()).update(room_of(target) for target in targets)
    return {room: frozenset(targets - {room}) for room, targets in found.items()}


def room_of(module: str) -> str:
    """The room that a module is or lies in."""
    parts = module.split(".")
    return ".".join(parts[: 3 if parts[:2] == ["signopt", "conformance"] else 2])


def circles(edges: Imports) -> list[list[str]]:
    """Groups of more than one name that import each other, directly or not."""
    reach = {start: _reached(edges, start) for start in edges}
    groups = {frozenset(b for b in edges if b in reach[a] and a in reach[b]) | {a} for a in edges if a in reach[a]}
    return sorted(sorted(group) for group in groups)


def direct(edges: Imports) -> dict[str, frozenset[str]]:
    """Imports without those that others lead to: a → c is left out if a → b → c."""
    return {
        name: frozenset(b for b in targets if not any(b in _reached(edges, other) for other in targets - {b}))
        for name, targets in edges.items()
    }


def _reached(edges: Imports, start: str) -> set[str]:
    """All that a name imports, directly or not."""
    seen: set[str] = set()
    waiting = list(edges.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += edges.get(name, ())
    return seen


def floor_of(module: str) -> int:
    """The floor of a module: that of the longest name in `FLOORS` that it is or lies in.

    Raises
    ------
    LookupError
        If no floor names it; it says so.
    """
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        for floor, rooms_there in enumerate(FLOORS):
            if name in rooms_there and (name not in ("signopt", "signopt.conformance") or name == module):
                return floor
    if len(parts) == 2 and parts[1].startswith("_"):
        return 0
    raise LookupError(f"{module} has no floor: add it to FLOORS in docs/house.py")


def upward(edges: Imports) -> list[str]:
    """Imports that go to a floor above."""
    return [f"{a} -> {b}" for a in edges for b in sorted(edges[a]) if floor_of(b) > floor_of(a)]


WIDTH, HEIGHT, GAP, LEFT, ROW = 118, 30, 10, 16, 62
INK, LINE, LIBRARY, SUITE = "#1f2430", "#9aa4b2", "#dbe7f5", "#f6e6cf"


def picture(edges: Imports) -> str:
    """The house as SVG: a row of rooms for each floor, and a line from each room down to those that it imports.

    A line that follows from others is left out: a room that imports ``checks`` stands on all that ``checks`` stands on.
    """
    places = _places(edges)
    width, height = max(x for x, _ in places.values()) + WIDTH + LEFT, ROW * len(FLOORS) + 20
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
    )
    needed = direct(rooms(edges))
    arrows = [(places[a], places[b]) for a, targets in sorted(needed.items()) for b in sorted(targets)]
    drawn = [_arrow(start, end) for start, end in arrows if start[1] != end[1]]
    return "\n".join([head, *drawn, *(_room(name, *place) for name, place in places.items()), "</svg>"]) + "\n"


def _places(edges: Imports) -> dict[str, tuple[int, int]]:
    """Each room's corner: from the ground up, a floor's rooms in the order of what they stand on, from the left."""
    floors = [[room for room in sorted(rooms(edges)) if floor_of(room) == floor] for floor in range(len(FLOORS))]
    needed = direct(rooms(edges))
    places: dict[str, tuple[int, int]] = {}
    for floor, names in enumerate(floors):
        below = {name: [places[target][0] for target in needed[name] if target in places] for name in names}
        names.sort(key=lambda name: sum(below[name]) / len(below[name]) if below[name] else 0)
        for at, name in enumerate(names):
            places[name] = (LEFT + at * (WIDTH + GAP), 10 + ROW * (len(FLOORS) - 1 - floor))
    return places


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    (x1, y1), (x2, y2) = start, end
    x1, x2, y1 = x1 + WIDTH // 2, x2 + WIDTH // 2, y1 + HEIGHT
    return (
        f'<path d="M{x1} {y1}C{x1} {y1 + 30} {x2} {y2 - 30} {x2} {y2}" fill="none" stroke="{LINE}" opacity=".9"/>'
    )  # fmt: skip


def _room(name: str, x: int, y: int) -> str:
    fill = SUITE if "conformance" in name else LIBRARY
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="4" fill="{fill}" stroke="{LINE}"/>'
        f'<text x="{x + WIDTH // 2}" y="{y + 19}" fill="{INK}" text-anchor="middle">{escape(name.rpartition(".")[2])}'
        "</text>"
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(imports()), encoding="utf-8")
