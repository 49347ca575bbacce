"""A release, tried before it is one: ``python docs/release/rehearse.py --python python3.11 python3.12 python3.13``.

Builds the sdist, and the wheel from the sdist; installs the wheel in an empty environment of each Python, once with the
lowest versions that pyproject.toml admits and once with the newest; runs `signopt demo`, and tests of the sdist on what
was installed. Exits with 1 if anything failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("conformance", "checkpoint")
TOOLS = ("pytest>=8", "pytest-timeout", "pytest-xdist", "hypothesis>=6.100", "jsonschema")
TESTS = ("tests/rules/test_elements.py", "tests/rules/test_golden.py", "tests/rules/test_tiger.py")
TESTS += ("tests/optimizer/test_params.py", "tests/test_checkpoint.py", "tests/test_schedules.py")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}


def main() -> int:
    """Build once, try in every environment, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="interpreters (default: this one)")
    parser.add_argument("--versions", nargs="+", default=["lowest", "newest"], choices=["lowest", "newest"])
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        sdist, wheel = build(Path(folder))
        print(f"built {sdist.name} ({sdist.stat().st_size >> 10} KiB), {wheel.name} ({wheel.stat().st_size >> 10} KiB)")
        for python in options.python:
            for versions in options.versions:
                place = Path(tempfile.mkdtemp(dir=folder))
                try:
                    print(attempt(python, versions, wheel, sdist, place), flush=True)
                except subprocess.CalledProcessError as error:
                    failed = True
                    said = (error.stdout + error.stderr)[-3000:]
                    print(f"{python}, {versions}: FAILED: {' '.join(map(str, error.cmd))}\n{said}", flush=True)
    return int(failed)


def run(*command: object, cwd: Path = ROOT) -> str:
    """What a command prints; CalledProcessError if it fails."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout


def build(folder: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel made of it."""
    run(sys.executable, "-m", "build", "--outdir", folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def attempt(python: str, versions: str, wheel: Path, sdist: Path, place: Path) -> str:
    """Install, show and test; one line that says what was there."""
    start = time.perf_counter()
    run(python, "-m", "venv", place / "venv", cwd=place)
    inside = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
    (place / "lowest.txt").write_text("\n".join(lowest()) if versions == "lowest" else "")
    wanted = f"{wheel}[{','.join(EXTRAS)}]"
    run(inside / "python", "-m", "pip", "install", "--quiet", "-c", place / "lowest.txt", wanted, *TOOLS, cwd=place)
    run(inside / "signopt", "demo", cwd=place)
    tests = unpacked(sdist, place)
    options = ("-q", "-o", "addopts=--import-mode=importlib", "-o", "pythonpath=.", "-p", "no:cacheprovider")
    said = run(inside / "python", "-m", "pytest", *options, *TESTS, cwd=tests).strip().splitlines()
    (counted,) = [line for line in said if re.search(r"\d+ passed", line)]
    about = "import platform, numpy, signopt; print(platform.python_version(), 'numpy', numpy.__version__)"
    where = run(inside / "python", "-c", about, cwd=place).strip()
    shutil.rmtree(place / "venv")
    return f"Python {where} ({versions}): demo 0, {counted}, {time.perf_counter() - start:.0f} s in all"


def lowest() -> list[str]:
    """The lower bounds of pyproject.toml's dependencies, as pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    bounds = list(project["dependencies"])
    for extra in EXTRAS:
        bounds += project["optional-dependencies"][extra]
    return sorted({bound.replace(">=", "==") for bound in bounds})


def unpacked(sdist: Path, place: Path) -> Path:
    """The sdist without the package, so that its tests can only see what was installed."""
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "sdist", filter="data")
    (folder,) = (place / "sdist").iterdir()
    shutil.rmtree(folder / "signopt")
    (folder / "pytest_signopt.py").unlink()
    return folder


if __name__ == "__main__":
    sys.exit(main())
