"""How many units of 16 bits an orthogonaliser of another kind turns or stretches X by.

    python docs/muon_rates/orthogonalizer.py [--matrices 500]

Random matrices of a condition of up to 100 go through polynomials other than that of the rule, in bfloat16 and
float16, in two orders. Every stored number is rounded to nearest, as ports do, or eight times to a random one of its
neighbours, so that any error may reach a whole ulp. What the suite measures of a port
(`signopt.conformance.oracle.muon.aligned.distances`) is printed in units of 16 bits times the condition times
√(rows · columns): it allows `UNITS_OF_16_BITS`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from signopt.conformance.oracle.formats import FORMATS, Format
from signopt.conformance.oracle.muon.aligned import UNITS_OF_16_BITS, WORST_CONDITION, distances
from signopt.conformance.oracle.muon.spread import Rounded, samples

Array: TypeAlias = Any
Triples = tuple[tuple[float, float, float], ...]
Rounding = Callable[[Array], Array]

SHAPES = ((2, 2), (2, 5), (3, 3), (4, 4), (4, 6), (6, 6))
POLYNOMIALS: dict[str, Triples] = {
    "cubic, 12 times": ((1.5, -0.5, 0.0),) * 12,
    "(2, −1.5, 0.5), 12 times": ((2.0, -1.5, 0.5),) * 12,
    "five of Dion": (
        (4.0848, -6.8946, 2.9270), (3.9505, -6.3029, 2.6377), (3.7418, -5.5913, 2.3037), (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    ),
    "Polar Express, of X over 1.02": (
        (8.1566 / 1.02, -22.4833 / 1.02**3, 15.8788 / 1.02**5), (4.0429, -2.8089, 0.5000), (3.8917, -2.7725, 0.5061),
        (3.2858, -2.3681, 0.4645), (2.3465, -1.7098, 0.4232),
    ),
}  # fmt: skip


@cache
def image(triples: Triples) -> tuple[float, float]:
    """The range of singular values that come out of those of the matrices below."""
    x = np.geomspace(1 / (WORST_CONDITION * 6), 1, 20_001)
    for a, b, c in triples:
        x = a * x + b * x**3 + c * x**5
    return float(x.min()), float(x.max())


def matrices(count: int) -> Iterator[Array]:
    """Random ones, with singular values spread evenly in their logarithm."""
    rng = np.random.default_rng(0)
    for index in range(count):
        rows, columns = SHAPES[index % len(SHAPES)]
        left, right = (np.linalg.qr(rng.standard_normal((side, rows)))[0] for side in (rows, columns))
        yield (left * WORST_CONDITION ** -rng.random(rows)) @ right.T


def nearest(dtype: Format) -> Rounding:
    """Rounding to nearest even."""
    return lambda values: np.asarray(values, np.float32).astype(dtype.dtype).astype(np.float64)


def units(u: Array, triples: Triples, dtype: Format, rounded: Rounding, count: int) -> float:
    """The most that one of ``count`` evaluations takes."""
    sigma, wanted = np.linalg.svd(u, compute_uv=False), image(triples)
    one = float(dtype.unit) * float(sigma[0] / sigma[-1]) * u.size**0.5
    away = (distances(x, u, wanted) for x in samples(u, triples, 1e-7, "add", rounded, count))
    return float(max(max(each.turned, each.stretched) for each in away) / one)


def row(triples: Triples, dtype: Format, count: int) -> str:
    """The cells of one line: to nearest, and to a random neighbour."""
    plain = [units(u, triples, dtype, nearest(dtype), 2) for u in matrices(count)]
    random = [units(u, triples, dtype, Rounded(dtype), 8) for u in matrices(count)]
    beyond = 100 * np.mean(np.array(random) > UNITS_OF_16_BITS)
    return f"{np.median(plain):.1f} | {max(plain):.1f} | {np.quantile(random, 0.99):.1f} | {beyond:.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrices", type=int, default=500)
    options = parser.parse_args()
    print(f"{options.matrices} matrices; allowed are {UNITS_OF_16_BITS} units")
    print("| polynomial | dtype | nearest: median | worst | random: 99 % are below | percent not allowed |")
    print("|---|---|---|---|---|---|")
    for name, triples in POLYNOMIALS.items():
        for key in ("bfloat16", "float16"):
            print(f"| {name} | {key} | {row(triples, FORMATS[key], options.matrices)} |", flush=True)


if __name__ == "__main__":
    main()
