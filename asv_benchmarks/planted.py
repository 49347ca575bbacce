"""Show that the comparison of two commits catches what it should: ``python asv_benchmarks/planted.py``.

Commits a Lion that is 30 % slower, and one that makes a full-size temporary, in a clone; measures each and the commit
before it; and lets ``asv compare`` judge. Exits with 1 if it misses one, or accuses a commit that changes nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FACTOR = "1.15"


@dataclass(frozen=True)
class Planted:
    """A change of one file, and the benchmark that must, or must not, be reported as worse."""

    what: str
    file: str
    old: str
    new: str
    benchmark: str
    caught: bool = True


BLOCKS, BACKEND = "signopt/backends/_numpy_blocks.py", "signopt/backends/numpy.py"
TIME, MEMORY = r"step.time_step\('lion', 'numpy', 'one'\)", r"step.peakmem_step\('lion', 'numpy'\)"
DESCEND = "    _descend(p, work, k.lr, k.weight_decay)\n"
SIX_ADDS = "    for _ in range(6): np.add(p, g, work.scratch)\n"
UPDATE = "        blocks = (block for cut in self._cuts(grads) for block in crew.blocks(cut))\n"
PLANTED = (
    Planted("nothing", BLOCKS, DESCEND, "\n" + DESCEND, TIME, caught=False),
    Planted("a step 30 % slower", BLOCKS, DESCEND, DESCEND + SIX_ADDS, TIME),
    Planted("nothing", BLOCKS, DESCEND, "\n" + DESCEND, MEMORY, caught=False),
    Planted(
        "a full-size temporary", BACKEND, UPDATE, UPDATE + "        spare = np.ones(self._elements, 'f4')\n", MEMORY
    ),
)


def main() -> None:
    """Plant each change, print what the comparison says, and exit with 1 where it is wrong."""
    wrong = 0
    for planted in PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder) / "signopt"
            _git(ROOT, "clone", "--quiet", str(ROOT), str(clone))
            report = compared(clone, planted)
        said = any(line.startswith("| +") for line in report.splitlines())
        wrong += said != planted.caught
        verdict = "caught" if said else "not reported"
        print(f"{planted.what}: {verdict}{'' if said == planted.caught else ', WRONG'}\n{report}", flush=True)
    sys.exit(wrong > 0)


def compared(clone: Path, planted: Planted) -> str:
    """What ``asv compare`` prints of the last commit of ``clone`` and of one with the change on top."""
    before = _measure(clone, planted.benchmark)
    path = clone / planted.file
    source = path.read_text()
    if planted.old not in source:
        raise RuntimeError(f"{planted.file} has changed: plant {planted.what!r} anew")
    path.write_text(source.replace(planted.old, planted.new, 1))
    _git(clone, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--all", "--message", planted.what)
    after = _measure(clone, planted.benchmark)
    table = _asv(clone, "compare", "--factor", FACTOR, before, after).splitlines()
    return "\n".join(line for line in table if line.startswith("|") and "n/a" not in line)


def _measure(clone: Path, benchmark: str) -> str:
    commit = _git(clone, "rev-parse", "HEAD").strip()
    _asv(clone, "machine", "--yes")
    _asv(clone, "run", "--python=same", "--set-commit-hash", commit, "--bench", benchmark)
    return commit


def _asv(clone: Path, *arguments: str) -> str:
    environment = dict(os.environ, ASV_PYTHONPATH=str(clone), PYTHONPATH=str(clone))
    command = [sys.executable, "-m", "asv", *arguments]
    done = subprocess.run(command, cwd=clone / "asv_benchmarks", env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"asv {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
