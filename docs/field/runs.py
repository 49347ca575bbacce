"""One row of the matrix is one port at one version; each row runs in a process of its own.

That is how Keras gets three backends, how a release of the past stands beside the present one, and how a port that
hangs or takes its interpreter down costs its own row only.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.field.findings import load
from signopt.conformance.adapters.candidate import A_CUDA_DEVICE, Candidate
from signopt.conformance.adapters.discovery import discover

__all__ = ["Row", "rows", "run_row"]


@dataclass(frozen=True)
class Row:
    """A candidate, and the folder of another release of it to put before the installed one."""

    candidate: Candidate
    release: Path | None = None

    @property
    def id(self) -> str:
        """A file name: rule, name and, for a release of the past, the name of its folder."""
        parts = [self.candidate.rule, self.candidate.name, self.release.name if self.release else ""]
        return "--".join(part for part in parts if part).replace("/", "-").replace(", ", "-").replace(" ", "-")

    def environment(self) -> Mapping[str, str]:
        """The variables of the process that runs this row."""
        first = [str(self.release)] if self.release else []
        path = os.pathsep.join(first + [os.environ[key] for key in ("PYTHONPATH",) if key in os.environ])
        return {**os.environ, **self.candidate.environment, **({"PYTHONPATH": path} if path else {})}


def rows(past: Path | None = None) -> Iterator[Row]:
    """Yield every candidate as installed, then the releases of the past that a finding is about.

    Each folder of ``past`` is called ``distribution-version`` and was filled by ``pip install --no-deps --target``.
    """
    candidates = list(discover())
    yield from (Row(candidate) for candidate in candidates)
    for folder in sorted(past.iterdir()) if past else []:
        distribution, _, version = folder.name.rpartition("-")
        named = {port for finding in load() if version in finding.versions for port in finding.ports}
        wanted = [each for each in candidates if each.distribution == distribution]
        yield from (Row(each, folder) for each in wanted if f"{each.rule}/{each.name}" in named)


def run_row(row: Row, out: Path, profile: str, seconds: float) -> Mapping[str, Any]:
    """Check one row in a new process and write ``out/<id>.json``; what stops it is written there too."""
    missing = [each for each in row.candidate.missing() if "=" not in each]
    target = out / f"{row.id}.json"
    if A_CUDA_DEVICE in missing and target.is_file():
        return dict(json.loads(target.read_text()))  # what a machine with one has found stays
    started = time.monotonic()
    result = {"stopped": f"not installed: {', '.join(missing)}"} if missing else _child(row, profile, seconds)
    result = {
        "name": row.candidate.name,
        "rule": row.candidate.rule,
        "distribution": row.candidate.distribution,
        "variant": row.candidate.variant,
        "past": row.release is not None,
        "seconds": round(time.monotonic() - started, 1),
        **result,
    }
    target.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    return result


def _child(row: Row, profile: str, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "docs.field", "one"]
    command += ["--name", row.candidate.name, "--rule", row.candidate.rule, "--profile", profile]
    process = subprocess.Popen(
        command,
        env=row.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        answer, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"stopped": f"did not end within {seconds:.0f} s"}
    if process.returncode:
        return {"stopped": errors.strip().splitlines()[-1] if errors.strip() else f"exit {process.returncode}"}
    # Frameworks print to stdout as they please; the report is the last line.
    return dict(json.loads(answer.splitlines()[-1]))
