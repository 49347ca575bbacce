"""``signopt info``."""

from __future__ import annotations

import argparse
import platform

from rich.table import Table

from signopt._version import __version__
from signopt.commands._exit_codes import PASSED
from signopt.commands.console import make_console
from signopt.conformance.adapters.candidate import Candidate, version_of
from signopt.conformance.adapters.discovery import candidates
from signopt.conformance.report import SUITE

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print versions, and every port that the suite knows with what it still needs."""
    del options
    console = make_console()
    console.print(f"signopt {__version__}, suite {SUITE}, Python {platform.python_version()}, {platform.platform()}")
    for name in ("numpy", "array-api-compat", "ml_dtypes", "numba", "cupy-cuda13x", "safetensors"):
        console.print(f"  {name} {version_of(name) or 'not installed'}")
    table = Table(box=None, pad_edge=False)
    for heading in ("port", "rule", "version", "state"):
        table.add_column(heading)
    for candidate in candidates():
        table.add_row(candidate.name, candidate.rule, candidate.version(), _state(candidate))
    console.print(table)
    return PASSED


def _state(candidate: Candidate) -> str:
    needs = [need for need in candidate.missing() if "=" not in need]
    if needs:
        return f"needs {', '.join(needs)}"
    return f"another rule on purpose: {candidate.variant}" if candidate.variant else "can be checked"
