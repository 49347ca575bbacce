"""How often the judge of 16-bit Muons errs: false alarms, misses, and the mutants that it catches.

    python docs/muon_rates/measure.py trajectory [--matrices 100]
    python docs/muon_rates/measure.py mutants [--every 4] [--form parameters]
    python docs/muon_rates/measure.py restricted [--every 4] [--form hidden]

``trajectory`` takes random matrices through five applications in 16 bits: right ones, in several orders, and wrong
ones. For each it says in how many matrices some application leaves the bound of one application, which is what the
check ``trajectory/local`` asks, and in how many the end leaves twice the random spread, which it falls back on.
``mutants`` runs the suite over the wrong Muons of `signopt.conformance.mutants`, with iterations or parameters in 16
bits; ``restricted`` over the same in float32 as ports that can be asked less: that hide their momentum, do not let it
be set, have fixed what real ports have fixed, or take nothing but matrices.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from typing import Any, TypeAlias
from typing import cast as typed

import numpy as np

from signopt.conformance import check
from signopt.conformance.mutants import MUTANTS
from signopt.conformance.numpy_ports import hide_momentum, unsettable
from signopt.conformance.numpy_ports.muon import MuonPort
from signopt.conformance.numpy_ports.muon_forms import JORDAN, cast_to, narrow
from signopt.conformance.numpy_ports.wrappers import Wrapper
from signopt.conformance.oracle.formats import FORMATS
from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.exact import iterates, normalised
from signopt.conformance.oracle.muon.spread import scattered
from signopt.conformance.oracle.muon.trajectory import follows
from signopt.conformance.oracle.muon.units import Precision
from signopt.conformance.report import CheckResult

Array: TypeAlias = Any
Step = Callable[[Callable[[Array], Array], Array, float, float, float], Array]

SHAPES = ((1, 1), (1, 3), (2, 2), (2, 3), (3, 3))
STEPS = 5
LIKELY = 14


def plain(cast: Any, x: Array, a: float, b: float, c: float) -> Array:
    """bA + c(AA), every stored matrix rounded."""
    gram = cast(x @ x.T)
    return cast(cast(a * x) + cast(cast(cast(b * gram) + cast(c * cast(gram @ gram))) @ x))


def accumulated(cast: Any, x: Array, a: float, b: float, c: float) -> Array:
    """addmm: bA + cAA and aX + BX each rounded once."""
    gram = cast(x @ x.T)
    return cast(a * x + cast(b * gram + c * (gram @ gram)) @ x)


def horner(cast: Any, x: Array, a: float, b: float, c: float) -> Array:
    """(aI + (bI + cA)A)X."""
    gram, one = cast(x @ x.T), np.eye(x.shape[0], dtype=x.dtype)
    return cast(cast(a * one + cast(cast(b * one + cast(c * gram)) @ gram)) @ x)


def monomials(cast: Any, x: Array, a: float, b: float, c: float) -> Array:
    """aX + b(AX) + c(A(AX))."""
    gram = cast(x @ x.T)
    cube = cast(gram @ x)
    return cast(cast(cast(a * x) + cast(b * cube)) + cast(c * cast(gram @ cube)))


RIGHT: dict[str, Step] = {"plain": plain, "addmm": accumulated, "Horner": horner, "monomials": monomials}


def other(change: Callable[[float, float, float], tuple[float, float, float]]) -> Step:
    """The plain order with other coefficients."""
    return lambda cast, x, a, b, c: plain(cast, x, *change(a, b, c))


def transposed(cast: Any, x: Array, a: float, b: float, c: float) -> Array:
    """XᵀX on the left of square matrices."""
    gram = cast(x.T @ x) if x.shape[0] == x.shape[1] else cast(x @ x.T)
    return cast(cast(a * x) + cast(cast(cast(b * gram) + cast(c * cast(gram @ gram))) @ x))


WRONG: dict[str, Step] = {
    "the sign of c turned": other(lambda a, b, c: (a, b, -c)),
    "no c": other(lambda a, b, c: (a, b, 0.0)),
    "XᵀX for X·Xᵀ where square": transposed,
    "a = 3": other(lambda a, b, c: (3.0, b, c)),
    "(2, −1.5, 0.5)": other(lambda a, b, c: (2.0, -1.5, 0.5)),
    "b = −4.5": other(lambda a, b, c: (a, -4.5, c)),
    "a = 3.445": other(lambda a, b, c: (3.445, b, c)),
    "one application too many at the end": plain,
}


def course(step: Step, u: Array, dtype: str, extra: int = 0) -> list[Array]:
    """X after the norm and after each application; ``extra`` more are done in the last."""
    cast = cast_to(dtype)
    x = cast(cast(u) / cast(cast(np.linalg.norm(cast(u))) + np.float32(1e-7)))
    found = [x]
    for count in range(STEPS):
        for _ in range(1 + (extra if count == STEPS - 1 else 0)):
            x = step(cast, x, *(float(cast(np.float32(each))) for each in JORDAN))
        found.append(x)
    return found


def alarms(step: Step, dtype: str, matrices: int, extra: int = 0) -> tuple[int, int]:
    """In how many matrices a step leaves its bound, and in how many the end leaves twice the spread."""
    rng, precision, left, spread = np.random.default_rng(0), Precision.plain("float32", dtype), 0, 0
    for index in range(matrices):
        u = rng.standard_normal(SHAPES[index % len(SHAPES)]).astype(np.float32)
        found = [x.astype(np.float64) for x in course(step, u, dtype, extra)]
        pairs = list(pairwise(found))[1:]
        left += any(not follows(before, after, JORDAN, precision) for before, after in pairs)
        spread += outside(u.astype(np.float64), found[-1], dtype)
    return left, spread


def outside(u: Array, x: Array, dtype: str) -> bool:
    """Whether the end is further from the exact one than twice the random spread."""
    start, _, _ = normalised(Block.of(u), 1e-7, "add")
    exact = iterates(start, [JORDAN] * STEPS)[-1].floats()
    return bool(np.linalg.norm(x - exact) > scattered(u, exact, [JORDAN] * STEPS, 1e-7, "add", FORMATS[dtype]))


def trajectory(options: argparse.Namespace) -> None:
    """Print both rates for right and wrong iterations."""
    print(f"{options.matrices} random matrices of {', '.join(f'{r}×{c}' for r, c in SHAPES)}; alarms in percent")
    print("| iteration | | bfloat16: trajectory | spread | float16: trajectory | spread |\n|---|---|---|---|---|---|")
    for kind, table in (("right", RIGHT), ("wrong", WRONG)):
        for name, step in table.items():
            counted = [
                alarms(step, dtype, options.matrices, int("too many" in name)) for dtype in ("bfloat16", "float16")
            ]
            shown = (f"{100 * count / options.matrices:.0f}" for pair in counted for count in pair)
            print(f"| {name} | {kind} | {' | '.join(shown)} |", flush=True)


class _FoundError(Exception):
    """The first failure is enough."""


def caught(port: Any, dtype: str, only: list[str] | None = None) -> str:
    """The first check that fails, or nothing."""
    found: list[str] = []

    def note(result: CheckResult, *counted: int) -> None:
        if result.status == "failed":
            found.append(result.id)
            raise _FoundError

    with suppress(_FoundError), np.errstate(all="ignore"):
        check(port, dtypes=[dtype], diagnose=False, progress=note, only=only)
    return "".join(found)


def ports(every: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What is in 16 bits, the dtype of the parameters, and the mutants in that form."""
    chosen = [each for each in MUTANTS["muon"] if "float32" in each.dtypes and not each.id.startswith("iteration-")]
    for dtype in ("bfloat16", "float16"):
        narrowed = {each.id: narrow(typed(MuonPort, each()), dtype) for each in chosen[::every]}
        yield f"iteration in {dtype}", "float32", narrowed
        stored = {each.id: each.over(dtypes=[dtype]) for each in chosen[::every]}
        yield f"parameters and momentum in {dtype}", dtype, stored


DEFAULTS: dict[str, Any] = {"ns_coefficients": JORDAN, "ns_steps": STEPS, "eps": 1e-7}
ALL_DEFAULTS: dict[str, Any] = {**DEFAULTS, "beta": 0.95, "nesterov": True, "adjust_lr_fn": "original"}


class Fixed(Wrapper):
    """A port some of whose hyperparameters cannot be set."""

    def __init__(self, port: Any, values: Mapping[str, Any]) -> None:
        super().__init__(port, {"fixed": list(values)})
        self.values = values

    def init(self, params: Any, hyper: Mapping[str, Any], momentum: Any = None) -> None:
        """Start the inner port with its own values."""
        super().init(params, {**hyper, **self.values}, momentum)

    def configure(self, hyper: Mapping[str, Any]) -> None:
        """Change what can be changed."""
        typed(Any, self.port).configure({**hyper, **self.values})


class MatricesOnly(Wrapper):
    """A port that refuses tensors of three and more axes."""

    def init(self, params: Any, hyper: Mapping[str, Any], momentum: Any = None) -> None:
        """Start the inner port, if all are matrices or fewer axes."""
        if any(param.ndim > 2 for param in params.values()):
            raise ValueError("only matrices")
        super().init(params, hyper, momentum)

    def configure(self, hyper: Mapping[str, Any]) -> None:
        """Pass it on."""
        typed(Any, self.port).configure(hyper)


RESTRICTED: dict[str, Callable[[Any], Any]] = {
    "hidden momentum": hide_momentum,
    "momentum that cannot be set": unsettable,
    "hidden and not settable": lambda port: hide_momentum(unsettable(port)),
    "coefficients, their number and ε fixed": lambda port: Fixed(port, DEFAULTS),
    "matrices only": MatricesOnly,
    "only η and λ free, matrices only, hidden, not settable": lambda port: hide_momentum(
        unsettable(MatricesOnly(Fixed(port, ALL_DEFAULTS)))
    ),
}


def restricted(options: argparse.Namespace) -> None:
    """Print how many mutants are caught as ports that can be asked less, and which are not."""
    chosen = {each.id: each for each in MUTANTS["muon"] if {"float32", "float64"} <= {*each.dtypes}}
    chosen = {key: chosen[key] for key in list(chosen)[:: options.every]}
    print("| port | of | caught in float32 | or in float64 | not caught |\n|---|---|---|---|---|")
    for name, less in RESTRICTED.items():
        if name.startswith(options.form):
            single = missed({key: less(each()) for key, each in chosen.items()}, "float32")
            left = missed({key: less(chosen[key]()) for key in single}, "float64")
            listed, count = ", ".join(f"`{key}`" for key in left), len(chosen)
            caught_in = f"{count - len(single)} | {count - len(left)}"
            print(f"| {name} | {count} | {caught_in} | {listed or '–'} |", flush=True)


def missed(made: Mapping[str, Any], dtype: str) -> list[str]:
    """The ports that no check fails; the checks that have caught others come first."""
    before: Counter[str] = Counter()
    left = []
    for key, port in made.items():
        likely = [name for name, _ in before.most_common(LIKELY)]
        found = (caught(port, dtype, likely) if likely else "") or caught(port, dtype)
        before.update([found] if found else [])
        left += [] if found else [key]
    return left


def mutants(options: argparse.Namespace) -> None:
    """Print how many mutants are caught in each form, and which are not."""
    print("| in 16 bits | caught | of | not caught |\n|---|---|---|---|")
    for name, dtype, made in ports(options.every):
        if name.startswith(options.form):
            left = missed(made, dtype)
            listed = ", ".join(f"`{key}`" for key in left)
            print(f"| {name} | {len(made) - len(left)} | {len(made)} | {listed or '–'} |", flush=True)


def main() -> None:
    """Run one of the three."""
    np.seterr(all="ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("trajectory")
    one.add_argument("--matrices", type=int, default=100)
    one.set_defaults(command=trajectory)
    two = commands.add_parser("mutants")
    two.add_argument("--every", type=int, default=1, help="only every so many-th mutant")
    two.add_argument("--form", default="", choices=("", "iteration", "parameters"), help="what has 16 bits")
    two.set_defaults(command=mutants)
    three = commands.add_parser("restricted")
    three.add_argument("--every", type=int, default=1, help="only every so many-th mutant")
    three.add_argument("--form", default="", help="how the name of what is restricted begins")
    three.set_defaults(command=restricted)
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()
