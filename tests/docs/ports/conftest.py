"""The worked ports of the documentation, built once."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PORTS = Path(__file__).parents[3] / "docs" / "ports"


@pytest.fixture(scope="session")
def c_build(tmp_path_factory):
    """The folder with the C programs ``port`` and ``vectors``."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or shutil.which("make") is None:
        pytest.skip("the worked C port needs a C compiler and make")
    out = tmp_path_factory.mktemp("c")
    subprocess.run(["make", "-C", PORTS / "c", f"OUT={out}", f"CC={compiler}"], check=True, capture_output=True)
    return out


@pytest.fixture(scope="session")
def js_folder():
    """The folder of the JavaScript port."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("the worked JavaScript port needs node")
    major = int(
        subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout[1:].split(".")[0]
    )
    if major < 18:
        pytest.skip(f"the worked JavaScript port needs node 18 or later, found {major}")
    return PORTS / "js"


@pytest.fixture(scope="session")
def cargo(tmp_path_factory):
    """``cargo(*arguments, **environment)`` in the folder of the Rust port, built outside of it, without a network."""
    program = shutil.which("cargo")
    if program is None:
        pytest.skip("the worked Rust port needs cargo")
    target = tmp_path_factory.mktemp("rust")

    def run(*arguments, folder=PORTS / "rust", **environment):
        environment = {**os.environ, "CARGO_TARGET_DIR": str(target), **environment}
        command = [program, *arguments, "--offline"]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)

    built = run("test", "--no-run")
    assert built.returncode == 0, built.stderr
    run.program = target / "debug" / "port"
    return run
