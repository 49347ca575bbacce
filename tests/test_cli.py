"""The command line: what it prints, writes and returns."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import hostile_ports
import jsonschema
import pytest

from signopt.cli import main
from signopt.conformance import check
from signopt.conformance.reporting import machine

HOSTILE = Path(__file__).parent / "conformance" / "protocol" / "hostile_port.py"


def process(mode):
    return ["--", sys.executable, str(HOSTILE), mode]


def test_a_right_port_passes_with_zero(capsys):
    assert main(["check", "hostile_ports:Right", "--profile", "core"]) == 0
    out = capsys.readouterr().out
    assert "Right: signum, profile core" in out
    assert "pass: " in out


def test_a_wrong_port_fails_with_one_and_every_format_agrees(tmp_path, capsys):
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
    options = [text for kind, path in files.items() for text in (f"--{kind}", str(path))]
    assert main(["check", "hostile_ports:NaNEverywhere", "--profile", "core", *options]) == 1
    assert "fail: " in capsys.readouterr().out
    report = json.loads(files["json"].read_text())
    jsonschema.Draft202012Validator(machine.schema()).validate(report)
    assert (report["verdict"], report["port"], report["rule"]) == ("fail", "NaNEverywhere", "signum")
    suite = ET.parse(files["junit"]).getroot()[0]
    assert int(suite.get("failures")) == report["counts"]["failed"] > 0
    page = files["html"].read_text()
    assert page.startswith("<!doctype html>")
    assert "exact c" in page


def test_a_program_is_checked_through_json_lines_with_a_replay(tmp_path, capsys):
    replay = tmp_path / "traffic.txt"
    assert main(["check", "--profile", "core", "--rule", "signum", "--replay", str(replay), *process("none")]) == 0
    assert "pass: " in capsys.readouterr().out
    assert replay.read_bytes().count(b'"method":"hello"') == 1


@pytest.mark.parametrize("mode", ["junk-first", "not-json", "exit-step", "twice"])
def test_a_hostile_program_gets_a_verdict(mode, capsys):
    code = main(["check", "--profile", "core", "--timeout", "2", *process(mode)])
    assert code == (2 if mode == "junk-first" else 1)
    assert capsys.readouterr().out.startswith("undecided" if mode == "junk-first" else "fail")


@pytest.mark.parametrize("mode", ["hang-step", "no-flush", "missing-step"])
@pytest.mark.one_in(4)
def test_a_program_that_did_not_run_is_not_accused(mode, tmp_path, capsys):
    path = tmp_path / "report.json"
    limits = ["--timeout", "1"]
    code = main(["check", "--profile", "core", "--only", "step/exact", "--json", str(path), *limits, *process(mode)])
    report = json.loads(path.read_text())
    assert (code, report["verdict"], report["counts"]["failed"]) == (2, "undecided", 0)
    assert capsys.readouterr().out.startswith("undecided: ")


def test_a_program_that_crashes_after_bye_fails(capsys):
    assert main(["check", "--profile", "core", "--only", "step", *process("crash-exit")]) == 1
    assert "after its last answer it was ended by SIGSEGV" in capsys.readouterr().out


def test_rules_of_a_program_are_those_that_are_known(capsys):
    assert main(["check", "--profile", "core", "--only", "step/exact", *process("many-rules")]) == 0
    out = capsys.readouterr().out
    assert "'rules' has 100000 entries that are no known rule" in " ".join(out.split())
    assert len(out) < 3000


def test_only_and_dtype_select(tmp_path):
    path = tmp_path / "report.json"
    options = ["--only", "step/exact", "--only", "zero", "--dtype", "float64", "--json", str(path)]
    assert main(["check", "hostile_ports:Right", *options]) == 0
    report = json.loads(path.read_text())
    assert {check["dtype"] for check in report["checks"]} == {"float64"}
    assert {check["id"] for check in report["checks"]} >= {"step/exact"}
    assert {check["group"] for check in report["checks"]} == {"step", "zero"}
    assert report["selection"] == {"only": ["step/exact", "zero"], "dtypes": ["float64"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "step/exakt"], "no check or group is called step/exakt"),
        (["--dtype", "float16"], "no check in float16: the port declares float32, float64"),
    ],
)
def test_what_selects_nothing_says_so(options, message, capsys):
    assert main(["check", "hostile_ports:Right", *options]) == 2
    captured = capsys.readouterr()
    assert message in captured.out + captured.err


def test_the_checks_are_listed_and_explained(capsys):
    assert main(["checks", "--rule", "lion", "--profile", "core"]) == 0
    listed = capsys.readouterr().out
    assert "step/exact  (core, every sign rule, essential)" in listed
    assert "schedule" not in listed
    assert main(["checks", "step/exact"]) == 0
    assert "def exact(s: Session)" in capsys.readouterr().out
    assert main(["checks", "no/such"]) == 2
    assert "no check or group is called 'no/such'" in capsys.readouterr().err


def test_deviations_can_be_written_and_then_hold(tmp_path, capsys):
    path = tmp_path / "known.toml"
    target = ["check", "hostile_ports:RaisesAtStepSeven", *SOME]
    assert main([*target, "--write-deviations", str(path)]) == 1
    assert "step() raised RuntimeError: seven is too many" in path.read_text()
    assert main([*target, "--deviations", str(path)]) == 0
    assert "deviating as stated" in capsys.readouterr().out


COULD_NOT_RUN = {
    "unknown module": (["check", "no_such:Port"], "cannot import 'no_such'"),
    "unknown name": (["check", "nothing-published"], "is no target"),
    "unknown program": (["check", "--", "./no_such_program"], "cannot start './no_such_program'"),
    "no command": (["check", "--"], "there is no command after --"),
    "two targets": (["check", "a:b", "--", "c"], "not both"),
    "unwritable": (["check", "hostile_ports:Right", "--json", "/no/such/folder/x.json"], "No such file or directory"),
    "unmakeable": (["check", "hostile_ports:Unmakeable"], "no such accelerator"),
    "another rule": (["vectors", "copy", "/proc/no"], "/proc/no"),
}


@pytest.mark.parametrize("case", COULD_NOT_RUN)
def test_what_cannot_run_says_why_and_returns_two(case, capsys):
    arguments, message = COULD_NOT_RUN[case]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.out + captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "--profile", "lax"],
        ["check", "--rule", "adam"],
        ["check", "--timeout", "0"],
        ["check", "--seed", "-1"],
        ["info", "--", "x"],
        [],
    ],
)
def test_wrong_usage_exits_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_vectors_are_copied_and_generated(tmp_path, capsys):
    assert main(["vectors", "copy", str(tmp_path / "a"), "--rule", "signum", "--profile", "core"]) == 0
    assert "signum-float32.json" in capsys.readouterr().out
    assert (tmp_path / "a" / "vectors.schema.json").exists()


def test_info_names_what_can_be_checked(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "signopt/portable" in out
    assert "lion-pytorch" in out


def test_help_starts_without_anything_heavy():
    code = "import sys, signopt.cli; print(*({'rich', 'torch', 'jax', 'hypothesis'} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.stdout.strip() == ""


def test_the_process_that_holds_a_port_has_no_judge():
    code = "import sys, signopt.conformance.isolation.server as _; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {f"signopt.conformance.{part}" for part in ("suite", "checks", "mutants")} & set(done.stdout.split())


@pytest.fixture
def ascii_pipe():
    """A pipe that can encode nothing but ASCII: its end to read from, and that to write to."""
    read, write = os.pipe()
    with open(read, encoding="ascii") as reader, open(write, "w", encoding="ascii") as writer:
        yield reader, writer


QUICK = ["check", "--only", "step/exact", "--dtype", "float32", "hostile_ports:Right"]


def test_a_verdict_can_be_read_in_ascii(ascii_pipe):
    reader, writer = ascii_pipe
    with contextlib.redirect_stdout(writer):
        assert main(QUICK) == 0
    writer.close()
    assert "+ step  1 passed" in reader.read()


def test_the_verdict_is_the_exit_code_also_if_nobody_reads_it(ascii_pipe, capsys):
    reader, writer = ascii_pipe
    reader.close()
    with contextlib.redirect_stdout(writer):
        assert main(QUICK) == 0
    assert capsys.readouterr().err == ""


def test_a_list_that_nobody_reads_is_no_error_to_speak_of(ascii_pipe, capsys):
    reader, writer = ascii_pipe
    reader.close()
    with contextlib.redirect_stdout(writer):
        assert main(["checks"]) == 2
    assert capsys.readouterr().err == ""


SOME = ["--only", "step/exact", "--only", "momentum", "--only", "state"]


def deviations(tmp_path, *checks):
    path = tmp_path / "deviations.toml"
    path.write_text("".join(f'[[deviation]]\ncheck = "{check}"\nreason = "seven is unlucky"\n' for check in checks))
    return [*SOME, "--deviations", str(path), "hostile_ports:RaisesAtStepSeven"]


def test_stated_deviations_are_told_and_not_failed(tmp_path, capsys):
    failing = {f.check for f in check(hostile_ports.RaisesAtStepSeven, only=SOME[1::2], diagnose=False).failures}
    assert main(["check", *deviations(tmp_path, *failing)]) == 0
    out = capsys.readouterr().out
    assert f"{2 * len(failing)} deviating as stated" in out
    assert "looks like" not in out


def test_a_deviation_that_does_not_show_fails(tmp_path, capsys):
    assert main(["check", *deviations(tmp_path, "step/exact")]) == 1
    assert "is stated, but the check passes: remove it" in capsys.readouterr().out


def test_deviations_need_one_port(tmp_path, capsys):
    assert main(["check", *deviations(tmp_path, "step/exact")[:-1]]) == 2
    assert "name it" in capsys.readouterr().err


def test_the_mutants_of_a_rule_die(tmp_path, capsys):
    files = [str(tmp_path / "matrix.json"), str(tmp_path / "matrix.svg")]
    arguments = ["mutants", "--rule", "signum", "--profile", "core", "--dtype", "float32", "--only", "decay"]
    code = main([*arguments, "--json", files[0], "--picture", files[1]])
    content = json.loads(Path(files[0]).read_text())
    assert code == (1 if content["survivors"] or content["accused"] else 0)
    assert "signum: killed" in capsys.readouterr().out
    assert Path(files[1]).read_text().startswith("<svg")


ABANDONED = """
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from signopt.commands.check import end_with_parent

pool = ProcessPoolExecutor(1, get_context("spawn"), end_with_parent)
print(pool.submit(os.getpid).result(), flush=True)
os.kill(os.getpid(), 9)
"""


def test_processes_that_judge_end_with_a_command_that_is_killed():
    """They have its standard output, whose end is seen only if all that have it have ended."""
    killed = subprocess.run([sys.executable, "-c", ABANDONED], capture_output=True, text=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert int(killed.stdout) > 0
