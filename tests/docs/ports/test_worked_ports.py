"""The worked C, JavaScript and Rust ports: right through their own vector tests, and through JSON lines."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from signopt.conformance import check
from signopt.conformance.adapters.process import ProcessPort
from signopt.conformance.suite import select
from signopt.conformance.vectors import store
from tests.long_checks import LONG

RULES = ("lion", "signum", "tiger", "muon")
"""What the worked ports know."""

PORTS = Path(__file__).parents[3] / "docs" / "ports"


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    for rule in RULES:
        store.copy(folder, rule=rule)
    return folder


def wide_files(folder):
    return sorted(path for path in folder.iterdir() if re.search(r"-float(32|64)\.json$", path.name))


def run_c(c_build, files):
    return subprocess.run([c_build / "vectors", *files], capture_output=True, text=True, timeout=300)


def run_js(js_folder, folder):
    environment = {**os.environ, "SIGNOPT_VECTORS": str(folder)}
    command = ["node", "--test", "--test-reporter=tap"]
    return subprocess.run(command, cwd=js_folder, env=environment, capture_output=True, text=True, timeout=300)


def test_the_c_port_passes_its_vectors(c_build, vectors):
    result = run_c(c_build, wide_files(vectors))
    passed, failed, skipped = map(int, re.findall(r"\d+", result.stdout.splitlines()[-1]))
    assert result.returncode == 0, result.stdout
    total = sum(len(store.load(rule, dtype)["vectors"]) for rule in RULES for dtype in ("float32", "float64"))
    assert (failed, passed + skipped) == (0, total)
    assert skipped == 10


def test_the_javascript_port_passes_its_vectors(js_folder, vectors):
    result = run_js(js_folder, vectors)
    assert result.returncode == 0, result.stdout[-2000:]
    assert "# fail 0" in result.stdout
    assert "# skipped 10" in result.stdout


def test_the_rust_port_passes_its_vectors(cargo, vectors):
    result = cargo("test", "--test", "vectors", SIGNOPT_VECTORS=str(vectors))
    assert result.returncode == 0, result.stdout[-2000:]
    assert "1 passed" in result.stdout


@pytest.fixture(scope="module")
def damaged(vectors, tmp_path_factory):
    """The vectors of Lion in float32 with one bit of one outcome changed."""
    folder = tmp_path_factory.mktemp("damaged")
    text = (vectors / "lion-float32.json").read_text()
    (folder / "lion-float32.json").write_text(text.replace('[["3f7c0000"]', '[["3f7c0001"]', 1))
    assert (folder / "lion-float32.json").read_text() != text
    return folder


@pytest.fixture(scope="module")
def tame(vectors, tmp_path_factory):
    """Vectors whose canary is right, and vectors of which one requires something that is not known."""
    folders = []
    for name in ("canary", "requires"):
        folder = tmp_path_factory.mktemp(name)
        document = json.loads((vectors / "lion-float32.json").read_text())
        if name == "canary":
            document["canary"] = document["vectors"][0]
        else:
            document["vectors"][0]["requires"] = {"moon": "full"}
        (folder / "lion-float32.json").write_text(store.document_text(document))
        folders.append(folder)
    return folders


def test_a_canary_that_passes_and_an_unknown_requirement_fail_the_c_test(c_build, tame):
    assert [run_c(c_build, [folder / "lion-float32.json"]).returncode for folder in tame] == [1, 2]


def test_a_canary_that_passes_and_an_unknown_requirement_fail_the_javascript_test(js_folder, tame):
    assert all(run_js(js_folder, folder).returncode for folder in tame)


def test_a_canary_that_passes_and_an_unknown_requirement_fail_the_rust_test(cargo, tame):
    said = [cargo("test", "--test", "vectors", SIGNOPT_VECTORS=str(folder)).stdout for folder in tame]
    assert "is wrong on purpose, and passes" in said[0]
    assert "a vector requires moon" in said[1]


def test_the_c_vector_test_can_fail(c_build, damaged):
    result = run_c(c_build, [damaged / "lion-float32.json"])
    assert result.returncode == 1
    assert re.search(r"FAILED lion/float32/\S+: params w\[0\] is 3f7c0000", result.stdout)


def test_the_javascript_vector_test_can_fail(js_folder, damaged):
    result = run_js(js_folder, damaged)
    assert result.returncode == 1
    assert "params w[0] is 3f7c0000, allowed are 3f7c0001" in result.stdout


def test_the_rust_vector_test_can_fail(cargo, damaged):
    result = cargo("test", "--test", "vectors", SIGNOPT_VECTORS=str(damaged))
    assert result.returncode != 0
    assert "params w[0] is 3f7c0000, allowed are 3f7c0001" in result.stdout


def checked(command, rule, profile="standard", without=()):
    chosen = [each.id for each in select(rule, profile) if each.id not in without]
    with ProcessPort([str(part) for part in command], rule=rule) as port:
        report = check(port, profile, only=chosen)
    assert port.complaints == []
    return report


THOROUGH = pytest.mark.thorough


def short_and_whole(*every_run):
    """Reports without the long checks: of these rules in every run, of the others if thorough; whole ones are slow."""
    return pytest.mark.parametrize(
        ("rule", "without"),
        [
            *(pytest.param(r, LONG, id=f"{r}-short", marks=[] if r in every_run else THOROUGH) for r in RULES),
            *(pytest.param(r, (), id=f"{r}-all", marks=pytest.mark.slow) for r in RULES),
        ],
    )


@short_and_whole("lion")
def test_the_c_port_is_right_to_the_bits_it_declares(c_build, rule, without):
    report = checked([c_build / "port"], rule, "strict", without)
    assert report.verdict == "pass", report.failures[:1]
    assert report.counts["passed"] > 100


@short_and_whole("lion")
def test_the_javascript_port_is_right(js_folder, rule, without):
    report = checked(["node", js_folder / "port.mjs"], rule, "standard", without)
    assert report.verdict == "pass", report.failures[:1]
    assert report.counts["passed"] > 100


@pytest.mark.parametrize("language", ["c", "javascript"])
def test_the_muon_is_right_at_the_core(language, request):
    if language == "c":
        command = [request.getfixturevalue("c_build") / "port"]
    else:
        command = ["node", request.getfixturevalue("js_folder") / "port.mjs"]
    report = checked(command, "muon", "core")
    assert report.verdict == "pass", report.failures[:1]
    assert report.counts["passed"] > 10


@pytest.mark.parametrize(
    ("rule", "profile"), [pytest.param("lion", "strict", marks=THOROUGH), ("signum", "core"), ("tiger", "core")]
)
def test_the_rust_port_is_right(cargo, rule, profile):
    report = checked([cargo.program], rule, profile)
    assert report.verdict == "pass", report.failures[:1]
    assert report.counts["passed"] > 30


@pytest.mark.parametrize(("rule", "right", "wrong", "word"), [
    ("lion", "B2 * m[i] + A2 * grad[i]", "A2 * m[i] + B2 * grad[i]", "momentum"),
    ("muon", "A[i] = b * A[i] + c * square[i]", "A[i] = b * A[i] + c * A[i]", "A for A²"),
])  # fmt: skip
def test_a_bug_in_the_c_port_is_found(c_build, tmp_path, rule, right, wrong, word):
    """Momentum coefficients exchanged, or A taken for A², compiled anew."""
    source = (PORTS / "c" / "rules_impl.h").read_text()
    damaged = source.replace(right, wrong)
    assert damaged != source
    for path in (PORTS / "c").iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "rules_impl.h").write_text(damaged)
    subprocess.run(["make", "-C", tmp_path, f"OUT={tmp_path}", tmp_path / "port"], check=True, capture_output=True)
    report = checked([tmp_path / "port"], rule, "core")
    assert report.verdict == "fail"
    assert word in report.diagnosis[0]
