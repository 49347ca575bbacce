"""``signopt smoke``."""

from __future__ import annotations

import argparse
from dataclasses import replace

from rich.markup import escape

from signopt.commands._exit_codes import COULD_NOT_RUN, FAILED, PASSED
from signopt.commands.console import make_console
from signopt.conformance.protocol.limits import Limits
from signopt.conformance.reporting.common import SIGNS, readable
from signopt.conformance.smoke import converse

__all__ = ["run"]

_MARKS = {**SIGNS, "note": "–"}


def run(options: argparse.Namespace) -> int:
    """Print each thing that was tried as it is found; FAILED if something is wrong."""
    if not options.port_command:
        raise ValueError("give the command of the port after --")
    console, statuses = make_console(), set()
    limits = replace(Limits(), message_seconds=options.timeout)
    for finding in converse(options.port_command, options.rule, limits):
        statuses.add(finding.status)
        console.print(f"{_MARKS[finding.status]} {escape(readable(finding.text))}", soft_wrap=True)
    if "failed" in statuses:
        return FAILED
    if "not_run" in statuses:
        return COULD_NOT_RUN
    console.print("The wire is all right: now signopt check -- COMMAND.")
    return PASSED
