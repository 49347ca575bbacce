"""A target that is none: the message says what was meant."""

import re

import pytest

from signopt.conformance.adapters.discovery import resolve
from signopt.conformance.adapters.process import ProcessPort
from signopt.conformance.errors import PortUnavailable, TargetError


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("my_port", "name the port in that module, my_port:NAME"),
        ("./my_port.py", "name the port in that module, my_port:NAME"),
        ("my_port.py:Port", "is a file: give its module, my_port:Port"),
        ("sub/my_port.py:Port", "give its module, sub.my_port:Port"),
        ("./a_program", "stands after --: signopt check -- ./a_program"),
    ],
)
def test_what_is_no_target_says_what_was_meant(target, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("my_port.py", "a_program"):
        (tmp_path / file).touch()
    with pytest.raises(TargetError, match=re.escape(meant)):
        resolve(target, None)


def test_a_program_of_this_folder_needs_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_program").touch()
    with pytest.raises(PortUnavailable, match=r"the file of that name in this folder is \./a_program"):
        ProcessPort(["a_program"]).describe()
