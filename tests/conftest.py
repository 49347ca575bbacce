"""Settings shared by all tests."""

import gc
import os
import signal
import sys
from collections import Counter, defaultdict
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# There is a worker for each core. If the BLAS of each has as many threads, they wait for each other more than compute.
for library in ("OMP", "OPENBLAS"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# Eight JAX devices on one processor, for the tests of sharded arrays. JAX reads it when it is first asked for a device.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8".strip()

# What is imported while tests are collected stays: to look through it for garbage takes a tenth of the time.
gc.disable()

# The hostile ports are a module that can be imported by name, here and in the child processes that run them.
HOSTILE_PORTS = str(Path(__file__).parent / "conformance" / "isolation")
if HOSTILE_PORTS not in sys.path:
    sys.path.insert(0, HOSTILE_PORTS)

# A job that a shell started in the background ignores Ctrl-C, of which some tests are.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def forget_kernels_from_before(folder):
    """Delete kernels that Numba compiled before a source in ``folder`` changed: it looks at their own files alone."""
    changed = max((source.stat().st_mtime for source in folder.glob("*.py")), default=0.0)
    for kernel in (folder / "__pycache__").glob("*.nbc"):
        if kernel.stat().st_mtime < changed:
            kernel.unlink(missing_ok=True)


if "PYTEST_XDIST_WORKER" not in os.environ:
    forget_kernels_from_before(Path(__file__).parents[1] / "signopt" / "backends")


@pytest.fixture(autouse=True)
def _jax_as_it_was():
    """A test that turns on 64-bit JAX leaves it as it was to the next one."""
    before = "jax" in sys.modules and sys.modules["jax"].config.jax_enable_x64
    yield
    if "jax" in sys.modules and sys.modules["jax"].config.jax_enable_x64 != before:
        sys.modules["jax"].config.update("jax_enable_x64", before)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Of the cases of a test marked ``one_in(n)`` leave one in n, at least one, to every run; the others are thorough.

    Which ones a checksum of their names says, whose order has nothing to do with theirs: no stride leaves out a value.
    """
    cases = defaultdict(list)
    for item in items:
        if item.get_closest_marker("one_in") and not any(map(item.get_closest_marker, MARKS)):
            cases[item.path, item.originalname].append(item)
    for alike in cases.values():
        (share,) = alike[0].get_closest_marker("one_in").args
        alike.sort(key=lambda item: crc32(item.name.encode()))
        for item in alike[-(-len(alike) // share) :]:
            item.add_marker("thorough")


def pytest_collection_finish(session):
    """Let the garbage collector begin, after what the imports made: a full collection of that takes a second."""
    gc.collect()
    gc.freeze()
    gc.enable()


MOST_LEFT_OUT = 0.25
"""Of the whole suite, what may be skipped; a run that left out more has proven too little to be green."""


DESELECTED = pytest.StashKey[Counter]()
"""How many tests this run did not select, by why."""

MARKS = {
    "slow": "slow (-m slow takes hours)",
    "thorough": "thorough (more cases of what was run: -m 'thorough and not slow', as .ci/run does)",
}


def pytest_deselected(items):
    """Count what ``-m`` or ``-k`` leaves out, for the last line."""
    for item in items:
        marks = [why for mark, why in MARKS.items() if item.get_closest_marker(mark)]
        counts = item.config.stash.setdefault(DESELECTED, Counter())
        counts[marks[0] if marks else "not selected"] += 1


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Learn from a worker of pytest-xdist what was not selected; each of them has collected the whole."""
    output = getattr(node, "workeroutput", None) or {}
    node.config.stash.setdefault(DESELECTED, Counter()).update(
        {} if node.config.stash.get(DESELECTED, None) else output.get("deselected", {})
    )


def pytest_sessionfinish(session, exitstatus):
    """Let a run of the whole suite that ran little fail."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["deselected"] = dict(config.stash.get(DESELECTED, {}))
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    chosen = config.option.keyword or getattr(config.option, "lf", False)  # the cache may be switched off
    whole = config.args == config.getini("testpaths") and not chosen
    if reporter is None or hasattr(config, "workerinput") or not whole or exitstatus != 0:
        return
    skipped, passed = (len(reporter.stats.get(outcome, [])) for outcome in ("skipped", "passed"))
    if skipped > MOST_LEFT_OUT * (skipped + passed):
        session.exitstatus = 1
        reporter.write_line(
            f"{skipped} of {skipped + passed} tests were left out: too many to call this run green", red=True
        )


def pytest_unconfigure(config):
    """Say in the last line what was left out, and why."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    reasons = Counter(_reason(report) for report in reporter.stats.get("skipped", []))
    reasons.update(config.stash.get(DESELECTED, {}))
    listed = "; ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    if listed:
        reporter.write_line(f"left out: {listed}")


def _reason(report):
    """The reason of a skip, alike for tests that lack the same thing."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ").strip()
