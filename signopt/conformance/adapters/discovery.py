"""What can be checked by name: ``"package.module:attribute"``, or a published port that has an adapter here.

``"torch=package.module:Class"`` and ``"optax=package.module:function"`` name an optimizer that is no port yet, and get
an adapter made by :mod:`~signopt.conformance.adapters.guess`; ``"torch@cuda=package.module:Class"`` has its tensors
on that device.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from signopt.conformance.adapters.candidate import Candidate
from signopt.conformance.adapters.catalogue import CATALOGUE
from signopt.conformance.adapters.guess import optax_port, torch_port
from signopt.conformance.adapters.own import OWN
from signopt.conformance.adapters.own_torch import OWN_TORCH
from signopt.conformance.errors import TargetError
from signopt.conformance.oracle.rules import RULES

__all__ = ["ENTRY_POINT_GROUP", "candidates", "discover", "find", "resolve"]


ENTRY_POINT_GROUP = "signopt.ports"
_GUESSES: Mapping[str, Callable[..., Any]] = {"torch": torch_port, "optax": optax_port}


def discover() -> Iterator[Candidate]:
    """Yield the candidates of the built-in catalogue, then those that other packages register.

    A package registers its ports by an entry point of the group ``signopt.ports`` that names a callable without
    arguments. The callable returns an iterable of :class:`Candidate`.
    """
    yield from CATALOGUE
    for point in entry_points(group=ENTRY_POINT_GROUP):
        yield from point.load()()


def candidates() -> Iterator[Candidate]:
    """This library's own backends and torch optimizers, then every published port that has an adapter."""
    yield from OWN
    yield from OWN_TORCH
    yield from discover()


def find(name: str, rule: str | None) -> list[Candidate]:
    """The candidates called ``name``, of one rule or of all."""
    return [each for each in candidates() if each.name == name and rule in (None, each.rule)]


def resolve(target: str, rule: str | None) -> Any:
    """The port that ``target`` names: an instance, or a class or factory without arguments.

    Raises
    ------
    TargetError
        If there is no such module, attribute or published port, or if importing it fails.
    """
    kind, _, optimizer = target.partition("=")
    library, *device = kind.split("@", 1)
    if library in _GUESSES and optimizer and (library == "torch" or not device):
        return _guessed(library, optimizer, rule, *device)
    if ":" in target:
        return _imported(target)
    found = find(target, rule)
    if not found:
        raise TargetError(f"{target!r} is no target: {_meant(target)}")
    return _built(found[0])


def _meant(target: str) -> str:
    """What to give instead."""
    if target.endswith(".py") or (target.isidentifier() and os.path.exists(f"{target}.py")):
        return f"name the port in that module, {_module_of(target)}:NAME"
    if os.path.isfile(target):
        return f"a program that speaks JSON lines stands after --: signopt check -- {target}"
    return (
        "give package.module:attribute, the name of a port that 'signopt info' lists, or '-- COMMAND' for a program "
        "that speaks JSON lines"
    )


def _module_of(file: str) -> str:
    return file.removeprefix("./").removesuffix(".py").replace("/", ".")


def no_port(target: str) -> str:
    """What to say of a target that was found and has no ``describe()``."""
    return (
        f"{target!r} is no port: it has no method describe(). An optimizer as it is goes to --torch or --optax with "
        "--rule; anything else is wrapped in a class with describe, init, step, params and momentum"
    )


def _guessed(kind: str, optimizer: str, rule: str | None, *device: str) -> Any:
    if rule is None:
        raise TargetError(f"--rule says which rule {optimizer} must implement: {', '.join(RULES)}")
    return _GUESSES[kind](optimizer, rule, RULES[rule].defaults, *device)


def _imported(target: str) -> Any:
    module_name, _, path = target.partition(":")
    if module_name.endswith(".py"):
        raise TargetError(f"{module_name!r} is a file: give its module, {_module_of(module_name)}:{path}")
    try:
        value: Any = importlib.import_module(module_name)
    # Importing runs the module: whatever it raises is the target's, and is reported with its type.
    except (Exception, SystemExit) as error:
        raise TargetError(f"cannot import {module_name!r}: {type(error).__name__}: {error}") from error
    for name in path.split("."):
        if not hasattr(value, name):
            raise TargetError(f"module {module_name!r} has no attribute {path!r}")
        value = getattr(value, name)
    return value


def _built(candidate: Candidate) -> Any:
    missing = candidate.missing()
    if missing:
        raise TargetError(f"{candidate.name} needs {', '.join(missing)}: pip install {candidate.distribution}")
    return candidate.build
