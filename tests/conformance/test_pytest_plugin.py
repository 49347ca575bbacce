"""The pytest plugin, run in a pytest of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOSTILE = str(Path(__file__).parent / "isolation")


def run(folder, *arguments):
    paths = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {HOSTILE!r}]; import pytest; "
    code = paths + "sys.exit(pytest.main(['-p', 'pytest_signopt', '-p', 'no:cacheprovider', *sys.argv[1:]]))"
    command = [sys.executable, "-c", code, "-q", "-ra", *arguments]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # where signopt is installed it loads itself
    return subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, timeout=240)


def counts(output):
    return {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|xfailed|skipped)", output)}


def test_a_right_port_gives_a_passing_test_per_check(tmp_path):
    done = run(tmp_path, "--signopt-port=hostile_ports:Right", "--signopt-profile=core", "-vv")
    assert done.returncode == 0, done.stdout
    assert "hostile_ports:Right::step/exact[float32] PASSED" in done.stdout
    assert counts(done.stdout)["passed"] >= 12


def test_a_wrong_port_fails_with_what_was_allowed(tmp_path):
    done = run(tmp_path, "--signopt-port=hostile_ports:NaNEverywhere", "--signopt-profile=core", "-k", "step/exact")
    assert done.returncode == 1
    assert counts(done.stdout) == {"failed": 2}
    assert re.search(r"allowed: .*\n\s+got: nan", done.stdout)


def test_stated_deviations_are_strict_xfails(tmp_path):
    (tmp_path / "known.toml").write_text('[[deviation]]\ncheck = "step/exact"\nreason = "all is NaN here"\n')
    options = ["--signopt-profile=core", "--signopt-deviations=known.toml", "-k", "step/exact"]
    done = run(tmp_path, "--signopt-port=hostile_ports:NaNEverywhere", *options)
    assert (done.returncode, counts(done.stdout)) == (0, {"xfailed": 2})
    done = run(tmp_path, "--signopt-port=hostile_ports:Right", *options)
    assert (done.returncode, counts(done.stdout)) == (1, {"failed": 2})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such:Port", "cannot import 'no_such'"),
        ("hostile_ports:DescribesNothing", "describe() must return a mapping"),
        ("hostile_ports:Unmakeable", "no such accelerator"),
    ],
)
@pytest.mark.one_in(4)
def test_a_port_that_cannot_be_had_is_an_error_of_usage(tmp_path, target, message):
    done = run(tmp_path, f"--signopt-port={target}")
    assert done.returncode == 4
    assert message in done.stderr


def test_without_a_port_nothing_is_imported(tmp_path):
    (tmp_path / "test_light.py").write_text(
        "import sys\ndef test_light():\n    assert not {'numpy', 'signopt'} & set(sys.modules)\n"
    )
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout


PORT = """
import numpy as np

class Port:
    def describe(self):
        return {"name": "mine", "rule": "signum", "dtypes": ["float32"]}

    def init(self, params, hyper, momentum=None):
        self.p, self.hyper = {name: p.copy() for name, p in params.items()}, hyper
        self.m = {name: np.zeros_like(p) for name, p in params.items()} if momentum is None else dict(momentum)

    def step(self, grads):
        beta, lr, decay = (np.float32(self.hyper[key]) for key in ("beta", "lr", "weight_decay"))
        for name, g in grads.items():
            self.m[name] = beta * self.m[name] + (1 - beta) * (g + decay * self.p[name])
            self.p[name] = self.p[name] - lr * np.sign(self.m[name])

    def params(self):
        return self.p

    def momentum(self):
        return self.m
"""


@pytest.fixture
def coupled(tmp_path):
    """A folder with a port whose decay is coupled into the direction, and one ordinary test."""
    (tmp_path / "my_port.py").write_text(PORT)
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    return tmp_path


CORE = ("--signopt-port=my_port:Port", "--signopt-profile=core")


def test_a_module_of_the_current_folder_can_be_named_and_the_counts_add_up(coupled):
    done = run(coupled, *CORE, "-k", "step/exact or other", "-vv")
    collected = re.search(r"collected (\d+) items / (\d+) deselected / (\d+) selected", done.stdout)
    total, deselected, selected = map(int, collected.groups())
    assert (total - deselected, selected) == (2, 2)
    assert total > 12
    assert "my_port:Port::step/exact[float32]" in done.stdout


def test_a_node_id_selects_one_test(coupled):
    done = run(coupled, *CORE, "my_port:Port::step/exact[float32]", "-v")
    assert counts(done.stdout) == {"passed": 1}
    assert "test_other" not in done.stdout
    done = run(coupled, *CORE, "my_port:Port::step/exakt[float32]")
    assert (done.returncode, "has no test my_port:Port::step/exakt[float32]" in done.stderr) == (4, True)


def test_the_target_alone_selects_all_of_the_port(coupled):
    done = run(coupled, *CORE, "my_port:Port")
    assert sum(counts(done.stdout).values()) > 12
    assert "test_other" not in done.stdout


def test_the_last_failures_run_again(coupled):
    def cached(*arguments):
        paths = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; import pytest; "
        code = paths + "sys.exit(pytest.main(['-p', 'pytest_signopt', *sys.argv[1:]]))"
        alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        command = [sys.executable, "-c", code, "-q", *CORE, *arguments]
        return subprocess.run(command, cwd=coupled, env=alone, capture_output=True, text=True, timeout=240).stdout

    first, again = counts(cached()), counts(cached("--lf"))
    assert first["failed"] > 0
    assert first["passed"] > 0
    assert again == {"failed": first["failed"]}


def test_a_failure_names_the_bug(coupled):
    done = run(coupled, *CORE, "-k", "decay", "-x")
    assert "looks like" in done.stdout
    assert "signum/decay-coupled" in done.stdout
