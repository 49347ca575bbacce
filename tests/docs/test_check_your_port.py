"""What the users' documents show is what happens."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import jsonschema
import pytest

from signopt.conformance import check
from signopt.conformance.checks import REGISTRY
from signopt.conformance.deviations import load
from signopt.conformance.suite import select
from signopt.conformance.vectors import store
from tests.long_checks import LONG

DOCS = Path(__file__).parents[2] / "docs"


def blocks(name, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / name).read_text("utf-8"), re.M | re.S)


def run_block(first_line, **modules):
    """Execute the block of the page that starts with this comment, on stand-ins for the reader's packages."""
    (source,) = [block for block in blocks("check-your-port.md", "python") if block.startswith(f"# {first_line}\n")]
    saved = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        names = {}
        exec(compile(source, first_line, "exec"), names)
        return names
    finally:
        for name, module in saved.items():
            sys.modules.pop(name) if module is None else sys.modules.update({name: module})


def stand_in(**names):
    module = types.ModuleType("my_package")
    vars(module).update(names)
    return module


def test_the_torch_port_of_the_page_passes():
    lion_pytorch = pytest.importorskip("lion_pytorch")
    names = run_block("my_port.py", my_package=stand_in(Lion=lion_pytorch.Lion))
    assert check(names["port"], "core").verdict == "pass"


def test_the_test_file_of_the_page_is_parametrized():
    lion_pytorch = pytest.importorskip("lion_pytorch")
    port = run_block("my_port.py", my_package=stand_in(Lion=lion_pytorch.Lion))["port"]
    names = run_block("test_lion.py", my_port=stand_in(port=port))
    (mark,) = names["test_lion_is_lion"].pytestmark
    mark.args[1][0].values[0]()


@pytest.mark.parametrize(
    "only", [["step/exact", "betas", "decay/size"], pytest.param(None, marks=pytest.mark.thorough)], ids=["few", "all"]
)
def test_the_jax_port_of_the_page_passes(only):
    """JAX compiles for every shape of the checks."""
    optax = pytest.importorskip("optax")
    names = run_block("my_jax_port.py", my_package=stand_in(lion=optax.lion))
    assert check(names["port"], "core", only=only, dtypes=["float32"]).verdict == "pass"


def test_the_numpy_port_of_the_page_passes():
    short = [each.id for each in select("lion", "standard") if each.id not in LONG]
    assert check(run_block("my_numpy_port.py")["Port"], only=short).verdict == "pass"


def test_the_deviations_of_the_page_can_be_read_and_name_a_check(tmp_path):
    (text,) = blocks("check-your-port.md", "toml")
    (tmp_path / "signopt.toml").write_text(text)
    (entry,) = load(tmp_path / "signopt.toml")
    assert entry.check in REGISTRY


def test_the_vector_of_the_page_is_the_one_in_the_file():
    (shown,) = map(json.loads, blocks("vectors.md", "json"))
    (real,) = [v for v in store.load("lion", "float32")["vectors"] if v["id"] == shown["id"]]
    assert shown == real
    jsonschema.validate(shown, {**store.schema()["$defs"]["vector"], "$defs": store.schema()["$defs"]})


def conversation():
    (text,) = [block for block in blocks("protocol.md", "text") if block.startswith("> ")]
    lines = text.replace("\n   ", "").splitlines()
    return [line[2:] for line in lines if line[0] == ">"], [json.loads(line[2:]) for line in lines if line[0] == "<"]


def test_the_conversation_of_the_page_takes_place():
    node = shutil.which("node")
    if node is None:
        pytest.skip("the worked JavaScript port needs node")
    asked, expected = conversation()
    command = [node, str(DOCS / "ports" / "js" / "port.mjs")]
    done = subprocess.run(
        command, input="\n".join(asked) + "\n", capture_output=True, text=True, timeout=300, check=True
    )
    answered = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["id"] for reply in answered] == [reply["id"] for reply in expected]
    assert answered[1:] == expected[1:]


def test_the_limits_of_the_page_are_the_limits():
    from signopt.conformance import driver
    from signopt.conformance.protocol.limits import Limits

    limits, page = Limits(), textwrap.dedent((DOCS / "protocol.md").read_text("utf-8"))
    assert f"within {limits.message_seconds:g} seconds" in page
    assert f"a line of more than {limits.line_bytes >> 20} MiB" in page
    assert f"more than {limits.memory_bytes >> 30} GiB of resident memory" in page
    assert f"more than {limits.total_seconds:g} seconds of waiting" in page
    assert limits.restarts == 2  # "at most twice"
    assert f"killed after {limits.exit_seconds:g} seconds" in " ".join(page.split())
    assert f"more than {driver.PATIENCE:g} seconds is interrupted" in (DOCS / "check-your-port.md").read_text("utf-8")
