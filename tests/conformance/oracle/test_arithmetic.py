"""The oracle: correct rounding against hardware, and every rule against the library's own, bit for bit."""

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import signopt
from signopt.conformance.oracle import arithmetic as exact
from signopt.conformance.oracle.arithmetic import Arithmetic, Order
from signopt.conformance.oracle.formats import FORMATS, format_of
from signopt.conformance.oracle.rules import lion, signum, tiger
from signopt.conformance.oracle.rules._tiger_step import CENTRE, factor_at, root_mean_square, scales

DTYPES = tuple(FORMATS)
COUNTS = pytest.mark.parametrize("count", [12_000, pytest.param(100_000, marks=pytest.mark.thorough)])
any_float = st.floats(width=64)


def bits(array):
    """Bit patterns with every NaN as one."""
    array = np.asarray(array)
    pattern = array.view(f"u{array.dtype.itemsize}").astype(np.uint64)
    return np.where(np.isnan(array.astype(np.float64)), np.uint64(2**63 + 1), pattern)


def assert_same_bits(got, expected):
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    different = np.flatnonzero(bits(got).ravel() != bits(expected).ravel())
    assert different.size == 0, [(got.ravel()[i], expected.ravel()[i]) for i in different[:3]]


@pytest.mark.parametrize("name", DTYPES)
def test_rounding_agrees_with_the_cast_of_numpy(name):
    rng = np.random.default_rng(1)
    patterns = rng.integers(0, 2**32, 20_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    edges = [0.0, -0.0, 65519.999, 65520, 2.0**-25, 3e-8, 2.0**-133, 2.0**-134]
    with np.errstate(all="ignore"):
        values = np.concatenate([patterns.astype(np.float64), edges]).astype(np.float32).astype(np.float64)
        expected = values.astype(format_of(name).dtype)
    got = np.array([FORMATS[name].cast(float(v)) for v in values]).astype(expected.dtype)
    assert_same_bits(got, expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Fraction(1, 2**150), 0.0),
        (Fraction(-1, 2**150), -0.0),
        (Fraction(1, 2**150) + Fraction(1, 2**300), 2.0**-149),
        (Fraction(3, 2**150), 2.0**-148),
        (Fraction(2**128 - 2**103), math.inf),
        (Fraction(2**128 - 2**103) - Fraction(1, 2**500), float(np.finfo(np.float32).max)),
        (1 + Fraction(1, 2**24), 1.0),
        (1 + Fraction(3, 2**24), 1 + 2.0**-22),
        (Fraction(2**25 - 1), 2.0**25),
    ],
)
def test_rounding_at_ties_and_edges(value, expected):
    got = FORMATS["float32"].round(value)
    assert got == expected
    assert math.copysign(1, got) == math.copysign(1, expected)


@given(any_float, any_float)
def test_arithmetic_is_that_of_the_processor(a, b):
    x = Arithmetic(FORMATS["float64"])
    assert_same_bits(np.array([x.add(a, b), x.sub(a, b), x.mul(a, b)]), np.array([a + b, a - b, a * b]))


@given(st.floats(width=32), st.floats(width=32))
def test_float32_arithmetic_is_that_of_the_processor(a, b):
    x = Arithmetic(FORMATS["float32"])
    with np.errstate(all="ignore"):
        one, two = np.float32(a), np.float32(b)
        got = np.array([x.add(a, b), x.mul(a, b)]).astype(np.float32)
        assert_same_bits(got, np.array([one + two, one * two]))


@given(st.floats(width=16), st.floats(width=16), st.floats(width=16))
def test_fma_rounds_once(a, b, c):
    with np.errstate(all="ignore"):
        wide = np.float64(a) * np.float64(b) + np.float64(c)
    got = Arithmetic(FORMATS["float64"]).fma(a, b, c)
    assert_same_bits(np.array([got]), np.array([wide]))


def test_fma_differs_from_two_roundings():
    e = 2.0**-24
    assert Arithmetic(FORMATS["float32"]).fma(1 + 2 * e, 1 - 2 * e, -1.0) == -4 * e * e


@given(st.fractions(min_value=0, max_value=10**30))
def test_root_is_correctly_rounded(value):
    got = Fraction(FORMATS["float32"].round(exact.root(value, 40)))
    if got:
        half = Fraction(np.float64(np.spacing(np.float32(got)))) / 2
        assert (got - half) ** 2 <= value <= (got + half) ** 2


def test_root_mean_square_of_a_pythagorean_row_is_exact():
    assert root_mean_square([7.0, 1.0, 5.0, 5.0], FORMATS["float32"]) == 5.0
    assert root_mean_square([2.0**-140, -(2.0**-140)], FORMATS["float32"]) == 2.0**-140


def test_factor_puts_zero_in_front_and_stays_after_the_last_key():
    factors = [factor_at({4: 1.0, 8: 0.5}, step) for step in (0, 1, 4, 6, 8, 100)]
    assert factors == [0, Fraction(1, 4), 1, Fraction(3, 4), Fraction(1, 2), Fraction(1, 2)]
    assert factor_at({0: 0.5, 3: 1.0}, 1) == Fraction(2, 3)
    assert factor_at(None, 7) == 1


def special(fmt):
    largest, smallest = float(fmt.largest), float(fmt.smallest)
    normal = float(fmt.smallest_normal)
    finite = [0.0, smallest, normal, normal - smallest, largest, 1.0, math.inf]
    return [*finite, *(-v for v in finite), math.nan]


def generated(name, beta, count, seed):
    """Parameters, gradients and momenta: ordinary, near-zero c within an ulp, every magnitude, special."""
    fmt, rng = FORMATS[name], np.random.default_rng(seed)
    spread = 12 if name == "float16" else 110
    values = rng.standard_normal((3, count)) * 2.0 ** rng.integers(-spread, spread // 2, (3, count))
    with np.errstate(all="ignore"):
        p, g, m = values.astype(fmt.dtype)
        near = slice(0, count // 2)
        ulps = 1 + rng.integers(-2, 3, count // 2) * float(fmt.unit) * 2
        g[near] = (-beta * m[near].astype(np.float64) / (1 - beta) * ulps).astype(fmt.dtype)
    chosen = rng.random((3, count)) < 0.03
    for row, mask in zip((p, g, m), chosen, strict=True):
        row[mask] = rng.choice(special(fmt), mask.sum()).astype(fmt.dtype)
    return p, g, m


HYPER = [(1e-4, 0.9, 0.99, 0.0), (1e-8, 0.5, 0.75, 10.0), (1.0, 0.0, 0.98, 0.1), (3e-3, 0.95, 0.0, 1e-3)]


@COUNTS
@pytest.mark.parametrize("name", DTYPES)
def test_lion_is_the_library_s(name, count):
    for seed, (lr, beta1, beta2, weight_decay) in enumerate(HYPER):
        p, g, m = generated(name, beta1, count // len(HYPER), seed)
        hyper = {"lr": lr, "betas": (beta1, beta2), "weight_decay": weight_decay}
        with np.errstate(all="ignore"):
            ours = signopt.lion(p, g, m, **hyper)
        for got, expected in zip(ours, lion.step(p, g, m, **hyper), strict=True):
            assert_same_bits(got, expected)


@COUNTS
@pytest.mark.parametrize("name", DTYPES)
def test_signum_is_the_library_s(name, count):
    for seed, (lr, beta, _, weight_decay) in enumerate(HYPER):
        p, g, m = generated(name, beta, count // len(HYPER), seed)
        hyper = {"lr": lr, "beta": beta, "weight_decay": weight_decay}
        with np.errstate(all="ignore"):
            ours = signopt.signum(p, g, m, **hyper)
        for got, expected in zip(ours, signum.step(p, g, m, **hyper), strict=True):
            assert_same_bits(got, expected)


@COUNTS
@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("role", CENTRE)
def test_tiger_is_the_library_s(name, role, count):
    from signopt.rules.tiger import root_mean_square

    for seed, (lr, beta, _, weight_decay) in enumerate(HYPER):
        p, g, m = (x.reshape(-1, 5) for x in generated(name, beta, count // len(HYPER) // 4, seed))
        p = np.where(np.isfinite(p.astype(np.float64)), p, 0).astype(p.dtype)
        g = np.where(np.isnan(g.astype(np.float64)), 1, g).astype(g.dtype)
        hyper = {"lr": lr, "beta": beta, "weight_decay": weight_decay, "role": role}
        hyper["accumulation_steps"] = 1 + seed
        compute = np.float64 if name == "float64" else np.float32
        with np.errstate(all="ignore"):
            ours = signopt.tiger(p, g, m, step=seed, schedule={9: 1.0}, **hyper)
            rms = root_mean_square(np, p.astype(compute), "row" if role == "embedding" else "tensor")
        rms = None if role in ("bias", "scale") else np.asarray(rms)
        expected = tiger.step(p, g, m, step=seed, schedule={9: 1.0}, rms=rms, **hyper)
        for got, wanted in zip(ours, expected, strict=True):
            assert_same_bits(got, wanted)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("role", CENTRE)
def test_tiger_after_a_nan_is_the_library_s(name, role):
    p, g, m = generated(name, 0.9, 300, 5)
    g[17] = math.nan
    hyper = {"lr": 0.1, "beta": 0.9, "weight_decay": 0.5, "role": role, "accumulation_steps": 3}
    hyper["shrink"] = 0.97
    with np.errstate(all="ignore"):
        ours = signopt.tiger(p, g, m, step=1, **hyper)
    for got, wanted in zip(ours, tiger.step(p, g, m, step=1, **hyper), strict=True):
        assert_same_bits(got, wanted)


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_scales_are_the_library_s_within_an_ulp(name):
    from signopt.rules.tiger import root_mean_square

    p = np.random.default_rng(0).standard_normal((200, 33)).astype(name)
    ours, ulp = root_mean_square(np, p, "row"), np.finfo(name).eps
    assert np.all(np.abs(ours - scales(p, "embedding")) <= ulp * ours)
    assert scales(p, "embedding").shape == (200, 1)


@pytest.mark.parametrize("form", exact.FORMS)
@pytest.mark.parametrize("decay", exact.DECAYS)
@pytest.mark.parametrize("complement", exact.COMPLEMENTS)
def test_every_order_agrees_where_all_is_exact(form, decay, complement):
    p, g, m = (np.array(v, np.float32) for v in ([1.5, -2.0, 0.25], [4.0, -1.0, 0.5], [1.0, 1.0, -0.5]))
    order = Order(decay=decay, form=form, complement=complement)
    param, momentum = lion.step(p, g, m, lr=0.125, betas=(0.5, 0.75), weight_decay=0.25, order=order)
    assert param.tolist() == [1.5 - 0.125 * 1.375, -2.0 + 0.0625, 0.25 - 0.125 * 0.0625]
    assert momentum.tolist() == [1.75, 0.5, -0.25]


def test_orders_differ_where_they_should():
    p, g, m = generated("float32", 0.9, 2000, 3)
    keep = np.isfinite(g) & np.isfinite(m) & np.isfinite(p)
    p, g, m = p[keep], g[keep], m[keep]
    hyper = {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.3}
    results = {lion.step(p, g, m, order=Order(form=form), **hyper)[1].tobytes() for form in exact.FORMS}
    assert len(results) >= 4
    first, bracket = (lion.step(p, g, m, order=Order(decay=decay), **hyper)[0] for decay in exact.DECAYS)
    assert first.tobytes() != bracket.tobytes()


def test_torch_lerp_is_torch_s():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = Arithmetic(FORMATS["float32"])
    _, g, m = generated("float32", 0.3, 500, 8)
    for a in (0.1, 0.7):
        weight = FORMATS["float32"].cast(a)
        expected = torch.lerp(torch.from_numpy(m), torch.from_numpy(g), weight).numpy()
        pairs = zip(exact.floats(m), exact.floats(g), strict=True)
        got = [exact.FORMS["torch-lerp"](x, 1 - weight, weight, u, v) for u, v in pairs]
        assert_same_bits(np.array(got).astype(np.float32), expected)


def test_bfloat16_is_that_of_ml_dtypes():
    assert FORMATS["bfloat16"].dtype == np.dtype(ml_dtypes.bfloat16)
    assert float(FORMATS["bfloat16"].largest) == float(ml_dtypes.finfo(ml_dtypes.bfloat16).max)


def test_unknown_dtype_is_refused():
    with pytest.raises(TypeError, match="int32"):
        format_of(np.int32)
