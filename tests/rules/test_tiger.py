"""Tiger's windows, roles, NaN rule and schedule, on numbers that every order of evaluation computes exactly."""

from fractions import Fraction

import numpy as np
import pytest

import signopt
from signopt.roles import ROLES
from tests.bits import DTYPES, assert_same_bits, random_triple

EXACT = {"lr": 0.25, "beta": 0.5, "weight_decay": 0.5}


def run(param, grads, momentum=None, **options):
    """All micro-steps of ``grads``, as a list of (param, momentum)."""
    momentum = np.zeros_like(param) if momentum is None else momentum
    trace = []
    for step, grad in enumerate(grads):
        param, momentum = signopt.tiger(param, np.asarray(grad, param.dtype), momentum, step=step, **options)
        trace.append((param, momentum))
    return trace


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_step_of_each_role(dtype):
    param = np.array([[3.0, 4.0], [0.0, 0.0]], dtype) / dtype(1)
    grad = np.array([[1.0, -1.0], [0.0, 2.0]], dtype)
    by_role = {role: signopt.tiger(param, grad, np.zeros_like(param), role=role, **EXACT)[0] for role in ROLES}
    rms = np.float32(2.5)
    assert by_role["matrix"].tolist() == [[3 - 0.25 * rms * 2.5, 4 - 0.25 * rms * 1.0], [0.0, -0.25 * rms]]
    row = float(np.float32(np.sqrt(12.5)) if dtype is not np.float64 else np.sqrt(12.5))
    wide = np.float64 if dtype is np.float64 else np.float32
    rate = wide(0.25) * wide(row)
    expected = [[wide(3) - rate * wide(2.5), wide(4) - rate * wide(1.0)], [0.0, 0.0]]
    assert_same_bits(by_role["embedding"], np.array(expected, wide).astype(dtype))
    for role in ("bias", "scale"):
        assert by_role[role].tolist() == [[2.875, 4.125], [0.0, -0.125]]


def test_the_root_mean_square_is_correctly_rounded():
    rng = np.random.default_rng(7)
    for _ in range(50):
        param = rng.standard_normal(9).astype(np.float32)
        square = sum(Fraction(float(x)) ** 2 for x in param) / 9
        moved, _ = signopt.tiger(param, np.ones_like(param), np.zeros_like(param), lr=1.0, beta=0.0, weight_decay=0.0)
        assert_same_bits(moved, param - np.float32(float(square) ** 0.5))


def test_a_window_is_one_step_on_the_mean_gradient():
    param = np.array([1.0, -2.0])
    grads = [np.array([4.0, -1.0]), np.array([-2.0, 0.5]), np.array([1.0, 0.25]), np.array([1.0, 0.25])]
    trace = run(param, grads, accumulation_steps=4, role="bias", **EXACT)
    for inside, _ in trace[:3]:
        assert_same_bits(inside, param)
    whole = signopt.tiger(param, sum(grads) / 4, np.zeros(2), role="bias", **EXACT)
    for result, wanted in zip(trace[-1], whole, strict=True):
        assert_same_bits(result, wanted)


def test_momentum_decays_at_the_first_micro_step_of_each_window_only():
    momenta = [
        m.tolist() for _, m in run(np.ones(1), [[8.0]] + [[0.0]] * 6, accumulation_steps=2, role="bias", **EXACT)
    ]
    assert momenta == [[2.0], [2.0], [1.0], [1.0], [0.5], [0.5], [0.25]]


@pytest.mark.parametrize(("role", "centre"), [("matrix", 0), ("embedding", 0), ("bias", 0), ("scale", 1)])
@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_nan_shrinks_the_tensor_at_its_micro_step(broken, role, centre):
    grads = [np.array([1.0, 2.0]) for _ in range(3)]
    grads[broken] = np.array([1.0, np.nan])
    start = np.array([3.0, -5.0])
    trace = run(start, grads, accumulation_steps=3, role=role, shrink=0.5, lr=0.0, beta=0.5)
    before, momentum_before = trace[broken - 1] if broken else (start, np.zeros(2))
    after, momentum_after = trace[broken]
    assert_same_bits(after, (before - centre) * 0.5 + centre)
    assert_same_bits(momentum_after, momentum_before)
    for other in {0, 1, 2} - {broken}:
        previous = trace[other - 1][0] if other else start
        assert_same_bits(trace[other][0], previous)


def test_a_nan_at_the_first_micro_step_skips_the_decay_of_that_window():
    momentum = np.array([4.0])
    _, after = signopt.tiger(np.ones(1), np.array([np.nan]), momentum, step=0, accumulation_steps=2, **EXACT)
    assert after.tolist() == [4.0]
    _, after = signopt.tiger(np.ones(1), np.array([2.0]), after, step=1, accumulation_steps=2, **EXACT)
    assert after.tolist() == [4.5], "b1 is 1 inside a window and the divisor stays 2"


def test_a_nan_leaves_the_last_micro_step_without_its_update():
    trace = run(np.ones(1), [[2.0], [np.nan]], accumulation_steps=2, shrink=0.5, role="bias", **EXACT)
    assert [p.tolist() for p, _ in trace] == [[1.0], [0.5]]


def test_momentum_keeps_its_bits_under_a_nan():
    momentum = np.array([-0.0, 5e-324, 1.0])
    _, after = signopt.tiger(np.ones(3), np.array([np.nan, 1.0, 1.0]), momentum)
    assert_same_bits(after, momentum)


def test_infinity_is_an_ordinary_gradient():
    param, momentum = signopt.tiger(
        np.ones(3), np.array([np.inf, -np.inf, 0.0]), np.zeros(3), role="bias", shrink=0.5, **EXACT
    )
    assert momentum.tolist() == [np.inf, -np.inf, 0.0]
    assert param.tolist() == [0.875, 1.125, 1.0]


def test_all_zero_matrices_and_rows_never_move():
    zeros = np.zeros((2, 2))
    assert not signopt.tiger(zeros, np.ones((2, 2)), zeros)[0].any()
    param = np.array([[0.0, 0.0], [3.0, 4.0]])
    moved, _ = signopt.tiger(param, np.ones((2, 2)), zeros, role="embedding")
    assert (moved != param).tolist() == [[False, False], [True, True]]
    assert signopt.tiger(zeros, np.ones((2, 2)), zeros, role="bias")[0].all()


def test_a_warm_up_from_zero_moves_momentum_first():
    trace = run(np.full(1, 8.0), [[1.0]] * 6, schedule={4: 1.0}, role="bias", **EXACT)
    steps = np.diff([8.0, *(p.item() for p, _ in trace)])
    assert steps.tolist() == [0.0, -0.03125, -0.0625, -0.09375, -0.125, -0.125]
    assert trace[0][1].item() == 0.5


def test_a_schedule_runs_over_micro_steps():
    trace = run(np.full(1, 8.0), [[1.0]] * 4, schedule={0: 0.0, 4: 1.0}, role="bias", accumulation_steps=2, **EXACT)
    assert np.diff([8.0, *(p.item() for p, _ in trace)]).tolist() == [0.0, -0.03125, 0.0, -0.09375]


def test_a_schedule_may_be_a_function():
    moved, _ = signopt.tiger(
        np.ones(1), np.ones(1), np.zeros(1), step=5, schedule=lambda t: t / 10, role="bias", **EXACT
    )
    assert moved.item() == 1 - 0.5 * 0.25 * 0.5


@pytest.mark.parametrize("shape", [(), (1,), (3, 1)])
@pytest.mark.parametrize("role", ["matrix", "embedding"])
def test_the_root_mean_square_of_one_number_is_its_size(shape, role):
    param = np.full(shape, -8.0)
    moved = signopt.tiger(param, np.ones(shape), np.zeros(shape), role=role, lr=0.25, weight_decay=0.0)[0]
    assert (moved == -10.0).all()


def test_an_embedding_of_one_number_is_its_own_row():
    param, grad, momentum = random_triple((), np.float64)
    moved = signopt.tiger(param, grad, momentum, role="embedding")[0]
    assert_same_bits(moved, signopt.tiger(param, grad, momentum, role="matrix")[0])
