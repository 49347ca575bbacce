"""Make the tables of ``gpu.md``: ``python docs/gpu_tables.py [NAME ...]``. Needs ``signopt[cuda-test]`` and gcc.

Nothing here touches a GPU. Machine code is what NVRTC emits, bytes are counted while the kernels' PTX runs on the host,
host times are of real CuPy with launches that do nothing.
"""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.cupy_on_cpu import HostDevice, install  # noqa: E402
from tests.cupy_on_cpu.machine_code import Function, disassemble  # noqa: E402

ARCHITECTURES = ("75", "80", "90", "100", "120")
FEWER = ("75", "80", "90", "120")
"""For the table of rounding modes."""
MODES = (
    ("stochastic", "bfloat16", "bfloat16"),
    ("stochastic", "bfloat16", "float32"),
    ("stochastic", "float16", "float16"),
    ("stochastic", "float16", "float32"),
    ("split", "bfloat16", "bfloat16"),
    ("split", "bfloat16", "float32"),
)
"""Rounding, and storage of the parameter and of the momentum."""
PAIRS = (
    ("float32", "float32", 20),
    ("float64", "float64", 40),
    ("float16", "float16", 10),
    ("bfloat16", "bfloat16", 10),
    ("float16", "float32", 14),
    ("bfloat16", "float32", 14),
)
"""Storage of the parameter and of the momentum, and the bytes per parameter of one pass: read θ, m, g; write θ, m."""
WIDTH = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
CARDS = {"H100 SXM (3.35 TB/s)": 3.35e12, "A100 80 GB (2.04 TB/s)": 2.039e12, "RTX 4060 Laptop (256 GB/s)": 256e9}
RULES = ("lion", "signum", "tiger")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def machine_code() -> str:
    """Every kernel × dtypes: what its machine code does, and its registers per architecture."""
    rows = []
    for rule in RULES:
        for param, momentum, _ in PAIRS:
            for name, functions in compiled(rule, param, momentum).items():
                moved = bytes_per_parameter(functions, rule, param, momentum)
                rows.append([f"`{name}`", param, momentum, moved, *flaws(functions)])
    head = ["kernel", "θ, g", "m", "bytes per parameter", "128-bit loads, stores", "stack", "spills", "FFMA"]
    return table([*head, *(f"sm_{architecture}" for architecture in ARCHITECTURES)], rows)


def rounding_modes() -> str:
    """The kernels that store parameters otherwise than to nearest: bytes beside those of nearest, from machine code."""
    rows = []
    for rule in RULES:
        for rounding, param, momentum in MODES:
            functions = compiled(rule, param, momentum, rounding, FEWER)[f"signopt_{rule}"]
            plain = compiled(rule, param, momentum, architectures=FEWER)[f"signopt_{rule}"]
            moved = bytes_per_parameter(functions, rule, param, momentum, rounding)
            before = bytes_per_parameter(plain, rule, param, momentum)
            ratio = f"{float(moved) / float(before):.2f}"
            rows.append([f"`signopt_{rule}`", rounding, param, momentum, moved, ratio, *flaws(functions)])
    head = ["kernel", "rounding", "θ, g", "m", "bytes per parameter", "beside nearest", "128-bit loads, stores"]
    return table([*head, "stack", "spills", "FFMA", *(f"sm_{architecture}" for architecture in FEWER)], rows)


def compiled(
    rule: str, param: str, momentum: str, rounding: str = "nearest", architectures: Sequence[str] = ARCHITECTURES
) -> dict[str, list[Function]]:
    """The kernels of one rule for one pair of dtypes, each for all architectures."""
    from signopt.backends._cuda_compile import compile_kernels

    by_architecture = [
        {f.name: f for f in disassemble(compile_kernels(rule, param, momentum, f"sm_{architecture}", rounding))}
        for architecture in architectures
    ]
    return {name: [kernels[name] for kernels in by_architecture] for name in by_architecture[0]}


def flaws(functions: Sequence[Function]) -> list[object]:
    """128-bit accesses, what should be zero, and registers."""
    wide = spread(functions, lambda f: f"{f.wide_loads}, {f.wide_stores}")
    zeros = [spread(functions, attrgetter(key)) for key in ("stack", "spills", "fused")]
    return [wide, *zeros, *(f.registers for f in functions)]


def bytes_per_parameter(
    functions: Sequence[Function], rule: str, param: str, momentum: str, rounding: str = "nearest"
) -> str:
    """From the 128-bit accesses of the main kernels; Tiger's has two more loops: one keeps θ and one keeps m."""
    if functions[0].name != f"signopt_{rule}":
        return "–"
    p, m, rest = WIDTH[param], WIDTH[momentum], 2 if rounding == "split" else 0
    other_loops = (p + 2 * m) + 2 * (p + rest) if rule == "tiger" else 0
    pack, one_pass = 16 // min(p, m), 3 * p + 2 * m + 2 * rest

    def moved(function: Function) -> int:
        """The compiler may write the loop that moves parameters out twice."""
        found = (function.wide_loads + function.wide_stores) * 16 // pack - other_loops
        return one_pass if found == 2 * one_pass else found

    return spread(functions, moved)


def spread(functions: Sequence[Function], of: Callable[[Function], object]) -> str:
    """One value where all architectures agree, else every one that occurs."""
    return " / ".join(dict.fromkeys(str(of(function)) for function in functions))


def executed_bytes(device: HostDevice) -> str:
    """Bytes that the kernels' PTX moves in 128-bit accesses per parameter, all launches of a step together."""
    rows = []
    for rule in RULES:
        for param, momentum, one_pass in PAIRS:
            rows.append([rule, param, momentum, one_pass, f"{traffic(device, rule, param, momentum):g}"])
    return table(["rule", "θ, g", "m", "one pass", "executed"], rows)


def traffic(device: HostDevice, rule: str, param: str, momentum: str) -> float:
    """Bytes per parameter of one step on one matrix of 2^18 elements."""
    opt, grads = optimizer(rule, [1 << 18], param, momentum)
    opt.step(grads)
    device.reset_log()
    opt.step(grads)
    return device.traffic / (1 << 18)


def optimizer(
    rule: str, sizes: Sequence[int], param: str = "float32", momentum: str = "float32"
) -> tuple[Any, list[Any]]:
    """An optimizer on arrays of ones, and gradients."""
    import cupy
    import numpy as np

    import signopt
    from tests.bits import DTYPES

    dtypes = {np.dtype(dtype).name: dtype for dtype in DTYPES}
    params, grads = ([cupy.asarray(np.ones(size, dtypes[param])) for size in sizes] for _ in range(2))
    options = {"roles": ["matrix"] + ["bias"] * (len(sizes) - 1)} if rule == "tiger" else {}
    make = {"lion": signopt.Lion, "signum": signopt.Signum, "tiger": signopt.Tiger}[rule]
    return make(params, momentum_dtype=dtypes[momentum], **options), grads


def host_cost(device: HostDevice) -> str:
    """Launches and host time per step, beside one ElementwiseKernel launch per tensor."""
    rows: list[list[object]] = []
    for tensors in (1, 148, 300, 1000):
        for rule in RULES:
            device.run_kernels = False
            opt, grads = optimizer(rule, [4] * tensors)
            fresh = iter([[grad.copy() for grad in grads] for _ in range(42)])
            opt.step(grads)
            device.run_kernels = True
            device.reset_log()
            opt.step(grads)
            launches = len(device.launches)
            device.run_kernels = False
            rows.append([rule, tensors, launches, microseconds(lambda: opt.step(grads), 5, repeat=60)])  # noqa: B023
            rows[-1].append(microseconds(lambda: opt.step(next(fresh)), 1, repeat=40))  # noqa: B023
        rows.append(["Lion, ElementwiseKernel per tensor", tensors, tensors, *elementwise(device, tensors)])
    return table(["step", "tensors", "launches", "µs, same gradient arrays", "µs, new gradient arrays"], rows)


def elementwise(device: HostDevice, tensors: int) -> tuple[str, str]:
    """Lion as most would write it in CuPy."""
    import cupy
    import numpy as np

    device.run_kernels = False
    kernel = cupy.ElementwiseKernel(
        "T g, float32 lr, float32 b1, float32 a1, float32 b2, float32 a2, float32 wd",
        "T p, T m",
        "float c = b1 * m + a1 * g; p -= lr * (((c > 0) - (c < 0)) + wd * p); m = b2 * m + a2 * g;",
        "lion_per_tensor",
    )
    triples = [[cupy.ones(4, dtype=cupy.float32) for _ in range(3)] for _ in range(tensors)]
    numbers = [np.float32(number) for number in (1e-4, 0.9, 0.1, 0.99, 0.01, 0.0)]

    def step() -> None:
        for p, g, m in triples:
            kernel(g, *numbers, p, m)

    step()
    time = microseconds(step, 5)
    device.run_kernels = True
    return time, time


def microseconds(call: Callable[[], object], number: int, repeat: int = 7) -> str:
    """The best time of one call."""
    return f"{min(timeit.repeat(call, number=number, repeat=repeat)) / number * 1e6:.0f}"


def roofline() -> str:
    """The time that memory traffic alone takes for 10^9 parameters."""
    rows = []
    for label, (param, _, one_pass) in {
        "float32": PAIRS[0],
        "16-bit": PAIRS[2],
        "16-bit, float32 momentum": PAIRS[4],
        "float64": PAIRS[1],
    }.items():
        for rule, moved in (("Lion, Signum", one_pass), ("Tiger, matrices", one_pass + 2 * WIDTH[param])):
            floors = [f"{moved * 1e9 / bandwidth * 1e3:.1f} ms" for bandwidth in CARDS.values()]
            rows.append([rule, label, moved, *floors])
    return table(["rule", "storage", "bytes per parameter", *CARDS], rows)


def main(wanted: Sequence[str]) -> None:
    """Put the tables called ``wanted``, or all, between their marks in ``gpu.md``."""
    device = install()
    makers: dict[str, Callable[[], str]] = {
        "roofline": roofline,
        "executed-bytes": lambda: executed_bytes(device),
        "host-cost": lambda: host_cost(device),
        "machine-code": machine_code,
        "rounding-modes": rounding_modes,
    }
    page = Path(__file__).with_name("gpu.md")
    for name in wanted or makers:
        made = makers[name]()
        before, mark, rest = page.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
        page.write_text(before + mark + made + rest[rest.index("\n<!-- end -->") :], encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
