"""Every way of rounding on every backend, for low-precision.md: python docs/low_precision/modes.py [TABLE ...].

The tables are ``modes``, ``words``, ``moments``, ``digits`` and ``characters``; those with marks in the page go there.
Times are CPU time of one process, of all its threads, so that other work on the machine changes them little.
"""

from __future__ import annotations

import functools
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import signopt

DOCS = Path(__file__).parents[1]
sys.path.insert(0, str(DOCS.parent))

Arrays = Mapping[str, np.ndarray[Any, Any]]

DTYPES = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16, "float32": np.float32}
MODES = (
    ("bfloat16", "nearest"),
    ("bfloat16", "stochastic"),
    ("bfloat16", "split"),
    ("float16", "nearest"),
    ("float16", "stochastic"),
)
RULES = {"Lion": signopt.Lion, "Signum": signopt.Signum, "Tiger": signopt.Tiger}
SMALL = {"kernel": (40, 33), "bias": (129,), "embeddings": (16, 9), "scale": ()}
SHAPES = {"kernel": (300, 403), "bias": (1003,), "embeddings": (129, 65), "scale": ()}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def tensors(dtype: str, seed: int, shapes: Mapping[str, tuple[int, ...]] = SHAPES) -> dict[str, Any]:
    """Normal numbers by name."""
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.standard_normal(shape)).astype(DTYPES[dtype]) for name, shape in shapes.items()}


def modes() -> str:
    """Bytes, bits and CPU time of each mode on each backend; Lion, momenta as the parameters."""
    rows = []
    for dtype, rounding in MODES:
        reference = {rule: run(rule, dtype, rounding, "portable") for rule in RULES}
        for backend in ("numpy", "numba"):
            compared = [difference(reference[rule], run(rule, dtype, rounding, backend)) for rule in RULES]
            counts = [sum(column) for column in zip(*compared, strict=True)]
            ratios = [beside_nearest(dtype, rounding, backend, threads) for threads in (1, 2)]
            rows.append([rounding, dtype, backend, bytes_an_element(dtype, rounding), *ratios, *counts])
        small = {rule: run(rule, dtype, rounding, "portable", SMALL, 2) for rule in RULES}
        compared = [difference(small[rule], on_host_device(rule, dtype, rounding)) for rule in RULES]
        counts = [sum(column) for column in zip(*compared, strict=True)]
        rows.append([rounding, dtype, "CUDA kernels on the host", bytes_an_element(dtype, rounding), "–", "–", *counts])
    head = ["rounding", "dtype", "backend", "bytes of parameter and state", "time, 1 thread", "2 threads"]
    return table([*head, "elements compared", "differ"], rows)


def run(
    rule: str, dtype: str, rounding: str, backend: str, shapes: Mapping[str, tuple[int, ...]] = SHAPES, steps: int = 5
) -> dict[str, Any]:
    """Parameters, momenta and low halves after some steps."""
    opt = RULES[rule](tensors(dtype, 0, shapes), rounding=rounding, seed=7, backend=backend)
    for step in range(steps):
        opt.step(tensors(dtype, 100 + step, shapes))
    return written(opt, np.asarray)


def on_host_device(rule: str, dtype: str, rounding: str) -> dict[str, Any]:
    """The same by the CUDA kernels, whose PTX runs on the host (tests/cupy_on_cpu)."""
    import_module("tests.cupy_on_cpu").install()
    cupy = import_module("cupy")
    params = {name: cupy.asarray(array) for name, array in tensors(dtype, 0, SMALL).items()}
    opt = RULES[rule](params, rounding=rounding, seed=7)
    for step in range(2):
        opt.step({name: cupy.asarray(array) for name, array in tensors(dtype, 100 + step, SMALL).items()})
    return written(opt, cupy.asnumpy)


def written(opt: Any, as_numpy: Callable[[Any], Any]) -> dict[str, Any]:
    """All that a step writes."""
    kinds = {"param": opt.params, "momentum": opt.momentum, "rest": opt.rests}
    return {f"{kind} {name}": as_numpy(array) for kind, arrays in kinds.items() for name, array in arrays.items()}


def difference(one: Arrays, other: Arrays) -> tuple[int, int]:
    """Elements compared, and how many have other bits."""
    pairs = [(array.reshape(-1).view(np.uint8), other[name].reshape(-1).view(np.uint8)) for name, array in one.items()]
    sizes = [array.itemsize for array in one.values()]
    differ = [int((a != b).reshape(-1, size).any(axis=1).sum()) for (a, b), size in zip(pairs, sizes, strict=True)]
    return sum(array.size for array in one.values()), sum(differ)


def bytes_an_element(dtype: str, rounding: str) -> str:
    """What an optimizer keeps for each element of its parameters."""
    opt = signopt.Lion(tensors(dtype, 0), rounding=rounding)
    arrays = written(opt, np.asarray)
    return f"{sum(array.nbytes for array in arrays.values()) / sum(p.size for p in opt.params.values()):g}"


def beside_nearest(dtype: str, rounding: str, backend: str, threads: int, count: int = 1 << 20) -> str:
    """The median ratio of CPU times of a step of Lion beside those of a step to nearest, in alternating rounds."""
    steps = [step_of_lion(dtype, mode, backend, threads, count) for mode in ("nearest", rounding)]
    times = cpu_times(steps, 22 if backend == "numba" else 4)
    return f"{np.median(times[:, 1] / times[:, 0]):.2f}"


def step_of_lion(dtype: str, rounding: str, backend: str, threads: int, count: int, scale: float = 1) -> Any:
    """A step on ``count`` elements, normal numbers times ``scale``, that can be repeated."""
    grads = tensors(dtype, 1, {"w": (count,)})
    params = {"w": (scale * tensors(dtype, 0, {"w": (count,)})["w"].astype(np.float32)).astype(DTYPES[dtype])}
    opt = signopt.Lion(params, lr=1e-4 * scale, rounding=rounding, backend=backend)
    opt._binding.backend.threads = threads  # type: ignore[attr-defined]
    return functools.partial(opt.step, grads)


def cpu_times(calls: Sequence[Callable[[], object]], rounds: int) -> Any:
    """CPU times in ns, a row for each round but the first, in which everything is compiled."""
    times = np.zeros((rounds, len(calls)))
    for row in times:
        for place, call in enumerate(calls):
            start = time.process_time_ns()
            call()
            row[place] = time.process_time_ns() - start
    return times[1:]


def words(count: int = 1 << 20) -> str:
    """What the random words alone cost; Numba, one thread, Lion."""
    rows = []
    for dtype, scale in (("bfloat16", 1.0), ("float16", 1.0), ("float16", 0.02), ("float16", 0.0)):
        steps = [step_of_lion(dtype, mode, "numba", 1, count, scale) for mode in ("nearest", "stochastic")]
        nearest, stochastic, drawn = np.median(cpu_times([*steps, drawing(dtype, count)], 42), axis=0) / count
        shown = (nearest, drawn, stochastic, drawn / nearest, stochastic / nearest)
        rows.append([dtype, f"{scale:g}", *(f"{each:.2f}" for each in shown)])
    head = ["dtype", "standard deviation", "nearest", "words alone", "stochastic", "words / nearest"]
    return table([*head, "stochastic / nearest"], rows)


def drawing(dtype: str, count: int, at_once: int = 1 << 17) -> Callable[[], None]:
    """A call that makes the words of so many elements, of 16 bits for bfloat16 and of 32 for float16."""
    from signopt.backends._numba_rounding import Draws, _draw

    like, per_block = (np.uint16(0), 8) if dtype == "bfloat16" else (np.int16(0), 4)
    address = (room := np.zeros(at_once + 64, np.uint32)).ctypes.data
    draws = Draws(np.uint32(1), np.uint32(2), np.uint32(3), np.zeros(1, np.int64))

    def draw(room: object = room) -> None:  # room has an owner as long as draw has
        for first in range(0, count, at_once):
            _draw(address, first // per_block, at_once // per_block, draws, 0, (address,) * 3, (like,) * 3)

    return draw


def moments(count: int = 1 << 20, lr: float = 3e-4) -> str:
    """Errors of one step's update, in standard errors, and its variance beside f(1 − f)·spacing²."""
    rows = []
    for dtype in ("bfloat16", "float16"):
        for rule, seed in (("Lion", 3), ("Lion", 4), ("Signum", 5)):
            start = tensors(dtype, 0, {"w": (count,)})
            grad = tensors(dtype, 1, {"w": (count,)})
            wide = {"w": start["w"].astype(np.float32)}
            exact = RULES[rule](wide, lr=lr)
            exact.step({"w": grad["w"].astype(np.float32)})
            stored = {"w": start["w"].copy()}
            opt = RULES[rule](stored, lr=lr, rounding="stochastic", seed=seed)
            opt.step(grad)
            rows.append([rule, dtype, *shown(wide["w"].astype(np.float64), stored["w"], DTYPES[dtype])])
    head = ["rule", "dtype", "elements", "error of the mean, in standard errors", "variance found / expected"]
    return table([*head, "standard error of that"], rows)


def shown(exact: Any, stored: Any, dtype: Any) -> list[object]:
    """What of one rounding is compared with theory: E = exact, Var = f(1 − f)·spacing²."""
    bits = np.abs(exact).astype(np.float32).astype(dtype).view(np.uint16)
    low = bits.view(dtype).astype(np.float64)
    bits = bits - (low > np.abs(exact)).astype(np.uint16)
    low, high = (each.view(dtype).astype(np.float64) for each in (bits, bits + np.uint16(1)))
    place = (np.abs(exact) - low) / (high - low)
    variance = place * (1 - place) * (high - low) ** 2
    error = stored.astype(np.float64) - exact
    fourth = place * (1 - place) * (1 - 3 * place * (1 - place)) * (high - low) ** 4
    spread = np.sqrt(np.sum(fourth - variance**2)) / variance.sum()
    z = error.sum() / np.sqrt(variance.sum())
    return [exact.size, f"{z:+.2f}", f"{np.sum(error**2) / variance.sum():.4f}", f"{spread:.4f}"]


RUNS = (("float32", "nearest"), *MODES)


def digits(seeds: int = 3, epochs: int = 30) -> str:
    """Losses of Lion on the digits, parameters stored in each way."""
    return losses(f"digits, epoch {epochs}", digits_loss, seeds, epochs)


def characters(seeds: int = 2, steps: int = 80) -> str:
    """Losses of Lion on the characters of the tutorial."""
    return losses(f"characters, the last 20 of {steps} steps", characters_loss, seeds, steps)


def losses(what: str, loss: Callable[[str, str, int, int], float], seeds: int, length: int) -> str:
    """Mean and standard deviation over seeds of the last training losses."""
    rows = []
    for dtype, rounding in RUNS:
        found = [loss(dtype, rounding, seed, length) for seed in range(seeds)]
        rows.append([rounding, dtype, f"{np.mean(found):.4f} ± {np.std(found, ddof=1):.4f}"])
    return table(["rounding", "dtype", f"loss on {what}"], rows)


def digits_loss(dtype: str, rounding: str, seed: int, epochs: int) -> float:
    """The mean loss of the last epoch; the network computes in float32, its weights and their gradients are stored."""
    task = script("digits")
    images, labels, _, _ = task.data()
    params = {name: p.astype(DTYPES[dtype]) for name, p in task.network(seed).items()}
    opt = lion(params, rounding, seed, 1e-4)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(labels))
        epoch: list[float] = []
        for first in range(0, len(order), task.BATCH):
            batch = order[first : first + task.BATCH]
            loss, grads = task.loss_and_gradients(whole(opt), images[batch], labels[batch])
            opt.step({name: grad.astype(DTYPES[dtype]) for name, grad in grads.items()})
            epoch.append(loss)
    return float(np.mean(epoch))


def characters_loss(dtype: str, rounding: str, seed: int, steps: int) -> float:
    """The mean loss of the last twenty steps of the tutorial's transformer, in the same way."""
    import torch

    task = script("tutorial")
    model, rng, found = task.Transformer(seed), np.random.default_rng(seed), []
    named = dict(model.named_parameters())
    params = {name: p.detach().numpy().astype(DTYPES[dtype]) for name, p in named.items()}
    opt = lion(params, rounding, seed, 3e-4)
    for inputs, targets in task.batches(task.data()[0], rng, steps):
        with torch.no_grad():
            for name, values in whole(opt).items():
                named[name].copy_(torch.from_numpy(values))
        loss = task.loss_of(model, inputs, targets)
        model.zero_grad()
        loss.backward()
        opt.step({name: p.grad.numpy().astype(DTYPES[dtype]) for name, p in named.items()})
        found.append(float(loss.detach()))
    return float(np.mean(found[-20:]))


def lion(params: Arrays, rounding: str, seed: int, lr: float) -> Any:
    """One rule for all runs, so that only the storage of the parameters differs."""
    return signopt.Lion(params, lr=lr, weight_decay=0.1, rounding=rounding, seed=seed, momentum_dtype="float32")


def whole(opt: Any) -> dict[str, Any]:
    """The parameters as the network sees them: what is stored, which of a split master is the upper half."""
    return {name: p.astype(np.float32) for name, p in opt.params.items()}


@functools.cache
def script(folder: str) -> Any:
    """The module train.py of a folder of the documentation."""
    spec = spec_from_file_location(f"train_{folder}", DOCS / folder / "train.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"no train.py in {folder}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLES = {"modes": modes, "words": words, "moments": moments, "digits": digits, "characters": characters}


def main(wanted: Sequence[str]) -> None:
    """Put the tables called ``wanted``, or all, between their marks in ``low-precision.md``."""
    warnings.simplefilter("ignore")
    page = DOCS / "low-precision.md"
    for name in wanted or TABLES:
        made = TABLES[name]()
        print(made)
        before, mark, rest = page.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
        if not mark:
            continue
        page.write_text(f"{before}{mark}{made}\n{rest[rest.index('<!-- end -->') :]}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
