"""Whether the suite accuses a right Muon: every right port, every check, many seeds, four dtypes.

    python docs/muon_rates/right.py [--seeds 20] [--first 0] [--dtype bfloat16] [--quick] [--only CHECK] [--port NAME]
    python docs/muon_rates/right.py --every 6        # each seed with a sixth of the ports, another one for each

A port that declares no 16-bit dtype is asked for it all the same: then it computes in float32, and stores 16 bits.
What a port is given is recorded: a check that gives a port the same with the first two seeds is not run with others.
The last lines say what each check cost, and with how many seeds it was run.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from typing import cast as typed

import numpy as np

from signopt.conformance import check
from signopt.conformance.numpy_ports import RIGHT_PORTS, Variant
from signopt.conformance.numpy_ports.wrappers import Wrapper, declaring
from signopt.conformance.oracle.muon.habits import MuonHabits
from signopt.conformance.oracle.muon.judge import MuonJudge
from signopt.conformance.oracle.rules import RULES
from signopt.conformance.oracle.rules.muon import Muon
from signopt.conformance.oracle.step import Judged, Step
from signopt.conformance.report import CheckResult, Report
from signopt.conformance.suite import select

DTYPES = ("float32", "float64", "bfloat16", "float16")
SINGLE = ("float32-hyper", "float32-complement")
"""Ports of float32 alone: with their hyperparameters rounded to it, undeclared, they are wrong in float64."""

_COSTLY = """
    carried/fresh carried/given carried/on carried/repeatable changed/others changed/rate changed/under-one-gradient
    crossed/axes crossed/default crossed/identity handed/gradients handed/parameters identity/axes identity/betas
    identity/decay identity/digits identity/epsilons identity/large identity/look-ahead identity/many-steps
    identity/momentum identity/sizes iteration/axes iteration/crossed-decay iteration/default iteration/digits
    iteration/patterns iteration/scale iteration/several iteration/zero matrices/eleven matrices/forty matrices/names
    matrices/square matrices/twins polynomial/crossed polynomial/large-sides polynomial/list polynomial/sides
    polynomial/steps spreading/inf-gradient turning/longer turning/look-ahead turning/plain
"""
COSTLY = frozenset(_COSTLY.split())
"""The half of the checks that takes seven eighths of the time."""


class Recording(Wrapper):
    """A port that keeps a digest of what it is given."""

    def __init__(self, port: Any) -> None:
        super().__init__(port)
        self._digest = hashlib.sha256()
        if hasattr(port, "configure"):
            self.configure = self._configure

    def init(self, params: Any, hyper: Mapping[str, Any], momentum: Any = None) -> None:
        """Note everything, and pass it on."""
        self._note("init", params, hyper, momentum or {})
        super().init(params, hyper, momentum)

    def step(self, grads: Any) -> None:
        """Note the gradients, and pass them on."""
        self._note("step", grads)
        super().step(grads)

    def _configure(self, hyper: Mapping[str, Any]) -> None:
        self._note("configure", hyper)
        self.port.configure(hyper)  # type: ignore[attr-defined]

    def _note(self, call: str, *given: Mapping[str, Any]) -> None:
        self._digest.update(call.encode())
        for name, value in (item for mapping in given for item in mapping.items()):
            shown = (value.shape, value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else value
            self._digest.update(repr((name, shown)).encode())

    def taken(self) -> str:
        """The digest since it was last taken."""
        digest, self._digest = self._digest.hexdigest(), hashlib.sha256()
        return digest


class Remembering(MuonJudge):
    """A judge that gives its verdict on a step again if another port, which declares the same, has taken the same."""

    verdicts: ClassVar[dict[Any, tuple[Judged, Any]]] = {}

    def __call__(self, step: Step) -> Judged:
        """The verdict, and the forms that it leaves."""
        learnt = self._habits.learnt
        if step.new_momenta is None or not all(memory.low is memory.high for memory in step.memory.values()):
            return super().__call__(step)
        arrays = [step.params, step.grads, step.new_params, step.new_momenta]
        arrays.append({name: memory.low for name, memory in step.memory.items()})
        key = (
            repr((step.hyper, self._habits, [list(each) for each in arrays])),
            *((a.shape, a.dtype.str, a.tobytes()) for each in arrays for a in each.values()),
        )
        if key not in self.verdicts:
            self.verdicts[key] = super().__call__(step), learnt.forms
        judged, learnt.forms = self.verdicts[key]
        self._hidden, self._returned = {}, judged.memory
        return judged


class RememberingMuon(Muon):
    """The rule with that judge."""

    def judge(self, habits: MuonHabits) -> MuonJudge:
        """See `Optimizer.judge`."""
        return Remembering(habits)


class Count:
    """The checks in one dtype: by check how often it was run, judged something, with which seeds and at what cost."""

    def __init__(self, dtype: str, identifiers: list[str]) -> None:
        self.dtype, self.identifiers = dtype, identifiers
        self.runs: Counter[str] = Counter()
        self.judged: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.seeds: defaultdict[str, set[int]] = defaultdict(set)
        self.accused = 0
        self._first: dict[tuple[str, str], tuple[int, str]] = {}
        self._same: set[tuple[str, str]] = set()

    def run(self, variant: Variant, seed: int) -> None:
        """Every check of one port whose numbers may depend on the seed; print what failed or could not run."""
        port = Recording(variant() if self.dtype in variant.dtypes else declaring(variant(), dtypes=[self.dtype]))
        left = [name for name in self.identifiers if (variant.id, name) not in self._same]
        if not left:
            return
        begun = time.process_time()

        def note(result: CheckResult, *_: int) -> None:
            nonlocal begun
            begun, before = time.process_time(), begun
            self._note(variant.id, result, seed, port.taken(), begun - before)

        report = check(port, dtypes=[self.dtype], only=left, seed=seed, diagnose=False, progress=note)
        if report.verdict != "pass":
            self.accused += 1
            print(f"ACCUSED {variant.id} in {self.dtype}, seed {seed}: {report.verdict}", *_why(report), flush=True)

    def _note(self, port: str, result: CheckResult, seed: int, digest: str, seconds: float) -> None:
        first, before = self._first.setdefault((port, result.id), (seed, digest))
        if first != seed and before == digest:
            self._same.add((port, result.id))
        self.runs[result.id] += 1
        self.judged[result.id] += result.status == "passed"
        self.seconds[result.id] += seconds
        self.seeds[result.id].add(seed)

    def table(self) -> Iterator[str]:
        """A line for each check, cheapest first."""
        for name in sorted(self.runs, key=lambda each: self.seconds[each]):
            counted = f"{self.runs[name]:5} runs, {self.judged[name]:5} judged, {len(self.seeds[name])} seeds"
            yield f"{self.dtype:9} {name:32} {counted}, {self.seconds[name]:.1f} s"


def _why(report: Report) -> Iterator[str]:
    yield from report.obstacles
    for result in report.checks:
        if result.status in ("failed", "not_run"):
            yield f"\n  {result.id}: {result.failures[0].message if result.failures else result.reason}"


def ports(dtype: str, named: list[str] | None) -> list[Variant]:
    """The right ports that are asked for, but for those that are right in float32 arithmetic only."""
    right = [each for each in RIGHT_PORTS["muon"] if dtype != "float64" or each.id not in SINGLE]
    return [each for each in right if named is None or each.id in named]


def chosen(only: list[str] | None, *, quick: bool) -> list[str]:
    """The checks of profile standard that are asked for, by id or group."""
    return [each.id for each in select("muon", "standard", only) if not quick or each.id not in COSTLY]


def main() -> None:
    """Run all that is asked for, and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="by default all four")
    parser.add_argument("--only", nargs="+", metavar="CHECK", help="ids or groups of checks")
    parser.add_argument(
        "--quick", action="store_true", help="only the half of the checks that takes an eighth of the time"
    )
    parser.add_argument("--port", nargs="+", metavar="NAME", help="only these of the right ports")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th port, from another one each seed")
    options = parser.parse_args()
    np.seterr(all="ignore")
    typed(dict[str, Any], RULES)["muon"] = RememberingMuon()
    identifiers, counts = chosen(options.only, quick=options.quick), []
    for dtype in options.dtype or DTYPES:
        counts.append(Count(dtype, identifiers))
        for seed in range(options.first, options.first + options.seeds):
            Remembering.verdicts.clear()
            for variant in ports(dtype, options.port)[seed % options.every :: options.every]:
                counts[-1].run(variant, seed)
            print(f"{dtype}, seed {seed}: {sum(counts[-1].seconds.values()):.0f} s", flush=True)
    print("\n".join(line for count in counts for line in count.table()))
    runs, accused = sum(count.runs.total() for count in counts), sum(count.accused for count in counts)
    print(f"{runs} checks run on {len(RIGHT_PORTS['muon'])} right ports: {accused} times a port was accused")
    raise SystemExit(accused > 0)


if __name__ == "__main__":
    main()
