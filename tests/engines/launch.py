"""Programs of several processes on this machine, bounded in time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 1500
"""A hundred times what any of them takes: what needs longer hangs, and is not merely slow."""


def run(*arguments, launcher=(), **environment):
    """Run Python, under a launcher if one is given; return its exit code and output. All its processes end with it."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [*launcher, sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", **environment},
    )
    try:
        output, _ = process.communicate(timeout=SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output


def torchrun(ranks, script, *arguments, **environment):
    """A script on as many ranks of torch.distributed, as ``torchrun --standalone`` would start it."""
    options = ("--standalone", f"--nproc_per_node={ranks}")
    return run("-m", "torch.distributed.run", *options, script, *arguments, **environment)
