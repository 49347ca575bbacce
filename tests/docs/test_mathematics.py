"""The claims of the pages on mathematics: exact where they are exact, and otherwise bounded by what the claim says."""

import importlib.util
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import signopt

FOLDER = Path(__file__).parents[2] / "docs" / "mathematics"
PAGES = ["steepest_descent", "averages", "tiger", "gradient_flow", "sgd_bounds"]


def load(name):
    pytest.importorskip("matplotlib", reason="the scripts draw")
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location(f"mathematics_{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(FOLDER))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.one_in(4)
def test_the_figure_in_the_repository_is_the_one_that_the_script_draws(name, monkeypatch, tmp_path):
    page = load(name)
    drawn = tmp_path
    monkeypatch.setattr(sys.modules[page.save.__module__], "STATIC", drawn)
    page.draw()
    (picture,) = drawn.iterdir()
    assert (FOLDER.parent / "_static" / picture.name).exists()
    assert f"_static/{picture.name}" in (FOLDER / f"{name.replace('_', '-')}.md").read_text("utf-8")


# Steepest descent


def test_no_step_within_the_box_beats_the_sign():
    page = load("steepest_descent")
    rng = np.random.default_rng(0)
    for _ in range(200):
        grad = rng.integers(-8, 9, 5).astype(float)
        best = grad @ page.sign_step(grad, 0.25)
        assert best == -0.25 * np.abs(grad).sum()
        corners = 0.25 * rng.choice([-1.0, 0.0, 1.0], (100, 5))
        assert (corners @ grad >= best).all()


def test_no_matrix_of_bounded_spectral_norm_beats_muons_step():
    page = load("steepest_descent")
    rng = np.random.default_rng(1)
    for shape in ((3, 3), (4, 2), (2, 5)):
        grad = rng.standard_normal(shape)
        best = float(np.sum(grad * page.spectral_step(grad, 1.0)))
        assert best == pytest.approx(-page.nuclear_norm(grad), rel=1e-12)
        for _ in range(100):
            other = rng.standard_normal(shape)
            other /= np.linalg.norm(other, 2)
            assert np.sum(grad * other) > best * (1 + 1e-12)


def test_the_matrix_sign_of_a_diagonal_is_its_sign_and_keeps_a_rank_that_the_sign_does_not():
    diagonal = np.diag([3.0, -2.0, 0.5])
    np.testing.assert_allclose(signopt.msign(diagonal, method="svd"), np.sign(diagonal), rtol=0, atol=1e-15)
    ramp = np.subtract.outer(np.arange(6.0), np.arange(6.0)) + 0.5
    assert np.linalg.matrix_rank(ramp) == 2
    assert np.linalg.matrix_rank(signopt.msign(ramp, method="svd")) == 2
    assert np.linalg.matrix_rank(np.sign(ramp)) == 6


def test_five_iterations_take_singular_values_from_three_thousandths_to_near_one():
    page = load("steepest_descent")
    after = page.newton_schulz(np.linspace(0.003, 1, 200_001))
    assert 0.68 < after.min() < 0.69
    assert 1.19 < after.max() < 1.21
    assert page.newton_schulz(0.0003) < 0.2


# Lion's two averages


def test_the_weights_are_those_of_the_rule_unrolled():
    page = load("averages")
    beta1, beta2 = Fraction(9, 10), Fraction(99, 100)
    lags = 12
    for lag in range(lags):
        grads = [Fraction(int(age == lag)) for age in reversed(range(lags))]
        direction, momentum = page.unrolled(beta1, beta2, grads)
        assert direction == page.direction_weights(beta1, beta2, lags)[lag]
        assert momentum == page.average_weights(beta2, lags)[lag]
    left_out = beta1 * beta2 ** (lags - 1)
    assert sum(page.direction_weights(beta1, beta2, lags)) == 1 - left_out


def test_the_direction_solved_for_the_new_momentum():
    page = load("averages")
    beta1, beta2 = Fraction(9, 10), Fraction(99, 100)
    grads = [Fraction(n, 7) for n in (3, -8, 5, 1, -2)]
    direction, momentum = page.unrolled(beta1, beta2, grads)
    assert direction == ((beta2 - beta1) * grads[-1] + beta1 * momentum) / beta2


# Tiger


def test_a_window_is_one_step_on_the_mean_gradient():
    page = load("tiger")
    grads, beta, start = [Fraction(n, 3) for n in (1, -5, 7, 2)], Fraction(965, 1000), Fraction(2, 9)
    assert page.windowed(beta, start, grads) == beta * start + (1 - beta) * sum(grads) / len(grads)


def test_scaling_a_matrix_scales_every_later_step():
    rng = np.random.default_rng(3)
    p, g, m = (rng.standard_normal((6, 4)) for _ in range(3))
    scaled = 64.0 * p
    for _ in range(5):
        p, small_m = signopt.tiger(p, g, m, lr=0.125, weight_decay=0.5)
        scaled, m = signopt.tiger(scaled, g, m, lr=0.125, weight_decay=0.5 / 64)
        np.testing.assert_array_equal(m, small_m)
        np.testing.assert_array_equal(scaled, 64.0 * p)


@pytest.mark.parametrize("start", [0.1, 0.9])
@pytest.mark.one_in(4)
def test_random_signs_leave_both_rules_at_the_size_computed(start):
    page = load("tiger")
    lr, decay, size = 0.1, 0.2, 20_000
    for rule, equilibrium in ((signopt.lion, page.lion_equilibrium), (signopt.tiger, page.tiger_equilibrium)):
        walked = page.random_walk(rule, start, 1200, lr, decay, size)
        rest = equilibrium(lr, decay)
        # An element's square varies by no more than a Gaussian's, √2 of its mean: five standard errors of RMS.
        assert abs(walked[-1] / rest - 1) < 5 / np.sqrt(2 * size) + 1e-3
        assert abs(walked[0] / rest - 1) > 0.2


# Gradient flow


def test_the_exponential_is_the_flow():
    page = load("gradient_flow")
    times = np.linspace(0, 3, 7)
    np.testing.assert_allclose(page.flow(times), page.exact_flow(times), rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["descend", "sign_descend"])
def test_half_the_rate_is_half_the_error(name):
    page = load("gradient_flow")
    time = 1.0
    exact = page.exact_flow([time])[-1] if name == "descend" else page.sign_flow(time)
    errors = [np.abs(getattr(page, name)(lr, time)[-1] - exact).max() for lr in (2.0**-k for k in (5, 7, 9, 11))]
    for rate, error in zip((2.0**-k for k in (5, 7, 9, 11)), errors, strict=True):
        assert error <= 2 * rate
    assert errors[-1] < errors[0] / 16


def test_convex_functions_fall_as_the_bound_says():
    page = load("gradient_flow")
    times = np.linspace(0.05, 4, 50)
    for t, x in zip(times, page.exact_flow(times), strict=True):
        assert x @ page.HESSIAN @ x / 2 <= page.START @ page.START / (2 * t)


def test_the_sign_flow_slides_and_arrives_in_finite_time():
    page = load("gradient_flow")
    sliding = [page.sign_flow(t) for t in np.linspace(0.6, 1.9, 20)]
    for x in sliding:
        assert abs((page.HESSIAN @ x)[1]) < 1e-12
        assert abs((page.HESSIAN @ x)[0]) > 0
    np.testing.assert_array_equal(np.abs(page.sign_flow(2.0)), [0.0, 0.0])
    steps = page.sign_descend(0.05, 4.0)[-20:]
    assert np.abs(steps).max() <= 2 * 0.05, "it stays near"
    assert np.abs(np.diff(steps[:, 1])).max() > 0.04, "and chatters"


# SGD and the sign rules


@pytest.mark.parametrize("seed", range(10))
def test_sgd_stays_below_its_bounds_in_exact_fractions(seed):
    page = load("sgd_bounds")
    rng = np.random.default_rng(seed)
    steps, start, rival = 60, Fraction(int(rng.integers(-64, 65)), 16), Fraction(int(rng.integers(-32, 33)), 16)
    losses = [page.Absolute(Fraction(int(a), 16)) for a in rng.integers(-32, 33, steps)]
    rate = Fraction(1, int(rng.integers(4, 40)))
    points = page.run(losses, [rate] * steps, lambda g: g, start=start)
    means = page.regret(losses, points, rival)
    for t, mean in enumerate(means, 1):
        assert mean <= page.constant_bound(start - rival, rate, 1, t)
    rates = [Fraction(1, 4) * Fraction(1, 1 + t // 5) for t in range(steps)]
    slopes = [page.Linear(Fraction(int(g), 8)) for g in rng.integers(-8, 9, steps)]
    points = page.run(slopes, rates, lambda g: g, within=(-1, 1))
    means = page.regret(slopes, points, rng.choice([-1, 1]).item())
    for t in range(1, steps + 1):
        assert means[t - 1] <= page.decreasing_bound(2, rates[:t], 1)


def test_the_bound_is_sharp_enough_to_be_missed_by_ascent():
    page = load("sgd_bounds")
    losses = [page.Absolute(Fraction(0))] * 50
    points = page.run(losses, [Fraction(1, 10)] * 50, lambda g: -g, start=Fraction(1))
    assert page.regret(losses, points, 0)[-1] > page.constant_bound(1, Fraction(1, 10), 1, 50)


def test_sign_descent_takes_the_wrong_side_and_momentum_fixes_it():
    page = load("sgd_bounds")
    losses = [page.Linear(Fraction((-1, -1, 3)[t % 3])) for t in range(300)]
    rates = [Fraction(1, 20)] * 300
    ends = {}
    directions = {"sgd": lambda g: g, "sign": page.sign, "signum": page.signed_average(Fraction(9, 10))}
    for name, direction in directions.items():
        points = page.run(losses, rates, direction, within=(-1, 1))
        ends[name] = page.regret(losses, points, -1)[-1]
    assert ends["sign"] > Fraction(1, 2), "it sits at +1, where the mean loss is the worst"
    assert ends["sgd"] < Fraction(1, 8)
    assert ends["signum"] < Fraction(1, 10)


@pytest.mark.parametrize("seed", range(5))
def test_with_exact_gradients_the_mean_1_norm_is_bounded(seed):
    rng = np.random.default_rng(seed)
    root = [[Fraction(int(n), 4) for n in row] for row in rng.integers(-4, 5, (3, 3))]
    hessian = [[sum(root[k][i] * root[k][j] for k in range(3)) for j in range(3)] for i in range(3)]
    spread, rate, steps = sum(abs(x) for row in hessian for x in row), Fraction(1, 8), 40
    theta = [Fraction(int(n)) for n in rng.integers(-3, 4, 3)]

    def gradient(x):
        return [sum(row[j] * x[j] for j in range(3)) for row in hessian]

    first, total = sum(a * b for a, b in zip(theta, gradient(theta), strict=True)) / 2, Fraction(0)
    for _ in range(steps):
        g = gradient(theta)
        total += sum(map(abs, g))
        theta = [x - rate * ((y > 0) - (y < 0)) for x, y in zip(theta, g, strict=True)]
    assert total / steps <= first / (rate * steps) + rate * spread / 2
