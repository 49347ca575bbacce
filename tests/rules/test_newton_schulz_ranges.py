"""Where the singular values go: every preset's range, by interval arithmetic with outward rounding.

F is the composition of the steps. [0, 1] is cut into intervals; the image of each under one step is the hull of the
values at its ends and at the critical points of a·x + b·x³ + c·x⁵ between them, widened by what rounding may do.
"""

import numpy as np
import pytest

import signopt
from signopt.rules.newton_schulz import PRESETS, triples_for

CUTS = 400_000


def image(low, high, triple):
    """An enclosure of the image of each interval under one step, ends included."""
    a, b, c = triple
    points = [low, high]
    for root in critical_points(triple):
        # A rounded critical point misses the extreme by a square of the distance, which the widening covers.
        points.append(np.clip(root, low, high))
    values = [(a + (b + c * x * x) * (x * x)) * x for x in points]
    largest = np.maximum(np.abs(low), np.abs(high))
    size = (abs(a) + (abs(b) + abs(c) * largest**2) * largest**2) * largest
    widening = 16 * np.finfo(float).eps * size + np.finfo(float).tiny
    return np.min(values, axis=0) - widening, np.max(values, axis=0) + widening


def critical_points(triple):
    """Where a + 3b·x² + 5c·x⁴ is zero, of either sign."""
    a, b, c = triple
    squares = np.roots([5 * c, 3 * b, a]) if c else np.roots([3 * b, a])
    real = [square.real for square in squares if abs(square.imag) < 1e-12 and square.real > 0]
    return [sign * square**0.5 for square in real for sign in (1, -1)]


def enclosed(triples, start, end):
    """An enclosure of F([start, end])."""
    edges = np.linspace(start, end, CUTS + 1)
    low, high = edges[:-1], edges[1:]
    for triple in triples:
        low, high = image(low, high, triple)
    return low.min(), high.max()


RANGES = {
    # preset: F([0.003, 1]), F([0.01, 1]), the most on [0, 1.01], F'(0)
    "jordan": ((0.681, 1.203), (0.681, 1.135), 1.203, 485),
    "quintic": ((0.977, 1.146), (0.977, 1.033), 1.146, 493),
    "polar-express": ((0.858, 1.142), (0.858, 1.142), 1.142, 990),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_range_of_a_preset(preset):
    triples = triples_for(preset, 5)
    from_three, from_ten, most, slope = RANGES[preset]
    for start, (least, largest) in ((0.003, from_three), (0.01, from_ten)):
        low, high = enclosed(triples, start, 1.0)
        assert least <= low
        assert high <= largest
    low, high = enclosed(triples, 0.0, 1.01)
    assert low >= -1e-12
    assert high <= most
    assert abs(np.prod([a for a, _, _ in triples]) - slope) < 1


@pytest.mark.parametrize("preset", PRESETS)
def test_the_range_is_reached(preset):
    """The enclosures are not wide for want of care: values within 0.002 of both ends occur."""
    (least, largest), _, _, _ = RANGES[preset]
    x = np.linspace(0.003, 1.0, CUTS)
    for a, b, c in triples_for(preset, 5):
        x = (a + (b + c * x * x) * (x * x)) * x
    assert x.min() - least < 0.002
    assert largest - x.max() < 0.002


@pytest.mark.parametrize("preset", PRESETS)
def test_the_iteration_has_the_singular_values_that_the_polynomial_gives(preset):
    sigma = np.array([1.0, 0.7, 0.1, 0.01])
    matrix = np.diag(sigma)
    expected = sigma / np.linalg.norm(sigma)
    for a, b, c in triples_for(preset, 5):
        expected = a * expected + b * expected**3 + c * expected**5
    actual = signopt.msign(matrix, ns_coefficients=preset, eps=0.0)
    np.testing.assert_allclose(actual, np.diag(expected), rtol=0, atol=1e-12)


POLAR_EXPRESS_OF_EIGHT = [
    (8.237312490495555, -23.157747414558198, 16.680568411445915),
    (4.082441999064835, -2.893047735332586, 0.5252849256975648),
    (3.9263479922546582, -2.8547468034765298, 0.5318022422894988),
    (3.2982187133085143, -2.424541981026706, 0.48632008358844075),
    (2.2970369434552573, -1.63662558125903, 0.4002628455953627),
]
"""The first five of eight steps of Polar Express with safety factor 1.01, as pytorch-optimizer and timm have them."""


def test_a_published_set_that_is_not_shipped_diverges_just_above_one():
    x = np.array([1.0, 1.01, 1.012])
    for a, b, c in POLAR_EXPRESS_OF_EIGHT:
        x = a * x + b * x**3 + c * x**5
    assert np.abs(x[:2]).max() < 1.14
    assert abs(x[2]) > 1e20


def best_quintic(low, high):
    """(a, b, c) for which the most of |1 − a·x − b·x³ − c·x⁵| on [low, high] is least, by the exchange of Remez."""
    inner = (3 * low + high) / 4, (low + 3 * high) / 4
    for _ in range(50):
        points = [low, *inner, high]
        rows = [[x, x**3, x**5, sign] for x, sign in zip(points, (1, -1, 1, -1), strict=True)]
        a, b, c, _ = np.linalg.solve(rows, np.ones(4))
        inner = sorted(x for x in critical_points((a, b, c)) if x > 0)
    return a, b, c


def test_polar_express_is_derived():
    """Algorithm 1 of Amsel et al.: the best quintic on [ℓ, 2 − ℓ] for what the steps before make of [10⁻³, 1].

    A cushion of 0.02 bounds ℓ from below, and all steps but the last are for 1.02 times the values.
    """
    low, high, steps = 1e-3, 1.0, []
    for step in range(5):
        a, b, c = best_quintic(max(low, 0.02 * high), high)
        ends = [a * x + b * x**3 + c * x**5 for x in (low, high)]
        centred = 2 / sum(ends) if low < 0.02 * high else 1.0
        safety = 1.02 if step < 4 else 1.0
        a, b, c = centred * a / safety, centred * b / safety**3, centred * c / safety**5
        steps.append((a, b, c))
        low = a * low + b * low**3 + c * low**5
        high = 2 - low
    np.testing.assert_allclose(PRESETS["polar-express"], steps, rtol=1e-11)


def test_quintic_is_what_optax_calls_dion():
    presets = pytest.importorskip("optax.contrib._muon", reason="optax is not installed")._NS_COEFFS_PRESET_DICT
    np.testing.assert_array_equal(PRESETS["quintic"], np.asarray(presets["dion"]))
