"""Every script of docs/engines runs, finds no element that differs, and prints what its page says that it prints."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.engines.launch import ROOT, SECONDS, run

ENGINES = ROOT / "docs/engines"
pytestmark = pytest.mark.timeout(SECONDS + 60)


def needs(*modules):
    missing = [module for module in modules if find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def mpiexec():
    """The launcher that came with this environment's MPI."""
    return shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")


SCRIPTS = [
    pytest.param("jax", "jax_mesh.py", (), marks=needs("jax")),
    pytest.param("dask", "dask_cluster.py", (), marks=[needs("dask", "distributed"), pytest.mark.thorough]),
    pytest.param("mpi", "mpi_ranks.py", (mpiexec(), "-n", "2"), marks=needs("mpi4py")),
    pytest.param("ray", "ray_actors.py", (), marks=needs("ray")),
]


@pytest.mark.parametrize(("page", "script", "launcher"), SCRIPTS)
def test_a_script_prints_what_its_page_says(page, script, launcher):
    if launcher and launcher[0] is None:
        pytest.skip("no mpiexec: pip install mpich")
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    code, output = run(ENGINES / script, launcher=launcher, **flags)
    assert code == 0, output
    assert [line for line in output.splitlines() if "differ" in line] == said_on(page)


@pytest.mark.parametrize(
    "trainer", [pytest.param(name, marks=needs(name)) for name in ("accelerate", "lightning", "transformers")]
)
def test_a_trainer_of_torch_leaves_the_bits_of_a_plain_loop(trainer):
    code, output = run(ENGINES / "torch_trainers.py", trainer)
    assert code == 0, output
    assert [line for line in output.splitlines() if "differ" in line] == [
        line for line in said_on("trainers") if line.startswith(trainer)
    ]


def said_on(page):
    """The lines that a page says its script prints, none of which finds a difference."""
    lines = (ENGINES / f"{page}.md").read_text().partition("```text\n")[2].partition("```")[0].splitlines()
    assert lines
    assert all(line.endswith(" 0 differ") for line in lines)
    return lines


def test_every_script_has_a_page_that_names_it():
    pages = "".join(page.read_text() for page in (*ENGINES.glob("*.md"), ROOT / "docs/scale.md"))
    assert all(script.name in pages for script in ENGINES.glob("*.py"))


def test_the_models_table_is_on_its_page():
    code, output = run(ENGINES / "scale.py")
    assert code == 0, output
    assert output in (ROOT / "docs/scale.md").read_text()
