"""The directive ``command-line``: the help of every command of ``signopt``, from the parser that reads them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from signopt import cli

__all__ = ["setup"]


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser of each command that runs something, actions of a command included."""
    children = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in children:
        for child in action.choices.values():
            yield from _commands(child)
    if not children:
        yield parser


class CommandLine(Directive):
    """One section for each command, with its help as the terminal shows it at 100 columns."""

    def run(self) -> list[nodes.Node]:
        return [self._section(command) for command in _commands(cli._parser())]

    def _section(self, command: argparse.ArgumentParser) -> nodes.section:
        command.formatter_class = _wide(command.formatter_class)
        section = nodes.section(ids=[nodes.make_id(command.prog)], names=[command.prog])
        section += nodes.title(text=command.prog)
        section += nodes.literal_block(text=command.format_help(), language="text")
        return section


def _wide(formatter: Any) -> Any:
    return lambda prog: formatter(prog, width=100)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
