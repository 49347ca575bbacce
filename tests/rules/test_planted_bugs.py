"""Bugs planted in the rules, one at a time: the comparison with the exact oracle must see each of them."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

import signopt
from signopt.conformance.oracle import rules as exact
from tests.bits import bits

RULES = Path(signopt.__file__).parent / "rules"
NAMESPACE = Path(signopt.__file__).parent / "_namespace.py"

BUGS = {
    "lion": [
        ("c = fence(k.B1 * m)", "c = fence(k.B2 * m)", "β2 where c wants β1"),
        ("c = fence(k.B1 * m) + fence(k.A1 * g)", "c = k.A1 * m + k.B1 * g", "coefficients of c swapped"),
        ("c = fence(k.B1 * m) + fence(k.A1 * g)", "c = k.B1 * m + g", "1 − β1 missing"),
        ("c = fence(k.B1 * m) + fence(k.A1 * g)", "c = m + k.A1 * (g - m)", "c in the difference form"),
        ("c = fence(k.B1 * m) + fence(k.A1 * g)", "c = k.B2 * m + k.A2 * g", "c is the new momentum"),
        ("sign(xp, c)", "sign(xp, g)", "sign of the gradient"),
        ("sign(xp, c)", "xp.astype(c > 0, c.dtype) - xp.astype(c < 0, c.dtype)", "sign(NaN) = 0"),
        ("sign(xp, c)", "xp.copysign(xp.ones_like(c), c)", "sign(0) = ±1"),
        ("+ fence(k.weight_decay * p)", "- k.weight_decay * p", "decay with the wrong sign"),
        ("+ fence(k.weight_decay * p)", "+ k.weight_decay * m", "decay of the momentum"),
        ("p - fence(k.lr * u),", "p * (1 - k.lr * k.weight_decay) - k.lr * sign(xp, c),", "decay first"),
        ("p - fence(k.lr * u),", "p - k.lr * sign(xp, c) - k.weight_decay * p,", "decay without lr"),
        ("p - fence(k.lr * u),", "p + k.lr * u,", "ascent"),
        ("fence(k.B2 * m) + fence(k.A2 * g)", "k.A2 * m + k.B2 * g", "coefficients of m swapped"),
        ("fence(k.B2 * m) + fence(k.A2 * g)", "k.B1 * m + k.A1 * g", "m with β1"),
        ("fence(k.B2 * m) + fence(k.A2 * g)", "m", "m not written"),
        ("fence(k.B2 * m) + fence(k.A2 * g)", "k.A2 * g", "m reset"),
        ("A1=1.0 - beta1,", "A1=1.0 - beta2,", "1 − β2 in c"),
    ],
    "signum": [
        (
            "m = fence(k.B * m) + fence(k.A * g)\n        u = sign(xp, m)",
            "u = sign(xp, m)\n        m = k.B * m + k.A * g",
            "the old m",
        ),
        ("fence(k.B * m) + fence(k.A * g)", "k.B * m + g", "1 − β missing"),
        ("+ fence(k.weight_decay * p)", "", "no decay"),
    ],
    "tiger": [
        ("fence(k.b1 * m) + fence(k.b2 * g)", "k.b1 * m + (1 - k.b1) * g", "no window in b2"),
        ("moved() if moves else p", "moved()", "moves at every micro-step"),
        ("sign(xp, m)", "sign(xp, m) * 0 + 1", "no sign"),
        ("if traits.decays else 0.0", "", "bias decays"),
        ("0.5 * k.lr if", "k.lr if", "bias at full rate"),
        ("root_mean_square(xp, p, traits.rms, facts)", "root_mean_square(xp, m, traits.rms)", "RMS of m"),
        ("root_mean_square(xp, p, traits.rms, facts)", 'root_mean_square(xp, p, "tensor")', "no rows"),
        ("root_mean_square(xp, p, traits.rms, facts)", 'root_mean_square(xp, p, "row")', "rows everywhere"),
        ("divide(total, max(count, 1))", "total", "norm in place of RMS"),
        ("has_nan(xp, g, known)", "(g != g)", "NaN by element"),
        ("has_nan(xp, g, known)", "xp.any(xp.isinf(g))", "Inf in place of NaN"),
        ("fence((p - traits.centre) * k.shrink) + unfolded(traits.centre, p)", "p * k.shrink", "no centre"),
        ("xp.where(broken, m, new_m)", "new_m", "NaN enters m"),
        ("xp.where(broken, shrunk_p, healthy_p)", "healthy_p", "no NaN rule"),
        ("is_multiple(step, window)", "is_multiple(step - 1, window)", "the window decays one late"),
        ("b2=(1.0 - beta) / window", "b2=1.0 - beta", "the window's sum, not its mean"),
        ("is_multiple(step + 1, window)", "is_multiple(step, window)", "moves at the first micro-step"),
        ("(lr) * factor", "(lr)", "no schedule"),
    ],
    "coefficients": [
        ("float(np.float32(getattr(self, n)))", "float(np.float16(getattr(self, n)))", "coefficients in float16"),
    ],
}
ROWS = [pytest.param(name, old, new, id=f"{name}: {what}") for name, bugs in BUGS.items() for old, new, what in bugs]


def load(name, old="", new=""):
    """The module ``signopt.rules.<name>`` from its source with ``old`` replaced by ``new``."""
    path = RULES / f"{name}.py"
    source = path.read_text()
    assert not old or source.count(old) >= 1, f"{name} no longer contains {old!r}"
    module = module_from_spec(spec_from_file_location(f"planted_{name.strip('_')}", path))
    sys.modules[module.__name__] = module
    exec(compile(source.replace(old, new), str(path), "exec"), module.__dict__)
    return module


def cases(dtype):
    """Parameter, gradient, momentum: near-zero c, zeros, NaN in some rows of gradients only."""
    rng = np.random.default_rng(11)
    p, g, m = (rng.standard_normal((40, 6)).astype(dtype) for _ in range(3))
    g[:20] = (-9 * m[:20].astype(np.float64) * (1 + rng.integers(-1, 2, (20, 6)) * 2.0**-23)).astype(dtype)
    g[20], m[20], p[21] = 0, 0, 0
    return p, g, m


def runs(lion, signum, tiger):
    """What the three rules give on cases that differ in role, window, schedule and NaN."""
    lines = []
    for dtype in (np.float32, np.float64):
        p, g, m = cases(dtype)
        broken, infinite = g.copy(), g.copy()
        broken[3, 2], infinite[3, 2] = np.nan, np.inf
        for grad in (g, broken):
            lines += lion(p, grad, m, lr=0.03, betas=(0.9, 0.99), weight_decay=0.7)
            lines += signum(p, grad, m, lr=0.03, beta=0.9, weight_decay=0.7)
        for grad in (g, broken, infinite):
            for role in ("matrix", "embedding", "bias", "scale"):
                for step, window in ((0, 1), (0, 3), (1, 3), (2, 3)):
                    options = {"step": step, "accumulation_steps": window, "role": role, "schedule": {0: 0.3, 7: 1.0}}
                    lines += tiger(p, grad, m, lr=0.03, beta=0.9, weight_decay=0.7, shrink=0.9, **options)
    return lines


@pytest.fixture(scope="module")
def expected():
    from signopt.rules.tiger import root_mean_square

    def tiger(p, *arrays, role, **options):
        over = {"matrix": "tensor", "embedding": "row"}.get(role)
        rms = None if over is None else np.asarray(root_mean_square(np, p, over))
        return exact.tiger.step(p, *arrays, role=role, rms=rms, **options)

    return runs(exact.lion.step, exact.signum.step, tiger)


def differs(results, expected):
    return any((bits(mine) != bits(theirs)).any() for mine, theirs in zip(results, expected, strict=True))


def test_without_a_bug_nothing_differs(expected):
    assert not differs(runs(signopt.lion, signopt.signum, signopt.tiger), expected)


@pytest.mark.parametrize(("name", "old", "new"), ROWS)
def test_the_oracle_sees_the_bug(name, old, new, expected, monkeypatch):
    modules = {rule: load(rule, *((old, new) if rule == name else ())) for rule in ("lion", "signum", "tiger")}
    if name == "coefficients":
        planted = load(name, old, new)
        for rule, module in modules.items():
            monkeypatch.setattr(getattr(module, f"{rule.title()}Coefficients"), "rounded", planted.Coefficients.rounded)
    with np.errstate(all="ignore"):
        results = runs(*(getattr(modules[rule], rule) for rule in ("lion", "signum", "tiger")))
    assert differs(results, expected)
