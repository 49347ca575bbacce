"""The command ``signopt``: check ports, explain the checks, copy and generate vectors, run the known mutants, say what
is installed.

Exit codes: 0 passed, 1 failed, 2 could not run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from signopt._version import __version__
from signopt.commands._exit_codes import COULD_NOT_RUN
from signopt.commands._streams import discard, make_encodable
from signopt.conformance.oracle.rules import RULES

__all__ = ["main"]

_PROFILES = ("core", "standard", "strict")
_CHECK_HELP = """\
what to check:
  (nothing)                 this library's backends and every installed port that it has an adapter for,
                            against the verdicts that were published: exit code 0 if all is as published
  package.module:attribute  a Port instance, or a class or factory without arguments, in a child process
  NAME                      a published port as 'signopt info' lists it, for example lion-pytorch
  -- COMMAND [ARGUMENT...]  any program that speaks JSON lines on stdin and stdout

exit codes: 0 passed, 1 failed, 2 could not run: then nothing is said against the port
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments, command = _split(list(sys.argv[1:] if argv is None else argv))
    parser = _parser()
    options = parser.parse_args(arguments)
    if command is not None and options.command not in ("check", "smoke"):
        parser.error("only 'signopt check' and 'signopt smoke' take a command after --")
    options.port_command = command
    try:
        module, function = options.run.split(":")
        run: Callable[[argparse.Namespace], int] = getattr(import_module(module), function)
        make_encodable(sys.stdout)
        code = run(options)
        sys.stdout.flush()
        return code
    except ImportError as error:
        print(f"signopt: {error}: pip install 'signopt[conformance]'", file=sys.stderr)
    except BrokenPipeError:
        discard(sys.stdout)
    except (OSError, ValueError) as error:
        print(f"signopt: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("signopt: interrupted", file=sys.stderr)
    return COULD_NOT_RUN


def _split(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """What stands before the first ``--``, and the command after it."""
    if "--" not in arguments:
        return arguments, None
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="signopt", description="Sign-based optimizers, exact to the last bit.")
    parser.add_argument("--version", action="version", version=f"signopt {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_check(commands)
    _add_smoke(commands)
    checks = commands.add_parser("checks", help="list the checks, or explain one")
    checks.add_argument("id", nargs="?", metavar="ID", help="an id such as step/exact, or a group such as step")
    checks.add_argument("--rule", choices=tuple(RULES), help="only those of this rule")
    checks.add_argument("--profile", default="strict", choices=_PROFILES, help="only those that this profile contains")
    checks.set_defaults(run="signopt.commands.checks:run")
    _add_vectors(commands)
    _add_mutants(commands)
    demo = commands.add_parser("demo", help="a minute's demonstration: right and wrong ports, and how to check yours")
    demo.set_defaults(run="signopt.commands.demo:run")
    info = commands.add_parser("info", help="versions, backends, and which published ports are installed")
    info.set_defaults(run="signopt.commands.info:run")
    return parser


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = commands.add_parser(
        "check",
        help="check ports against exact arithmetic",
        usage="signopt check [options] [TARGET | -- COMMAND [ARGUMENT...]]",
        epilog=_CHECK_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("target", nargs="?", metavar="TARGET", help="what to check, see below")
    check.add_argument("--torch", metavar="MODULE:CLASS", help="a torch optimizer without an adapter; with --rule")
    check.add_argument("--device", metavar="NAME", help="where --torch has its tensors, such as cuda (default cpu)")
    check.add_argument("--optax", metavar="MODULE:FUNCTION", help="an optax transformation without one; with --rule")
    check.add_argument("--rule", choices=tuple(RULES), help="the rule that the port must implement")
    check.add_argument("--profile", default="standard", choices=_PROFILES)
    check.add_argument("--only", action="append", metavar="ID_OR_GROUP", help="of the profile only these checks")
    check.add_argument("--dtype", action="append", metavar="NAME", help="of the declared dtypes only these")
    check.add_argument("--deviations", metavar="FILE", help="TOML file of known deviations")
    check.add_argument("--write-deviations", metavar="FILE", help="write such a file of what fails now")
    check.add_argument("--json", metavar="FILE", help="write the report as JSON")
    check.add_argument("--junit", metavar="FILE", help="write the report as JUnit XML")
    check.add_argument("--html", metavar="FILE", help="write the report as one HTML file")
    check.add_argument("--table", action="store_true", help="print every check with what it proves, not only groups")
    check.add_argument("--replay", metavar="FILE", help="record all traffic with a COMMAND")
    check.add_argument("--seed", type=_seed, default=0, help="of every random choice (default 0)")
    check.add_argument(
        "--timeout", type=_seconds, default=None, metavar="SECONDS", help="of the port's own time, for one answer (60)"
    )
    check.set_defaults(run="signopt.commands.check:run")


def _add_smoke(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    smoke = commands.add_parser(
        "smoke",
        help="say in seconds what a new port gets wrong on the wire",
        usage="signopt smoke [options] -- COMMAND [ARGUMENT...]",
    )
    smoke.add_argument("--rule", choices=tuple(RULES), help="the rule to ask for")
    smoke.add_argument(
        "--timeout", type=_seconds, default=5.0, metavar="SECONDS", help="of the port's own time, for one answer (5)"
    )
    smoke.set_defaults(run="signopt.commands.smoke:run")


def _seed(text: str) -> int:
    seed = int(text)
    if seed < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return seed


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number of seconds, got {text}")
    return seconds


def _add_vectors(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    vectors = commands.add_parser("vectors", help="plain JSON vectors for tests in any language")
    actions = vectors.add_subparsers(dest="action", required=True, metavar="ACTION")
    copy = actions.add_parser("copy", help="copy the vectors and their schema to a folder")
    copy.add_argument("folder", metavar="DIR")
    copy.add_argument("--rule", choices=tuple(RULES), help="only this rule")
    copy.add_argument("--profile", default="standard", choices=("core", "standard"))
    copy.set_defaults(run="signopt.commands.vectors:copy")
    generate = actions.add_parser("generate", help="make the vectors anew from the exact oracle")
    generate.add_argument("folder", metavar="DIR", nargs="?", help="where to; by default into the package")
    generate.set_defaults(run="signopt.commands.vectors:generate")


def _add_mutants(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    mutants = commands.add_parser("mutants", help="run the suite against every known wrong and right port")
    mutants.add_argument("--rule", choices=tuple(RULES), help="only this rule")
    mutants.add_argument("--profile", default="standard", choices=("core", "standard"))
    mutants.add_argument("--dtype", action="append", metavar="NAME", help="by default float32 and float64")
    mutants.add_argument("--seeds", type=int, default=1, metavar="N", help="run with seeds 0 to N-1 (default 1)")
    mutants.add_argument("--quick", action="store_true", help="end each run at the second check that fails")
    mutants.add_argument("--only", default="", metavar="TEXT", help="only ports with this in their id")
    mutants.add_argument("--json", metavar="FILE", help="write the kill matrix as JSON")
    mutants.add_argument("--picture", metavar="FILE", help="draw the kill matrix as SVG")
    mutants.set_defaults(run="signopt.commands.mutants:run")
