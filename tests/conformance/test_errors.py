"""The exceptions of the suite: one home, and what they say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import signopt.conformance
from signopt.conformance import errors

ROOT = Path(signopt.conformance.__file__).parent

OF_THE_ENGINE = {
    "session.py": {"NotApplicableError", "CannotRunError", "EnoughError"},  # how a check ends; run_check catches them
    "vectors/expected.py": {"NotExactError"},  # a case of ours that cannot be made into a vector
}


def exceptions_of(source: str) -> set[str]:
    """The public classes that derive from something that is called an exception."""
    known = {"Exception", "BaseException", "Warning", *errors.__all__}
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            if any(base in known or base.endswith(("Error", "Warning", "Exception")) for base in bases):
                found.add(node.name)
    return found


def test_every_exception_of_the_suite_lives_in_errors():
    homes = {str(p.relative_to(ROOT)): exceptions_of(p.read_text("utf-8")) for p in ROOT.rglob("*.py")}
    assert homes.pop("errors.py") == set(errors.__all__)
    assert {path: names for path, names in homes.items() if names} == OF_THE_ENGINE


def test_a_planted_exception_is_found():
    assert exceptions_of("class A(ValueError): ...\nclass B(PortBroke): ...\nclass C(dict): ...") == {"A", "B"}


def test_a_guess_that_fails_is_a_target_that_is_not_there():
    assert issubclass(errors.GuessError, errors.TargetError)
    assert issubclass(errors.TargetError, ValueError)


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (ValueError("no"), "step() raised ValueError: no"),
        (errors.RemoteError("KeyError", "'w'"), "step() raised KeyError: 'w'"),
        (errors.PortRefused("internal: boom"), "step() answered with the error internal: boom"),
    ],
)
def test_what_a_port_raised_is_said_as_the_user_knows_it(cause, message):
    error = errors.PortRaised("step", cause)
    assert str(error) == message
    assert (error.method, error.cause) == ("step", cause)


def test_a_message_that_cannot_be_had_does_not_hide_the_error():
    class SilentError(Exception):
        def __str__(self):
            raise RuntimeError

    assert str(errors.PortRaised("init", SilentError())) == "init() raised SilentError: no message"


def test_only_a_death_and_a_breach_of_the_protocol_accuse():
    kinds = [getattr(errors, name) for name in errors.__all__]
    accusing = {each.__name__ for each in kinds if issubclass(each, errors.PortBroke) and each.accuses}
    assert accusing == {"PortDied", "ProtocolViolation"}
