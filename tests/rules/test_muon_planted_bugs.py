"""Bugs planted in Muon's rule and in its workspace, one at a time: exact arithmetic must see each of them."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

import signopt
from tests.bits import bits, random_triple
from tests.rules import exact_matrices as exact
from tests.thin import some

PACKAGE = Path(signopt.__file__).parent
CHAINS = {
    "rules": ["rules._matrices", "rules._svd", "rules.newton_schulz", "rules.spectral_decay", "rules.muon"],
    "backends": ["backends._muon_products", "backends._muon_iteration", "backends._numpy_muon"],
}
"""Modules in the order of their imports: what comes after the planted one is loaded anew, over it."""

BUGS = {
    "rules.muon": [
        ("m = fence(k.B * m) + fence(k.A * g)", "m = k.B * m + g", "a momentum that is a sum"),
        ("m = fence(k.B * m) + fence(k.A * g)", "m = k.A * m + k.B * g", "coefficients swapped"),
        ("m = fence(k.B * m) + fence(k.A * g)", "m = m + k.A * (g - m)", "the difference form, which rounds otherwise"),
        ("fence(k.A * g) + fence(k.B * m) if", "g + k.B * m if", "a look-ahead in which g weighs 1"),
        ("fence(k.A * g) + fence(k.B * m) if", "k.A * m + k.B * g if", "the look-ahead swapped"),
        ("u = fence(k.A * g) + fence(k.B * m) if k.nesterov else m", "u = m", "never a look-ahead"),
        ("if k.nesterov else m", "if not k.nesterov else m", "nesterov inverted"),
        ("k.scale(shape, compute) * x", "x", "no scale"),
        ("rows / cols) if", "cols / rows) if", "the scale of (in, out) kernels"),
        ("max(1.0, rows / cols)", "rows / cols", "a scale below 1"),
        ("float(max(rows, cols))", "float(min(rows, cols))", "the shorter side"),
        ("else 0.2)", "else 1.0)", "0.2 missing"),
        ("k.weight_decay * d)", "k.lr * k.weight_decay * d)", "decay with lr squared"),
        ("k.weight_decay * d)", "k.scale(shape, compute) * k.weight_decay * d)", "decay scaled with the update"),
        ("k.weight_decay * d)", "k.weight_decay / k.lr * d)", "decay without lr"),
        ("p = p - fence(", "p = p + fence(", "ascent"),
        ('d = p if k.decay == "plain"', 'd = p if k.decay == "spectral"', "decays swapped"),
        ("ROUNDS, compute)", "1, compute)", "one round"),
        ("spectral_part(xp, p,", "spectral_part(xp, u,", "spectral part of the update"),
        ("A=1.0 - beta", "A=1.0", "1 − β forgotten"),
    ],
    "rules.newton_schulz": [
        ("a * x + matmul(xp, b * gram + c * matmul(xp, gram, gram), x)",
         "a * x + matmul(xp, b * gram - c * matmul(xp, gram, gram), x)", "the sign of c"),
        ("c * matmul(xp, gram, gram)", "c * gram", "no square"),
        ("x = a * x +", "x = x +", "no a"),
        ("gram = matmul(xp, x, transpose(xp, x))", "gram = matmul(xp, transpose(xp, x), x)", "the other Gram matrix"),
        ("return transpose(xp, x) if is_tall else x", "return xp.reshape(x, x.shape[:-2] + x.shape[:-3:-1])",
         "back by reshape"),
        ("for a, b, c in triples:", "for a, b, c in triples[1:]:", "a step short"),
        ("for a, b, c in triples:", "for a, b, c in triples[::-1]:", "the triples backwards"),
        ("+ eps * scale", "+ eps", "ε not scaled with the matrix"),
        ("+ eps * scale", "+ eps * eps * scale", "ε squared"),
        ("+ eps * scale", "", "no ε"),
        ("xp.where(norm == 0, xp.ones_like(norm), norm)", "norm", "0/0"),
        ("least=eps)", "least=1.0)", "small matrices not scaled up"),
        ("JORDAN: Triple = (3.4445,", "JORDAN: Triple = (3.445,", "a digit short"),
        ("return tuple(_triple(item", "return tuple(_triple(values[0]", "the first triple for all steps"),
    ],
    "rules._matrices": [
        ("math.prod(axes[1:])", "axes[1]", "three axes as two"),
        ("return axes[0], math.prod(axes[1:])", "return math.prod(axes[:-1]), axes[-1]", "the last axis alone"),
        ("xp.where(largest > large, one / factor, one)", "one", "large matrices overflow"),
        ("xp.sum(wide * wide, axis=BOTH, keepdims=True)", "xp.sum(abs(wide), axis=BOTH, keepdims=True)", "the 1-norm"),
        ("xp.sum(wide * wide, axis=BOTH, keepdims=True)", "xp.max(wide * wide, axis=BOTH, keepdims=True)", "the max"),
        ("xp.reshape(xp.moveaxis(array, batch_axis, 0),", "xp.reshape(array,", "the stack cut along other axes"),
        ("xp.all(xp.isfinite(culprits), axis=BOTH, keepdims=True)", "xp.isfinite(culprits)", "NaN stays where it was"),
        ("largest < small, one * factor", "largest < small, one / factor", "small matrices made smaller"),
    ],
    "rules.spectral_decay": [
        ("x = matmul(xp, transpose(xp, w), matmul(xp, w, x))", "x = matmul(xp, transpose(xp, w), matmul(xp, w, x)) + x",
         "a shifted iteration"),
        ("for _ in range(rounds):", "for _ in range(rounds + 1):", "a round too many"),
        ("for _ in range(rounds):", "for _ in range(rounds - 1):", "a round too few"),
        ("_or_one(xp, square)) * transpose", "_or_one(xp, square * 0)) * transpose", "not divided by xᵀx"),
        ("part / scale", "part * scale", "scaled back the wrong way"),
        ("return nan_unless_finite(xp, part / scale, matrices)", "return part / scale", "NaN in some places only"),
        ("_or_one(xp, square)", "square", "0/0 in the null space"),
    ],
    "backends._muon_products": [
        ("wide = len(x) == len(out)", "wide = True", "a tall matrix taken for a wide one"),
        ("wide = len(x) == len(out)", "wide = False", "Xᵀ·X for X·Xᵀ"),
        ("np.add(part, linear, part)", "pass", "no b·A"),
        ("of_square[()] = b, c", "of_square[()] = c, b", "b and c swapped"),
        ("(len(x) - 1) * (between // each) + x.shape[1]", "x.size", "the last rows left out"),
        ("range(0, len(x), PART)", "range(0, len(x) - 1, PART)", "a 1 × 1 Gram matrix left as its square"),
        ("np.matmul(x[half:], y[:, :half]", "np.matmul(x[half:], y[:, half:2 * half]", "the wrong quarter"),
        ("_transpose(out[half:, :half], out[:half, half:])", "pass", "a quarter left as it was"),
        ("np.copyto(out[:, rows], x[rows].T)", "np.copyto(out[:, :64], x[:64].T)", "the same rows again and again"),
        ("self.product(x[half:], y[:, half:]", "self.product(x[half:], y[:, :half]", "a diagonal quarter off"),
    ],
    "backends._muon_iteration": [
        ("np.add(_diagonal(out), self._numbers.number(a), _diagonal(out))", "pass", "no a"),
        ("if index:", "if False:", "the Gram matrix never computed afresh"),
        ("MOST_COMBINED = 3", "MOST_COMBINED = 9", "five steps on one Gram matrix"),
        ("[len(triples) * index // count", "[len(triples) * index // (count + 1)", "the last steps left out"),
        ("np.multiply(factor, self._numbers.number(1.0 / divisor), factor)", "pass", "X not divided by its norm"),
        ("1.0 / divisor**2", "1.0 / divisor", "A divided by the norm, not by its square"),
        ("math.sqrt(squares) + eps if", "math.sqrt(squares) if", "no ε"),
        ("math.sqrt(squares) + eps if", "max(math.sqrt(squares), eps) if", "ε as a least divisor"),
        ("for triple in more:", "for _ in more:", "one triple for all that are combined"),
        ("self._products.product(gram, square, following)", "self._products.product(latest, square, following)",
         "P·P²"),
        ("self._products.product(latest, previous, whole)", "np.copyto(whole, latest)", "P₂ without P₁"),
        ("self._products.gram(latest, square)", "np.copyto(square, latest)", "A·P for P·A·P"),
        ("gram = following", "pass", "the third step on the Gram matrix of the second"),
        ("if latest is whole else latest", "if True else latest", "no room for a third step"),
        ("return math.ldexp(eps, exponent)", "return eps", "ε not scaled with the matrix"),
        (" + epsilon or 1.0", " + epsilon", "0/0 in a stack"),
        ("np.multiply(square, self._numbers.number(c), square)", "np.multiply(square, self._numbers.number(b), square)",
         "c·A² with b"),
        ("np.multiply(x, self._numbers.number(a), x)\n            np.add(x, spare, x)", "np.copyto(x, spare)",
         "a·X lost"),
        ("self._divisors[:, None, None]", "self._divisors.max()", "one norm for a stack"),
        ("else math.nan\n        divisor = divisor or 1.0", "else math.nan", "0/0 alone"),
        ("numbers.times_power_of_two(w, exponent)", "pass", "the spectral part not scaled back"),
    ],
    "backends._numpy_muon": [
        ("np.multiply(g, k.A, work.scratch)\n        np.multiply(m, k.B, m)",
         "np.multiply(g, k.B, work.scratch)\n        np.multiply(m, k.A, m)", "coefficients swapped"),
        ("np.add(work.scratch, to, to)", "np.add(g, to, to)", "g weighs 1"),
        ("if k.nesterov:", "if not k.nesterov:", "nesterov inverted"),
        ("if self._scale is not None:", "if False:", "no scale"),
        ("np.multiply(d, k.weight_decay,", "np.multiply(step, k.weight_decay,", "decay of X"),
        ("np.subtract(p, step, p)", "np.add(p, step, p)", "ascent"),
        ("_put_back(momentum, m)", "pass", "a momentum of 16 bits not stored"),
        ("_put_back(param, p)", "pass", "a parameter of 16 bits not stored"),
        ("if matrix.is_transposed else w, ROUNDS", "if False else w, ROUNDS", "the spectral part of the transpose"),
        ("shape = (cols, rows) if", "shape = (rows, cols) if", "a transpose read as itself"),
        ("np.copyto(to, m)", "np.copyto(to, work.scratch)", "u is the gradient"),
        ("yield alike[start : start + count]", "yield alike[:count]", "the first stack again and again"),
        ("range(0, len(alike), count)", "range(0, len(alike) - 1, count)", "a last one left"),
    ],
}  # fmt: skip
ROWS = [pytest.param(name, old, new, id=f"{name}: {what}") for name, bugs in BUGS.items() for old, new, what in bugs]


def load(name, old, new, monkeypatch):
    """The last module of the chain to which ``name`` belongs, with ``old`` in it replaced by ``new``."""
    chain = CHAINS[name.split(".")[0]]
    for each in chain[chain.index(name) :]:
        path = PACKAGE / f"{each.replace('.', '/')}.py"
        source = path.read_text()
        if each == name:
            assert not old or source.count(old) >= 1, f"{name} no longer contains {old!r}"
            source = source.replace(old, new) if old else source
        module = module_from_spec(spec_from_file_location(f"signopt.{each}", path))
        monkeypatch.setitem(sys.modules, f"signopt.{each}", module)
        exec(compile(source, str(path), "exec"), module.__dict__)
    return module


STACK = [(1.5, -0.5, 0.0), (2.0, -1.5, 0.5), (0.5, 0.25, -0.1)]
STEPS = {
    "wide": ((3, 7), {}),
    "a row": ((1, 5), {}),
    "tall": ((7, 3), {}),
    "square": ((4, 4), {"nesterov": False}),
    "a scale of two": ((8, 2), {}),
    "like AdamW": ((6, 2), {"adjust_lr_fn": "match_rms_adamw", "beta": 0.5}),
    "convolution": ((4, 2, 1, 3), {"eps": 0.5}),
    "triples": ((3, 6), {"ns_coefficients": STACK, "ns_steps": 3}),
    "tall triples": ((6, 3), {"ns_coefficients": STACK, "ns_steps": 3}),
    "square triples": ((3, 3), {"ns_coefficients": STACK[::-1], "ns_steps": 3}),
    "large": ((140, 150), {"ns_coefficients": STACK[:1], "ns_steps": 1}),
    "larger": ((134, 210), {"ns_coefficients": STACK, "ns_steps": 3}),
}


def expected_of(shape, arrays, options):
    rest = {name: value for name, value in options.items() if not name.startswith("ns_")}
    triples = options.get("ns_coefficients", [exact.JORDAN] * 5)
    if max(shape) < 50:
        new, _, momentum = exact.muon(*arrays, lr=0.25, triples=triples, **rest)
        return new, momentum
    p, g, m = arrays
    m = 0.95 * m + (1 - 0.95) * g
    return p - 0.25 * (iterated(0.95 * m + (1 - 0.95) * g, triples) + 0.1 * p), m


def iterated(u, triples):
    x = u / (np.linalg.norm(u) + 1e-7)
    for a, b, c in triples:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


CASES = []
for _shape, _options in STEPS.values():
    _arrays = random_triple(_shape, np.float64, seed=4)
    CASES.append((_arrays, _options, *expected_of(_shape, _arrays, _options)))


def is_right(step):
    """Whether ``step(param, grad, momentum, **options)`` gives what exact arithmetic does, and the edge cases hold."""
    try:
        with np.errstate(all="ignore"):
            agrees = all(_agrees(step, *case) for case in CASES)
            return agrees and _is_right_at_the_edges(step) and _keeps_small_values(step)
    except (ValueError, IndexError, TypeError, ZeroDivisionError):
        return False


def _agrees(step, arrays, options, wanted, wanted_momentum):
    param, momentum = step(*(array.copy() for array in arrays), lr=0.25, **options)
    return np.allclose(param, wanted, rtol=0, atol=1e-11) and np.allclose(momentum, wanted_momentum, rtol=1e-14, atol=0)


def _keeps_small_values(step):
    """Whether many small singular values beside a large one lose no more than rounding X would cost them."""
    u, _, v = np.linalg.svd(random_triple((16, 32), np.float64, seed=5)[1], full_matrices=False)
    g = ((u * np.array([1.0, *[1e-3] * 15])) @ v).astype(np.float32)
    zero = np.zeros_like(g)
    new = step(zero.copy(), g, zero.copy(), lr=1.0, weight_decay=0.0, beta=0.0)[0]
    return np.abs(new + iterated(g.astype(np.float64), [exact.JORDAN] * 5)).max() < 3e-5


def _is_right_at_the_edges(step):
    p, g, m = random_triple((3, 5), np.float32)
    unit = {"lr": 1.0, "weight_decay": 0.0, "beta": 0.0}
    zero = np.zeros_like(p)
    for eps, size in ((0.0, 1e-30), (0.0, 1e30), (1e-7, 1e-12), (1e-20, 1e-25), (1e-7, 1e25)):
        small = (g * np.float32(size)).astype(np.float32)
        wanted = -exact.matrix_sign(exact.fractions(small), eps=float(np.float32(eps)))
        if not np.allclose(step(zero.copy(), small, zero.copy(), eps=eps, **unit)[0], wanted, rtol=1e-3, atol=1e-30):
            return False
    for size in (1e-200, 1e200):
        wide = np.zeros((3, 5))
        wanted = -exact.matrix_sign(exact.fractions(g.astype(float) * size), eps=0.0)
        if not np.allclose(
            step(wide, g.astype(float) * size, wide.copy(), eps=0.0, **unit)[0], wanted, rtol=0, atol=1e-9
        ):
            return False
    if not all((step(p.copy(), zero, zero.copy(), lr=0.0, eps=eps)[0] == p).all() for eps in (0.0, 1e-7)):
        return False
    g[1, 2] = np.inf
    one = {"ns_coefficients": (1.0, 0.0, 0.0), "ns_steps": 1}
    results = [step(p.copy(), g, m.copy(), **options)[0] for options in ({}, one)]
    return all(np.isnan(array).all() for array in results) and _rounds_as_written(step) and _decays_rightly(step)


def _rounds_as_written(step):
    for dtype in (np.float32, np.float16):
        p, g, m = random_triple((9, 8), dtype, seed=8)
        wide = [array.astype(np.float32) for array in (g, m)]
        new = np.float32(0.95) * wide[1] + np.float32(1 - 0.95) * wide[0]
        param, momentum = step(p.copy(), g, m.copy(), lr=0.25)
        moved = np.abs(param.astype(np.float64) - p.astype(np.float64)).max()
        if (bits(momentum) != bits(new.astype(dtype))).any() or not 0.01 < moved < 1:
            return False
    return True


def _decays_rightly(step):
    for p in (*random_triple((4, 6), np.float64), np.array([[1.0, -1.0], [2.0, -2.0]]), np.zeros((2, 2))):
        for param in (p.copy(), np.asfortranarray(p), p * 1e150):
            zero, size = np.zeros_like(param), np.abs(param).max() or 1.0
            wanted = param - 0.5 * 0.25 * exact.spectral_decay(param / size) * size
            new = step(param.copy(order="K"), zero, zero.copy(), lr=0.5, weight_decay=0.25, decay="spectral")[0]
            if not np.allclose(new, wanted, rtol=0, atol=1e-12 * size):
                return False
    p, g, m = random_triple((3, 4), np.float64)
    p[0, 1] = np.nan
    return np.isnan(step(p, g, m, decay="spectral")[0]).all() and _stacks_rightly(step)


def _stacks_rightly(step):
    p, g, m = random_triple((2, 3, 4), np.float64, seed=9)
    p[:, 1], g[:, 1] = 10 * p[:, 1], 100 * g[:, 1]
    param, _ = step(p.copy(), g, m.copy(), lr=0.25, batch_axis=1)
    for index in range(3):
        wanted = exact.muon(p[:, index], g[:, index], m[:, index], lr=0.25)[0]
        if not np.allclose(param[:, index], wanted, rtol=0, atol=1e-11):
            return False
    return True


def signs_are_right():
    """Whether what the loaded modules say of a matrix that is not finite is NaN throughout."""
    broken = np.array([[np.inf, 1.0], [0.0, 2.0]])
    msign = sys.modules["signopt.rules.newton_schulz"].msign
    spectral_decay = sys.modules["signopt.rules.spectral_decay"].spectral_decay
    signs = [msign(broken, method="svd"), spectral_decay(broken, method="svd"), spectral_decay(broken, rounds=0)]
    return all(np.isnan(sign).all() for sign in signs)


def in_place(module, stacked, monkeypatch):
    """Muon through the workspace: ``stacked`` elements and fewer in stacks, each of two matrices."""
    from signopt.rules.muon import MuonCoefficients

    monkeypatch.setattr(module, "WORTH_STACKING", stacked)
    monkeypatch.setattr(module, "STACKED", 16)

    def step(param, grad, momentum, batch_axis=None, **options):
        defaults = {"beta": 0.95, "weight_decay": 0.1, "nesterov": True, "ns_coefficients": exact.JORDAN, "ns_steps": 5}
        defaults |= {"eps": 1e-7, "adjust_lr_fn": "original", "decay": "plain", "lr": 1e-3}
        coefficients = MuonCoefficients.of(**defaults | options, batch_axis=batch_axis)
        module.Matrices([param], [momentum], batch_axis).prepare([grad], coefficients, 1)()
        return param, momentum

    return step


PATHS = (0, 1 << 13)
"""Up to how many elements matrices are stacked."""


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_without_a_bug_all_is_right(path, monkeypatch):
    assert is_right(signopt.muon)
    assert signs_are_right()
    assert is_right(in_place(load("backends._muon_products", "", "", monkeypatch), path, monkeypatch))


@pytest.mark.parametrize(("name", "old", "new"), some(ROWS, every=2))
def test_the_bug_is_seen(name, old, new, monkeypatch):
    module = load(name, old, new, monkeypatch)
    if name.startswith("rules"):
        assert not (is_right(module.muon) and signs_are_right())
    else:
        assert not all(is_right(in_place(module, path, monkeypatch)) for path in PATHS)
