"""A rule is added as CONTRIBUTING.md says, in a copy of the package, and the copy judges ports of it."""

from __future__ import annotations

import ast
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
import ast
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
        env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, cwd=root, timeout=300,
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


ABOUT_SIGNUM = {
    "signopt/optimizer/_rounding.py": "an element of Muon's matrix moves at most as one of Signum's",
    "signopt/states/_torch.py": "where other libraries keep the state of a Signum",
    "signopt/conformance/adapters/catalogue.py": "published Signums",
    "signopt/conformance/checks/muon/strict.py": "Muon's momentum is Signum's",
    "signopt/conformance/mutants/lion.py": "a Signum that is called Lion",
    "signopt/conformance/mutants/tiger_published.py": "a Signum that is called Tiger",
    "signopt/conformance/vectors/notes.py": "signSGD is Signum without momentum",
}
"""Where code is about Signum itself, and adding another rule changes nothing."""


def named_in_code(path, word):
    """Whether a word stands in a name, or in a string that is no prose, whatever the case."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [getattr(node, field, None) for field in ("id", "attr", "name", "asname", "module", "arg")]
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            names.append(node.value)
        if any(isinstance(name, str) and word in name.lower() for name in names):
            return True
    return False


def test_a_rule_is_named_only_in_its_own_files_and_in_the_lists():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    lists = set(re.findall(r"`(signopt/\S+\.py)`", text)) - {"signopt/conformance/checks/__init__.py"}
    lists = {path for path in lists if "NAME" not in path and not path.endswith("numpy_ports/right.py")}
    files = [path for path in (ROOT / "signopt").rglob("*.py") if path.stem != "signum"]
    named = {str(path.relative_to(ROOT)) for path in files if named_in_code(path, "signum")}
    assert named - ABOUT_SIGNUM.keys() == lists
    assert named >= ABOUT_SIGNUM.keys()
    assert len(lists) <= 12


def test_a_planted_name_is_found_and_prose_is_not(tmp_path):
    path = tmp_path / "module.py"
    path.write_text('"""About Signum."""\n# signum\n')
    assert not named_in_code(path, "signum")
    for code in ('RULES = {"signum": 1}', "from a.signum import b", "class SignumLike: ...", "f(signum=1)"):
        path.write_text(code)
        assert named_in_code(path, "signum"), code
