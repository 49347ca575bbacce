"""The CUDA kernels store parameters stochastically and in halves with the bits of :mod:`signopt.rounding`."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import signopt
from signopt.backends._storage import Storage
from signopt.backends.portable import PortableBackend
from signopt.rounding import join, split
from signopt.rules.coefficients import Draw
from tests.backends import test_cupy_muon
from tests.backends.cupy_cases import COEFFICIENTS, Case, cases, tiger_coefficients, triple
from tests.backends.cupy_device import host_device, needs_cupy, on_gpu, skip_without
from tests.backends.test_cupy_large import claim, only_the_last_block, without_nan
from tests.backends.test_cupy_steps import OPTIMIZERS, RULES, strided_views
from tests.bits import assert_same_bits
from tests.thin import diagonal, keeping

pytestmark = needs_cupy
products = test_cupy_muon.products
__all__ = ["host_device", "products"]

DRAW = Draw(seed=0x0123456789ABCDEF, step=7)
MODES = (
    ("stochastic", "bfloat16", "bfloat16"),
    ("stochastic", "bfloat16", "float32"),
    ("stochastic", "float16", "float16"),
    ("stochastic", "float16", "float32"),
    ("split", "bfloat16", "bfloat16"),
    ("split", "bfloat16", "float32"),
)
PAIRS = [(mode, dtype) for mode, dtype, momentum in MODES[::2]]
SOME = pytest.mark.parametrize(("mode", "dtype"), PAIRS)


def drawn(rule, **tiger):
    coefficients = COEFFICIENTS.get(rule) or tiger_coefficients(0, **tiger)
    return dataclasses.replace(coefficients, draw=DRAW)


def rests_of(tensors):
    """Low halves for each of the buffers, zeros and extremes among them."""
    rng = np.random.default_rng(3)
    edges = np.array([0, -1, 1, -(2**15), 2**15 - 1], np.int16)
    drawn_ = [rng.integers(-(2**15), 2**15, case.buffers[0].shape).astype(np.int16) for case in tensors]
    return [np.where(rng.random(rest.shape) < 0.2, rng.choice(edges, rest.shape), rest) for rest in drawn_]


def rest_offset(case):
    """Where the low halves begin: out of alignment, now and then, with all else."""
    return case.offsets[0] or int(case.size % 16 == 1)


def step(backend, as_array, tensors, mode, coefficients, roles, rests):
    """The buffers of parameter, momentum and low halves after one step of all tensors, which are numbered backwards."""
    written = []
    for case, rest in zip(tensors, rests, strict=True):
        buffers = [as_array(buffer.copy()) for buffer in (*case.buffers, rest)]
        written.append((buffers, case.views(buffers[:3])))
    halves = [
        buffers[3][rest_offset(case) :][: case.size] if mode == "split" else None
        for case, (buffers, _) in zip(tensors, written, strict=True)
    ]
    params, grads, momenta = zip(*(views for _, views in written), strict=True)
    numbers = [*range(1000, 1000 - len(tensors), -1)]
    backend(params, momenta, roles, Storage(mode, numbers, halves)).step(grads, coefficients)
    return [buffers[which] for buffers, _ in written for which in (0, 2, 3)]


def assert_rule(tensors, mode, coefficients, roles=None, rests=None):
    import cupy

    from signopt.backends.cupy import CupyBackend

    for array in tensors[0].buffers:
        skip_without(array.dtype)
    rests = rests or rests_of(tensors)
    with np.errstate(all="ignore"):
        right = step(PortableBackend, np.asarray, tensors, mode, coefficients, roles, rests)
    got = step(CupyBackend, cupy.asarray, tensors, mode, coefficients, roles, rests)
    for actual, expected in zip(got, right, strict=True):
        assert_same_bits(cupy.asnumpy(actual), expected)


def some(dtype, momentum_dtype, *, finite=False):
    """Cases of every kind, tails and offsets among them."""
    return [case for case in cases(dtype, momentum_dtype, finite=finite) if case.size % 8 in (0, 1, 7)]


@pytest.mark.parametrize(("rule", "storage"), diagonal(["lion", "signum"], MODES))
@pytest.mark.one_in(4)
def test_sizes_and_alignments(rule, storage):
    mode, dtype, momentum_dtype = storage
    assert_rule(some(dtype, momentum_dtype), mode, drawn(rule))


@pytest.mark.parametrize(("finite", "storage"), diagonal([True, False], MODES))
@pytest.mark.one_in(4)
def test_tiger_without_rms_at_sizes_and_alignments(finite, storage):
    mode, dtype, momentum_dtype = storage
    tensors = [case for case in some(dtype, momentum_dtype, finite=finite) if case.size < 200]
    assert_rule(tensors, mode, drawn("tiger"), biases_and_scales(tensors))


@SOME
def test_a_micro_step_inside_a_window_keeps_the_parameter(mode, dtype):
    """Pairs that no number splits into are then left as they are, and the portable backend makes numbers of them."""
    tensors = [case for case in some(dtype, "float32", finite=True) if case.size < 200]
    rests = [np.zeros(case.buffers[0].shape, np.int16) for case in tensors]
    coefficients = drawn("tiger", accumulation_steps=2)
    assert_rule(tensors, mode, coefficients, biases_and_scales(tensors), rests)


def biases_and_scales(tensors):
    return [("bias", "scale")[index % 2] for index in range(len(tensors))]


@SOME
@pytest.mark.parametrize("role", ["matrix", "embedding"])
def test_tiger_moves_by_the_rms_of_what_is_stored(role, mode, dtype):
    """Integers of 12 bits: their squares have the same sum in any order. In halves they need both."""
    tensors, rests = [], []
    for case in some(dtype, "float32", finite=True)[:60]:
        numbers = np.random.default_rng(case.size).integers(-2000, 2001, case.buffers[0].shape).astype(np.float32)
        param, rest = split(numbers) if mode == "split" else (numbers.astype(dtype), np.zeros(numbers.shape, np.int16))
        tensors.append(Case((param, *case.buffers[1:]), case.size, case.offsets))
        rests.append(np.roll(rest, rest_offset(case) - case.offsets[0]))
    assert_rule(tensors, mode, drawn("tiger"), [role] * len(tensors), rests)


@SOME
@RULES
@pytest.mark.one_in(4)
def test_any_strides(rule, mode, dtype):
    """Low halves keep the order of axes of their parameter."""
    import cupy

    skip_without(dtype)
    options = {"rounding": mode, "seed": 5, "momentum_dtype": "float32"}
    options |= {"roles": ["bias"] * 5} if rule == "tiger" else {}
    made = [triple(120, dtype, dtype, seed, finite=True)[:2] for seed in range(5)]
    views = [
        [strided_views(cupy.asarray(array.reshape(12, 10)))[i] for array in arrays] for i, arrays in enumerate(made)
    ]
    opt = OPTIMIZERS[rule]([param for param, _ in views], **options)
    reference = OPTIMIZERS[rule]([cupy.asnumpy(param) for param, _ in views], backend="portable", **options)
    assert opt.backend == "cupy"
    for _ in range(3):
        opt.step([grad for _, grad in views])
        with np.errstate(all="ignore"):
            reference.step([cupy.asnumpy(grad) for _, grad in views])
    for name, param in opt.params.items():
        assert_same_bits(cupy.asnumpy(param), reference.params[name])
        assert_same_bits(cupy.asnumpy(opt.momentum[name]), reference.momentum[name])
        if mode == "split":
            np.testing.assert_array_equal(cupy.asnumpy(opt.rests[name]), reference.rests[name])


@pytest.mark.parametrize("rule", keeping(OPTIMIZERS, ["lion"]))
def test_parameters_of_32_bits_beside_those_of_16(rule):
    import cupy

    skip_without("bfloat16")
    arrays = [triple(70, dtype, dtype, 1, finite=True) for dtype in ("bfloat16", "float32", "float16")]
    options = {"rounding": "stochastic", "seed": 2} | ({"roles": ["bias"] * 3} if rule == "tiger" else {})
    opt = OPTIMIZERS[rule]([cupy.asarray(param) for param, _, _ in arrays], **options)
    reference = OPTIMIZERS[rule]([param.copy() for param, _, _ in arrays], backend="portable", **options)
    opt.step([cupy.asarray(grad) for _, grad, _ in arrays])
    reference.step([grad for _, grad, _ in arrays])
    for name, param in opt.params.items():
        assert_same_bits(cupy.asnumpy(param), reference.params[name])


FAR_BLOCK = (1 << 35) // 8192 + 3
"""Of blocks of 8192 elements, one whose words have counters above 2³²."""


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_words_at_the_end_of_a_large_tensor(rule, monkeypatch):
    import cupy

    from signopt.backends import cupy as backend
    from tests.backends import test_cupy_large

    monkeypatch.setattr(test_cupy_large, "BLOCK", FAR_BLOCK)
    launch = backend._launch
    for table in ("element_table", "tiger_table"):
        monkeypatch.setattr(backend, table, only_the_last_block(getattr(backend, table)))
    monkeypatch.setattr(backend, "reduction_table", without_nan(backend.reduction_table))
    monkeypatch.setattr(backend, "_launch", lambda launches: launch(launches[-1:]))
    size, first = 8190, FAR_BLOCK * 8192
    arrays = triple(size, "bfloat16", "bfloat16", 0, finite=True)
    on_device = [cupy.asarray(array) for array in arrays]
    far = [claim(array, 2 * first, (first + size,), (2,)) for array in on_device]
    coefficients = drawn(rule)
    backend.CupyBackend(far[:1], far[2:], ["bias"], Storage("stochastic", [9])).step(far[1:2], coefficients)
    param, grad = (array.astype(np.float32) for array in arrays[:2])
    momentum = arrays[2].copy()
    PortableBackend([param], [momentum], ["bias"]).step([grad], coefficients)
    right = signopt.rounding.stochastic_bfloat16(param, seed=DRAW.seed, step=DRAW.step, tensor=9, offset=first)
    assert_same_bits(on_device[0].get(), right)
    assert_same_bits(on_device[2].get(), momentum)


@pytest.mark.parametrize(("mode", "dtype"), keeping(PAIRS, [pair for pair in PAIRS if pair[1] == "bfloat16"]))
def test_muons_bracket(mode, dtype):
    """For the identity as iteration, a norm of 1 and exact squares, X is the same everywhere; so is all the rest."""
    import cupy

    skip_without(dtype)
    param = np.resize([0.25, -0.75, 0.7, -1e-3], (8, 2)).astype(dtype)
    grad = np.resize([0.25, -0.25, 0.25], (8, 2)).astype(dtype)
    options = {"lr": 1e-3, "beta": 0.0, "weight_decay": 0.7, "eps": 0.0, "rounding": mode, "seed": 4}
    options |= {"ns_coefficients": (1.0, 0.0, 0.0), "ns_steps": 1}
    wanted = param.copy(), np.asfortranarray(param)
    on_device = [cupy.asarray(array) for array in wanted]
    opts = [signopt.Muon([*arrays], **options) for arrays in (wanted, on_device)]
    for _ in range(5):
        opts[0].step([grad, grad])
        opts[1].step([cupy.asarray(grad)] * 2)
    assert opts[1].backend == "cupy"
    for name in opts[0].params:
        assert_same_bits(cupy.asnumpy(opts[1].params[name]), opts[0].params[name])
        for rest in opts[0].rests:
            np.testing.assert_array_equal(cupy.asnumpy(opts[1].rests[rest]), opts[0].rests[rest])


@pytest.mark.parametrize("decay", ["plain", "spectral"])
def test_muon_in_halves_is_muon_in_float32(decay):
    import cupy

    skip_without("bfloat16")
    param, grad = (np.random.default_rng(2).standard_normal((2, 5, 8)) / 4).astype("bfloat16")
    options = {"lr": 1e-3, "weight_decay": 0.5, "decay": decay}
    plain = signopt.Muon([cupy.asarray(param.astype(np.float32))], **options)
    halves = cupy.asarray(param)
    stored = signopt.Muon([halves], rounding="split", momentum_dtype="float32", **options)
    for _ in range(4):
        plain.step([cupy.asarray(grad.astype(np.float32))])
        stored.step([cupy.asarray(grad)])
    assert_same_bits(cupy.asnumpy(join(halves, stored.rests["0"])), cupy.asnumpy(plain.params["0"]))
    assert cupy.asnumpy(stored.rests["0"]).all()


RUNS = [
    (rule, storage, begins_on_cuda, stop)
    for rule in ("lion", "tiger")
    for storage in MODES[1::2]
    for begins_on_cuda in (True, False)
    for stop in (1, 2, 3, 4)
]
SOME_RUNS = [("tiger", MODES[5], True, 4), ("lion", MODES[1], False, 2), ("tiger", MODES[3], False, 1)]
SOME_RUNS += [("lion", MODES[5], True, 3)]


@pytest.mark.parametrize(("rule", "storage", "begins_on_cuda", "stop"), keeping(RUNS, SOME_RUNS))
def test_a_run_goes_on_elsewhere_as_if_nothing_had_happened(rule, storage, begins_on_cuda, stop, tmp_path):
    """Saved on CUDA arrays and resumed on NumPy's, or the other way round, at any place of a window."""
    import cupy

    skip_without("bfloat16")
    mode, dtype, momentum = storage
    options = {"rounding": mode, "seed": stop, "momentum_dtype": momentum, "lr": 0.01}
    options |= {"accumulation_steps": 3, "roles": ["bias"]} if rule == "tiger" else {}
    param, *grads = (triple(70, dtype, dtype, seed, finite=True)[seed > 0] for seed in range(6))
    first, second = (cupy.asarray, np.asarray) if begins_on_cuda else (np.asarray, cupy.asarray)

    def on(home, array):
        """Numba, which has the bits of NumPy, would compile Tiger."""
        backend = "numpy" if home is np.asarray else "cupy"
        return OPTIMIZERS[rule]([home(array)], backend=backend, **options)

    straight, begun = (on(home, param.copy()) for home in (second, first))
    with np.errstate(all="ignore"):
        for opt, home, until in ((straight, second, 5), (begun, first, stop)):
            for grad in grads[:until]:
                opt.step([home(grad)])
        signopt.save(begun, tmp_path / "state")
        resumed = on(second, cupy.asnumpy(begun.params["0"]))
        signopt.load(resumed, tmp_path / "state")
        for grad in grads[stop:]:
            resumed.step([second(grad)])
    for mine, right in ((resumed.params, straight.params), (resumed.momentum, straight.momentum)):
        assert_same_bits(cupy.asnumpy(mine["0"]), cupy.asnumpy(right["0"]))
    for name, rest in straight.rests.items():
        np.testing.assert_array_equal(cupy.asnumpy(resumed.rests[name]), cupy.asnumpy(rest))


@pytest.mark.parametrize("kind", [signopt.Lion, signopt.Muon])
def test_random_words_are_not_captured(kind):
    """A graph would repeat those of one step."""
    import cupy

    skip_without("float16")
    params = [cupy.ones((8, 8), dtype=cupy.float16)]
    grads = [cupy.ones((8, 8), dtype=cupy.float16)]
    opt = kind(params, rounding="stochastic")
    if on_gpu() and kind is signopt.Muon:
        pytest.skip("the products of a captured Muon are cuBLAS's matter")
    with cupy.cuda.Stream(non_blocking=True) as stream:
        opt.step(grads)
        before = params[0].get()
        stream.begin_capture()
        with pytest.raises(RuntimeError, match="repeat the random words"):
            opt.step(grads)
        stream.end_capture()
    assert_same_bits(params[0].get(), before)
    assert opt.step_count == 1


def test_a_gradient_in_the_memory_of_low_halves_is_refused():
    import cupy

    skip_without("bfloat16")
    opt = signopt.Lion([cupy.ones(8, dtype="bfloat16")], rounding="split")
    opt.step([cupy.ones(8, dtype="bfloat16")])
    with pytest.raises(ValueError, match=r"rests\['0'\].*overlap|overlap.*rests\['0'\]"):
        opt.step([opt.rests["0"].view("bfloat16")])


@pytest.mark.filterwarnings("ignore:lr=:UserWarning")
@pytest.mark.parametrize("mode", ["nearest", "stochastic", "split"])
def test_the_elements_that_are_frozen_are_those_of_numpy(mode):
    import cupy

    skip_without("bfloat16")
    values = np.random.default_rng(3).standard_normal(300).astype("bfloat16")
    opts = [signopt.Lion({"w": p}, lr=1e-4, rounding=mode) for p in (values, cupy.asarray(values))]
    assert opts[0].frozen() == opts[1].frozen() == pytest.approx(0.97 if mode == "nearest" else 0, abs=0.02)
