"""``signopt vectors``."""

from __future__ import annotations

import argparse
from pathlib import Path

from signopt.commands._exit_codes import PASSED
from signopt.conformance.vectors import store

__all__ = ["copy", "generate"]


def copy(options: argparse.Namespace) -> int:
    """Copy the vectors and say which files were written."""
    for path in store.copy(options.folder, rule=options.rule, profile=options.profile):
        print(path)
    return PASSED


def generate(options: argparse.Namespace) -> int:
    """Make the vectors anew, by default in the package itself."""
    from signopt.conformance.vectors import generate as generator

    folder = Path(str(store.data())) if options.folder is None else Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path in generator.generate(folder):
        print(path)
    return PASSED
