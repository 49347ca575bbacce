"""Grids as SVG, without a plotting library: the kill matrix and the table of weak suites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape

from signopt.conformance.evidence.kill_matrix import Matrix, Row

__all__ = ["Grid", "draw", "matrix_picture"]

CELL = 16
LETTER = 6.4
INK, PAPER, RULE = "#1f2328", "#ffffff", "#e6e8eb"
KILLED, RIGHT, WRONG, UNRUN = "#2f6f4f", "#f4f5f7", "#c0392b", "#d9a441"


@dataclass(frozen=True)
class Grid:
    """A table of coloured cells: ``cells[i][j]`` fills row i, column j; ``notes`` stand behind the rows."""

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    @property
    def left(self) -> float:
        """The width of the row labels."""
        return LETTER * max(map(len, self.rows), default=0) + 12

    @property
    def top(self) -> float:
        """The height of the title and of the slanted column labels."""
        return 34 + 0.75 * LETTER * max(map(len, self.columns), default=0)

    @property
    def width(self) -> float:
        """The width of the whole grid, with room for the last slanted label."""
        slanted = 0.75 * LETTER * max(map(len, self.columns), default=0)
        noted = LETTER * max(map(len, self.notes), default=0) + 12
        return self.left + CELL * len(self.columns) + max(slanted, noted, 0)

    @property
    def height(self) -> float:
        """The height of the whole grid."""
        return self.top + CELL * len(self.rows) + 12


def draw(grids: Sequence[Grid], legend: Mapping[str, str]) -> str:
    """The grids side by side as one SVG document, with ``legend`` {meaning: colour} below."""
    width = sum(grid.width for grid in grids) + 24
    height = max(grid.height for grid in grids) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="ui-sans-serif, system-ui, sans-serif" font-size="11">',
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
    ]
    x = 12.0
    for grid in grids:
        parts += [f'<g transform="translate({x:.1f} 0)">', *_grid(grid), "</g>"]
        x += grid.width
    parts += [*_legend(legend, height - 20), "</svg>"]
    return "\n".join(parts) + "\n"


def _grid(grid: Grid) -> Iterable[str]:
    yield _text(grid.title, 0, 18, 'font-size="14" font-weight="600"')
    for j, name in enumerate(grid.columns):
        x, y = grid.left + CELL * (j + 0.5), grid.top - 6
        yield _text(name, x, y, f'transform="rotate(-45 {x:.1f} {y:.1f})"')
    for i, name in enumerate(grid.rows):
        y = grid.top + CELL * i
        yield _text(name, grid.left - 6, y + 11.5, 'text-anchor="end"')
        x = grid.left
        for fill, run in groupby(grid.cells[i]):
            count = len(list(run))
            yield _cells(x, y, fill, count)
            x += CELL * count
        if grid.notes:
            yield _text(grid.notes[i], grid.left + CELL * len(grid.columns) + 8, y + 11.5)
    columns = (grid.left + CELL * j - 0.5 for j in range(len(grid.columns) + 1))
    lines = "".join(f"M{x:.1f} {grid.top:.1f}v{CELL * len(grid.rows)}" for x in columns)
    yield f'<path d="{lines}" stroke="{RULE}"/>'


def _cells(x: float, y: float, fill: str, count: int = 1) -> str:
    """Neighbouring cells of one colour, as one shape: a matrix has tens of thousands of cells."""
    width = CELL * count - 1
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width}" height="{CELL - 1}" fill="{fill}" stroke="{RULE}"/>'


def _text(text: str, x: float, y: float, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" {style}>{escape(text)}</text>'


def _legend(legend: Mapping[str, str], y: float) -> Iterable[str]:
    x = 12.0
    for meaning, colour in legend.items():
        yield _cells(x, y, colour)
        yield _text(meaning, x + CELL + 4, y + 11.5)
        x += CELL + 22 + LETTER * len(meaning)


def matrix_picture(matrix: Matrix) -> str:
    """The kill matrix as SVG, one grid for each rule."""
    legend = {"failed, as it must": KILLED, "passed": RIGHT, "a right port failed": WRONG, "not run": UNRUN}
    return draw([_rule_grid(matrix, rule) for rule in matrix.checks], legend)


def _rule_grid(matrix: Matrix, rule: str) -> Grid:
    rows = [row for row in matrix.rows if row.variant.rule == rule]
    names = [("right: " if row.right else "") + row.variant.id for row in rows]
    cells = [[_fill(row, check) for check in matrix.checks[rule]] for row in rows]
    notes = ["" if row.as_expected else "accused" if row.right else "survives" for row in rows]
    return Grid(rule, names, matrix.checks[rule], cells, notes)


def _fill(row: Row, check: str) -> str:
    if check in row.unrun:
        return UNRUN
    if row.failed[check]:
        return WRONG if row.right else KILLED
    return RIGHT
