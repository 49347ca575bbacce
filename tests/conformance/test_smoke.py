"""signopt smoke: each thing that is wrong on the wire is named, and what is right is not."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from signopt.cli import main
from signopt.conformance.protocol.limits import Limits
from signopt.conformance.smoke import converse
from tests.thin import keeping

HOSTILE = Path(__file__).parent / "protocol" / "hostile_port.py"
LIMITS = replace(Limits(), message_seconds=2.0, exit_seconds=1.0)


def found(mode, limits=LIMITS):
    return list(converse([sys.executable, str(HOSTILE), mode], limits=limits))


@pytest.mark.parametrize("mode", ["none", "family", "stderr-flood"])
def test_a_right_port_has_nothing_wrong(mode):
    patient = replace(LIMITS, message_seconds=30.0)
    assert {finding.status for finding in found(mode, patient)} == {"passed"}


FAILED = {
    "swapped-in": "bytes of each number came back in the opposite order",
    "swapped-out": "bytes of each number came back in the opposite order",
    "swapped-in-out": "the bytes of the arrays that it reads and of the arrays that it writes are swapped",
    "swapped-hyper": "the bytes of the hyperparameters are swapped",
    "swapped-in-out-hyper": "the arrays that it writes and of the hyperparameters are swapped",
    "no-flush": "it is the flush",
    "reads-ahead": "it reads one request ahead of its answers",
    "no-newline": "and no newline: does each reply end with \\n?",
    "carriage-return": "that end with \\r",
    "junk-first": "send banners and logs to stderr",
    "exit-hello": "hello: the port",
    "exit-step": "step: the port",
    "crash-exit": "exit: after its last answer it was ended by SIGSEGV",
    "chatty-exit": "exit: after its last answer the port wrote b'bye bye",
    "wrong-names": "the names are ['w/kernelx']",
    "wrong-shapes": "of shape (7,)",
    "twice": "an answer given twice",
    "other-protocol": "speaks protocol 1, the port answered 2",
    "keeps-state": "a new one did not start afresh",
}


@pytest.mark.parametrize("mode", FAILED)
@pytest.mark.one_in(4)
def test_what_is_wrong_is_named(mode):
    failed = [finding.text for finding in found(mode) if finding.status == "failed"]
    assert any(FAILED[mode] in text for text in failed), failed


@pytest.mark.parametrize(
    "mode", keeping(["hang-hello", "hang-step", "hang-exit", "missing-step"], ["hang-hello", "missing-step"])
)
def test_time_and_what_is_missing_are_no_fault(mode):
    statuses = {finding.status for finding in found(mode)}
    assert "not_run" in statuses
    assert "failed" not in statuses


def test_unknown_keys_are_remarked():
    notes = [finding.text for finding in found("odd-keys") if finding.status == "note"]
    assert "hello: describe() has 'subnormal', which nothing reads; is 'subnormals' meant?" in notes


@pytest.mark.parametrize(
    ("mode", "code"), keeping([("none", 0), ("swapped-out", 1), ("hang-hello", 2)], [("swapped-out", 1)])
)
def test_the_command_returns_what_it_found(mode, code, capsys):
    assert main(["smoke", "--timeout", "3", "--", sys.executable, str(HOSTILE), mode]) == code
    assert capsys.readouterr().out


@pytest.mark.parametrize("mode", ["swapped-in-out", "swapped-hyper"])
def test_a_failing_check_names_swapped_bytes(mode, capsys):
    options = ["--profile", "core", "--only", "step", "--only", "decay"]
    assert main(["check", *options, "--", sys.executable, str(HOSTILE), mode]) == 1
    assert "looks like swapped byte order" in capsys.readouterr().out


def test_a_command_is_needed(capsys):
    assert main(["smoke"]) == 2
    assert "after --" in capsys.readouterr().err
