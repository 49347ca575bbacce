"""A rule is added as CONTRIBUTING.md says, in a copy of the package, and the copy judges ports of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]

ENTRIES = {
    "signopt/rules/__init__.py": [
        ("UPDATES: Mapping", "from signopt.rules.heavyball import apply_heavyball, heavyball\n\n\nUPDATES: Mapping"),
        ('    "lion": apply_lion,', '    "heavyball": apply_heavyball,\n    "lion": apply_lion,'),
    ],
    "signopt/optimizer/__init__.py": [
        ("__all__ = [", 'from signopt.optimizer.heavyball import Heavyball\n\n__all__ = ["Heavyball", ')
    ],
    "signopt/__init__.py": [
        ("import Groups, Lion", "import Groups, Heavyball, Lion"),
        ("import lion, msign", "import heavyball, lion, msign"),
    ],
    "signopt/torch/__init__.py": [
        ("__all__ = [", 'from signopt.torch.heavyball import Heavyball\n\n__all__ = ["Heavyball", ')
    ],
    "signopt/conformance/oracle/rules/__init__.py": [
        ("__all__ = [", "from signopt.conformance.oracle.rules.heavyball import HEAVYBALL\n\n__all__ = ["),
        ("(LION, SIGNUM,", "(LION, SIGNUM, HEAVYBALL,"),
    ],
    "signopt/conformance/numpy_ports/bases.py": [
        ("__all__ = [", "from signopt.conformance.numpy_ports.heavyball import HeavyballPort\n\n__all__ = ["),
        ("(LionPort, SignumPort,", "(LionPort, SignumPort, HeavyballPort,"),
    ],
    "signopt/conformance/mutants/__init__.py": [
        ("__all__ = [", "from signopt.conformance.mutants.heavyball import HEAVYBALL\n\n__all__ = ["),
        ('"signum": SIGNUM,', '"signum": SIGNUM, "heavyball": HEAVYBALL,'),
    ],
}

JUDGED = """
import json
from signopt.cli import _parser
from signopt.conformance import check
from signopt.conformance.adapters.discovery import find, resolve
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import BASES, RIGHT_PORTS

def verdict(port, *only):
    return check(port, only=only, diagnose=False, dtypes=["float32"]).verdict

signum = type("Signum", (BASES["signum"],), {"rule": "heavyball"})
own = {each.name: resolve(each.name, "heavyball") for each in find("signopt/portable", "heavyball")}
hidden = next(port for port in RIGHT_PORTS["heavyball"] if port.id == "hidden-decay-first")
wrong = check(signum(), only=["momentum"], dtypes=["float32"])
print(json.dumps({
    "own": {name: verdict(port, "step/exact", "step/near-zero") for name, port in own.items()},
    "plain": verdict(BASES["heavyball"](), "step/exact", "momentum"), "hidden": verdict(hidden(), "momentum"),
    "wrong": [wrong.verdict, *wrong.diagnosis[:1]], "mutants": len(MUTANTS["heavyball"]),
    "options": _parser().parse_args(["mutants", "--rule", "heavyball"]).rule,
}))
"""

BITS = """
import numpy as np, signopt
grads = [np.random.default_rng(seed).normal(size=(9, 7)).astype(np.float32) for seed in range(3)]
wanted, momentum = np.ones((9, 7), np.float32), np.zeros((9, 7), np.float32)
for grad in grads:
    wanted, momentum = signopt.heavyball(wanted, grad, momentum, lr=0.1, weight_decay=0.1)
for backend in ("portable", "numpy", "auto"):
    param = np.ones((9, 7), np.float32)
    optimizer = signopt.Heavyball({"w": param}, lr=0.1, weight_decay=0.1, backend=backend)
    for grad in grads:
        optimizer.step({"w": grad})
    assert np.array_equal(param, wanted), backend
    assert np.array_equal(optimizer.momentum["w"], momentum), backend
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The package with one more rule."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "signopt", root / "signopt", ignore=shutil.ignore_patterns("*.nbi", "*.nbc"))
    shutil.copytree(HERE / "signopt", root / "signopt", dirs_exist_ok=True)
    for path, entries in ENTRIES.items():
        text = (root / path).read_text("utf-8")
        for old, new in entries:
            assert text.count(old) == 1, (path, old)
            text = text.replace(old, new)
        (root / path).write_text(text, "utf-8")
    return root


def run(root, code):
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", code],
        env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, cwd=root, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_contributing_names_the_files_that_are_made_and_the_lists_that_are_changed():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = [line.split("|")[2:4] for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    made = [path for make, _ in rows for path in re.findall(r"`(signopt/\S+\.py)`", make)]
    changed = [path for _, lists in rows for path in re.findall(r"`(signopt/\S+\.py)`", lists)]
    here = {str(path.relative_to(HERE)) for path in (HERE / "signopt").rglob("*.py")}
    assert {path.replace("NAME", "heavyball") for path in made} == here
    assert changed == list(ENTRIES)


def test_the_rest_of_what_contributing_names_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## How to add a rule")[2].partition("\n## ")[0]
    named = set(re.findall(r"`((?:signopt|tests)/[^\s`]+)`", text))
    assert len(named) > 20
    for path in named:
        assert (ROOT / path.replace("NAME.cu", "signum.cu").replace("NAME", "signum")).exists(), path


def test_the_optimizer_has_the_bits_of_the_rule_under_every_backend(copy):
    run(copy, BITS)


def test_right_ports_pass_the_neighbouring_rule_does_not_and_the_command_line_knows_the_rule(copy):
    judged = json.loads(run(copy, JUDGED))
    assert judged["own"] == {"signopt/portable": "pass"}
    assert judged["plain"] == judged["hidden"] == "pass"
    verdict, diagnosis = judged["wrong"]
    assert verdict == "fail"
    assert "Signum" in diagnosis
    assert judged["mutants"] > 50
    assert judged["options"] == "heavyball"
