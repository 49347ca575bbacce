"""``signopt checks``."""

from __future__ import annotations

import argparse
import inspect
import textwrap
from collections.abc import Iterator

from signopt.commands._exit_codes import PASSED
from signopt.commands.console import make_console
from signopt.conformance.checks import ORDER, PROFILES, REGISTRY, Check
from signopt.conformance.oracle.rules import RULES, SIGN_RULES

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """List the checks that the options leave; of a single one print everything."""
    chosen = _chosen(options)
    width = max(make_console().width, 40)
    if not chosen:
        raise ValueError(f"no check or group is called {options.id!r}: 'signopt checks' lists them")
    alone = [check.id for check in chosen] == [options.id]
    print("\n".join(_explained(chosen[0], width) if alone else _listed(chosen, width)))
    return PASSED


def _chosen(options: argparse.Namespace) -> list[Check]:
    ordered = sorted(REGISTRY.values(), key=lambda check: (PROFILES.index(check.profile), ORDER.index(check.group)))
    rules = [options.rule] if options.rule else list(RULES)
    return [
        check
        for check in ordered
        if options.id in (None, check.id, check.group) and any(check.applies(rule, options.profile) for rule in rules)
    ]


def _listed(checks: list[Check], width: int) -> Iterator[str]:
    for check in checks:
        yield f"{check.id}  ({_scope(check)})"
        yield from textwrap.wrap(check.proves, width - 4, initial_indent="    ", subsequent_indent="    ")


def _scope(check: Check) -> str:
    return f"{check.profile}, {_rules(check)}{', essential' if check.essential else ''}"


def _rules(check: Check) -> str:
    named = {tuple(RULES): "every rule", SIGN_RULES: "every sign rule"}
    return named.get(check.rules, ", ".join(check.rules))


def _explained(check: Check, width: int) -> Iterator[str]:
    """What a check proves, the rest of its docstring, for whom it is, and the code that runs."""
    yield f"{check.id}  ({_scope(check)})"
    yield ""
    for paragraph in (inspect.getdoc(check.function) or check.proves).split("\n\n"):
        yield from textwrap.wrap(" ".join(paragraph.split()), width)
        yield ""
    if check.essential:
        yield from textwrap.wrap("Essential: a port to which it does not apply cannot pass.", width)
    if check.metamorphic:
        yield from textwrap.wrap("It compares the port with itself, bit for bit.", width)
    yield from textwrap.wrap(f"To run it alone: signopt check --only {check.id} TARGET", width)
    yield ""
    yield inspect.getsource(check.function).rstrip()
