"""An exception at any line of what a step prepares, as Ctrl-C raises it: the next step reads its own gradients."""

import itertools
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import signopt
from tests.backends.cupy_device import needs_cupy
from tests.bits import assert_same_bits

PACKAGE = str(Path(signopt.__file__).parent)
NEEDS_NUMBA = pytest.mark.skipif(find_spec("numba") is None, reason="Numba is not installed")
NEEDS_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
CASES = [
    ("numpy", "numpy"),
    pytest.param("numpy", "torch", marks=[NEEDS_TORCH, pytest.mark.thorough]),
    pytest.param("numba", "numpy", marks=[NEEDS_NUMBA, pytest.mark.thorough]),
    pytest.param("numba", "torch", marks=[NEEDS_NUMBA, NEEDS_TORCH]),
    pytest.param("cupy", "cupy", marks=needs_cupy),
]
SHAPES = [((6, 4), np.float32), ((5,), np.float64), ((4, 3), np.float32)]


def array_of(library, values):
    if library == "numpy":
        return values
    if library == "torch":
        import torch

        return torch.from_numpy(values)
    import cupy

    return cupy.asarray(values)


def arrays(library, value, turned=False):
    """Arrays of two dtypes; ``turned`` makes the first of them one whose elements lie in another order."""
    made = [array_of(library, np.full(shape, value, dtype)) for shape, dtype in SHAPES]
    if turned:
        made[0] = array_of(library, np.full(SHAPES[0][0][::-1], value, np.float32)).T
    return made


def on_host(array):
    return array.get() if hasattr(array, "get") else np.asarray(array)


class Interrupted:
    """Raises KeyboardInterrupt at one of the lines of the package that a block executes.

    Python swallows it if that line belongs to the death of an array, and goes on.
    """

    def __init__(self, line):
        self.left, self.came = line, False

    def __enter__(self):
        self.hook, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
        sys.settrace(self.trace)
        return self

    def __exit__(self, kind, error, trace):
        sys.settrace(None)
        sys.unraisablehook = self.hook
        return kind is KeyboardInterrupt

    def trace(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event in ("call", "line"):
            self.left -= 1
            if self.left < 0:
                self.came = True
                sys.settrace(None)
                raise KeyboardInterrupt
        return self.trace


def stepped(backend, library, rule, *, line, turned, again):
    """Three steps whose second is interrupted in its preparation and then taken, and whether the interrupt came."""
    opt = rule(arrays(library, 1.0), lr=0.25, backend=backend)
    first, second = arrays(library, 1.0), arrays(library, -2.0, turned)
    opt.step(first)
    with Interrupted(line) as interrupted:
        opt._prepare_step(second)
    if again == "former":
        for grad in first:
            grad[...] = -2.0
        second = first
    opt.step(second)
    opt.step(second)
    return opt, interrupted.came


def assert_every_line(backend, library, rule, **options):
    expected, came = stepped(backend, library, rule, line=10**9, **options)
    assert not came
    for line in itertools.count():
        opt, came = stepped(backend, library, rule, line=line, **options)
        for name in expected.params:
            assert_same_bits(on_host(opt.params[name]), on_host(expected.params[name]))
            assert_same_bits(on_host(opt.momentum[name]), on_host(expected.momentum[name]))
        if not came:
            break
    assert line > 20


@pytest.mark.parametrize(("backend", "library"), CASES)
@pytest.mark.parametrize(
    ("again", "turned"),
    [
        ("same", False),
        pytest.param("former", False, marks=pytest.mark.thorough),
        pytest.param("same", True, marks=pytest.mark.thorough),
        pytest.param("former", True, marks=pytest.mark.thorough),
    ],
)
@pytest.mark.one_in(4)
def test_the_next_step_reads_its_own_gradients(backend, library, again, turned):
    assert_every_line(backend, library, signopt.Lion, turned=turned, again=again)


@pytest.mark.parametrize(("backend", "library"), CASES)
@pytest.mark.thorough
def test_so_does_tiger(backend, library):
    assert_every_line(backend, library, signopt.Tiger, turned=False, again="same")


@NEEDS_NUMBA
@NEEDS_TORCH
def test_a_step_with_facts_of_rows_leaves_no_gradients_behind():
    """Which Numba's kernels do not take: the next step, with the same gradients, is the first that they see of them."""
    import torch

    def embedding():
        return signopt.Tiger({"e": torch.ones(4, 3)}, roles=["embedding"], lr=0.25, beta=0.5, backend="numba")

    opt, reference = embedding(), embedding()
    first, second = {"e": torch.ones(4, 3)}, {"e": torch.full((4, 3), -2.0)}
    for each in (opt, reference):
        each.step(first)
    facts = {"e": signopt.tiger_facts(opt.params["e"], second["e"], role="embedding")}
    opt._binding.prepare_shards([second["e"]], opt._coefficients(), facts)
    for each in (opt, reference):
        each.step(second)
    assert_same_bits(on_host(opt.params["e"]), on_host(reference.params["e"]))
    assert_same_bits(on_host(opt.momentum["e"]), on_host(reference.momentum["e"]))
