"""How many of fifteen wrong Lion ports the tests of public Lion ports let pass.

    python docs/weak_suites/measure.py [--picture docs/_static/weak_suites.svg]

Each function below states what one public test demands of a port, in NumPy; where the original compares with another
implementation, that is the right port here. What concerns the framework alone (serialisation, refused arguments) is
left out. The last row is this library's suite.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from signopt.conformance import check
from signopt.conformance.evidence.grid import KILLED, RIGHT, Grid, draw
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import RIGHT_PORTS
from signopt.conformance.numpy_ports.pieces import bfloat16

Make = Callable[[], Any]

WRONG = (
    "no-op",
    "sign-mask-minus-one",
    "sign-copysign",
    "sign-not-positive-is-minus",
    "optimisers-jl",
    "betas-swapped",
    "betas-first-for-both",
    "momentum-not-written",
    "momentum-first",
    "signum",
    "decay-missing",
    "decay-coupled",
    "decay-without-lr",
    "cautious",
    "tail-16-skipped",
)


def right() -> Any:
    return next(variant for variant in RIGHT_PORTS["lion"] if variant.id == "plain")()


def hyper(lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0) -> dict[str, Any]:
    return {"lr": lr, "betas": betas, "weight_decay": weight_decay}


def started(port: Any, param: Any, **changes: Any) -> Any:
    port.init({"w": np.asarray(param, np.float32)}, hyper(**changes))
    return port


def stepped(port: Any, grad: Any) -> np.ndarray:
    port.step({"w": np.array(grad, np.float32)})
    return port.params()["w"]


def mlx(make: Make) -> None:
    """Lion's momentum starts at zero; a step keeps shapes and dtypes (of ones, from zeros)."""
    for shape in ((10,), (1,)):
        port = started(make(), np.zeros(shape))
        assert not port.momentum()["w"].any()
        param = stepped(port, np.ones(shape))
        assert param.shape == shape
        assert param.dtype == np.float32


def keras(make: Make) -> None:
    """One step on positive gradients; decay of one scalar under zero gradients; five steps on positive gradients."""
    param = stepped(started(make(), [1.0, 2.0, 3.0, 4.0], lr=0.5), [1.0, 6.0, 7.0, 2.0])
    np.testing.assert_allclose(param, [0.5, 1.5, 2.5, 3.5], rtol=1e-4, atol=1e-4)
    decayed = 2.0
    for _ in range(3):
        decayed = stepped(started(make(), decayed, lr=1.0, weight_decay=0.004), 0.0)
    np.testing.assert_almost_equal(decayed, 1.9760959, decimal=6)
    port = started(make(), np.ones(10))
    param = stepped(port, np.full(10, 0.01))
    for wanted in (0.999, 0.998, 0.997, 0.996, 0.995):
        np.testing.assert_allclose(param, wanted, rtol=5e-4, atol=5e-4)
        param = stepped(port, np.arange(0.1, 1.05, 0.1))


def deepspeed(make: Make) -> None:
    """After ten steps the norms of the parameters agree within one percent."""
    rng = np.random.default_rng(0)
    for size in (64, 22, 128, 1024, 1048576):
        start = rng.standard_normal(size)
        ours, theirs = (started(port, start, betas=(0.9, 0.999)) for port in (right(), make()))
        for _ in range(10):
            grad = rng.standard_normal(size)
            one, two = stepped(ours, grad), stepped(theirs, grad)
        norm = np.linalg.norm(one)
        np.testing.assert_allclose(np.linalg.norm(two), norm, rtol=1e-7, atol=1e-2 * norm)


def deepspeed_strided(make: Make) -> None:
    """A transposed parameter of 30 elements, three steps, parameter and momentum by element."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal((6, 5)).T
    ours, theirs = (started(port, start, lr=1e-2) for port in (right(), make()))
    for _ in range(3):
        grad = rng.standard_normal((5, 6))
        one, two = stepped(ours, grad), stepped(theirs, grad)
    np.testing.assert_allclose(two, one, rtol=1.3e-6, atol=1e-5)
    np.testing.assert_allclose(theirs.momentum()["w"], ours.momentum()["w"], rtol=1.3e-6, atol=1e-5)


def optax_mode(make: Make) -> None:
    """The first update is the sign of (1 − b1)·g + b1·0."""
    grad = np.array([0.2, -2.0, 0.5, -0.8])
    update = -stepped(started(make(), np.zeros(4), lr=1.0, betas=(0.5, 0.9)), grad)
    np.testing.assert_allclose(update, np.sign((1.0 - 0.5) * grad), rtol=1e-6)


def optax_convergence(make: Make) -> None:
    """10 000 steps on a parabola and on Rosenbrock's function end within 0.03 of the minimum."""
    goal = np.array([1.0, -1.0, 1.0])
    descend(make(), [-1.0, 10.0, 1.0], lambda p: 2 * (p - goal), goal)
    descend(make(), [0.0, 0.0], rosenbrock_gradient, np.ones(2))


def rosenbrock_gradient(p: np.ndarray) -> np.ndarray:
    slope = 200 * (p[1] - p[0] ** 2)
    return np.array([-2 * (1 - p[0]) - 2 * p[0] * slope, slope])


def descend(port: Any, start: Any, gradient: Callable[[np.ndarray], np.ndarray], goal: np.ndarray) -> None:
    started(port, start, lr=1e-2, weight_decay=1e-4)
    param = np.asarray(start, np.float32)
    for _ in range(10_000):
        param = stepped(port, gradient(param))
    np.testing.assert_allclose(param, goal, rtol=3e-2, atol=3e-2)


def bitsandbytes(half: bool, weight_decay: float) -> Callable[[Make], None]:
    """Twenty steps on 1024 × {32, 1024, 1}; up to 15 wrong elements; the momentum too where the decay is 0."""
    atol, rtol = (1e-3, 1e-2) if half else (1e-6, 1e-5)
    rounded = bfloat16 if half else np.asarray

    def suite(make: Make) -> None:
        rng = np.random.default_rng(0)
        for columns in (32, 1024, 1):
            shape = (1024, columns)
            start = rounded(np.float32(0.1) * rng.standard_normal(shape, np.float32))
            ours, theirs = (started(port, start, lr=1e-4, weight_decay=weight_decay) for port in (right(), make()))
            for _ in range(20):
                grad = rounded(np.float32(0.01) * rng.standard_normal(shape, np.float32))
                one, two = stepped(ours, grad), rounded(stepped(theirs, grad))
                if not weight_decay:
                    np.testing.assert_allclose(theirs.momentum()["w"], ours.momentum()["w"], rtol=rtol, atol=atol)
                assert np.sum(~np.isclose(two, one, rtol=rtol, atol=atol)) <= 15
                if half:
                    ours.p["w"][...] = theirs.p["w"][...] = rounded(one)

    suite.__doc__ = bitsandbytes.__doc__
    return suite


def this_suite(make: Make) -> None:
    """``signopt check --profile standard``."""
    assert check(make(), diagnose=False).verdict == "pass"


SUITES: dict[str, tuple[Callable[[Make], None], str]] = {
    "mlx": (mlx, "looks at shapes and dtypes"),
    "DeepSpeed": (deepspeed, "compares norms at 1 %"),
    "optax, modes": (optax_mode, "one step from zero; the expected value is the same expression"),
    "bitsandbytes bfloat16, λ = 0.1": (bitsandbytes(half=True, weight_decay=0.1), "atol 1e-3 is ten times lr"),
    "bitsandbytes bfloat16, λ = 0": (bitsandbytes(half=True, weight_decay=0.0), "atol 1e-3 is ten times lr"),
    "keras": (keras, "all gradients positive"),
    "DeepSpeed, non-contiguous": (deepspeed_strided, "no decay, no zeros, 30 elements"),
    "optax, convergence": (optax_convergence, "a wrong rule converges too"),
    "bitsandbytes float32, λ = 0": (bitsandbytes(half=False, weight_decay=0.0), "15 wrong elements allowed, no decay"),
    "bitsandbytes float32, λ = 0.1": (bitsandbytes(half=False, weight_decay=0.1), "15 wrong elements allowed"),
    "signopt": (this_suite, "exact arithmetic, constructed inputs"),
}


def kills(suite: Callable[[Make], None], make: Make) -> bool:
    try:
        with np.errstate(all="ignore"):
            suite(make)
    except AssertionError:
        return True
    return False


def measure() -> dict[str, list[bool]]:
    """For each suite, which of the wrong ports it rejects; every suite must accept the right one."""
    wrong = {variant.id: variant for variant in MUTANTS["lion"]}
    for name, (suite, _) in SUITES.items():
        if kills(suite, right):
            raise RuntimeError(f"{name} rejects the right port")
    return {name: [kills(suite, wrong[key]) for key in WRONG] for name, (suite, _) in SUITES.items()}


def table(measured: dict[str, list[bool]]) -> str:
    lines = [f"| tests of | rejected of {len(WRONG)} | wrong ports that pass | why |", "|---|---|---|---|"]
    for name, killed in measured.items():
        passing = ", ".join(key for key, dead in zip(WRONG, killed, strict=True) if not dead)
        lines.append(f"| {name} | {sum(killed)} | {passing or '–'} | {SUITES[name][1]} |")
    return "\n".join(lines)


def picture(measured: dict[str, list[bool]]) -> str:
    cells = [[KILLED if dead else RIGHT for dead in killed] for killed in measured.values()]
    notes = [f"{sum(killed)} of {len(WRONG)}" for killed in measured.values()]
    grid = Grid("Which wrong Lion ports do the tests of Lion ports reject?", list(measured), WRONG, cells, notes)
    return draw([grid], {"rejected": KILLED, "passes the tests": RIGHT})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, help="where to draw the table, as SVG")
    arguments = parser.parse_args()
    results = measure()
    if arguments.picture:
        arguments.picture.write_text(picture(results), encoding="utf-8")
    print(table(results))
