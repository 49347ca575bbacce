"""All tensors after one step: the sieve first, then the judgement in fractions for what it left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from signopt.conformance.oracle.arithmetic import Array, exact_text, sign
from signopt.conformance.oracle.formats import format_of
from signopt.conformance.oracle.judge import Allowed, Judgement, judge, judge_shrink
from signopt.conformance.oracle.law import Law, Shrink
from signopt.conformance.oracle.momentum import Momentum, joined
from signopt.conformance.oracle.sieve import plainly_legal, plainly_shrunk, remembered
from signopt.conformance.oracle.step import Arrays, Fault, Judged, Step

__all__ = ["Joined", "Laws", "examine", "join"]

Laws = Sequence[tuple[Law | Shrink, list[str]]]
"""The laws of one step, each with the tensors that are under it."""

MOST_FAULTS = 3


@dataclass(frozen=True)
class Joined:
    """The tensors under one law as if they were one: flat float64 arrays; ``shown`` is None if it is hidden."""

    names: list[str]
    p: Array
    g: Array
    m: Momentum
    new_p: Array
    new_m: Array | None


@dataclass(frozen=True)
class _Wrong:
    """One element of the joined tensors that is not legal; ``judgement`` is None after a NaN: no direction."""

    index: int
    quantity: str
    allowed: Allowed
    got: float
    message: str
    judgement: Judgement | None = None


def examine(laws: Laws, step: Step) -> Judged:
    """The first few faults under each law, and what is known of the momenta afterwards."""
    faults: list[Fault] = []
    memory: dict[str, Momentum] = {}
    for law, names in laws:
        tensors = join(step, names)
        with np.errstate(all="ignore"):
            faults += [_fault(step, tensors, wrong) for wrong in islice(_wrong(law, tensors), MOST_FAULTS)]
            after = _after(law, tensors)
        memory |= after.cut({name: step.params[name].shape for name in names})
    return Judged(faults, memory)


def join(step: Step, names: list[str]) -> Joined:
    """The named tensors of a step, one after the other; a momentum that is shown is judged in its own dtype."""
    memory = joined([step.memory[name] for name in names])
    shown = None
    if step.new_momenta is not None:
        memory = replace(memory, storage=format_of(step.new_momenta[names[0]].dtype))
        shown = _flat(step.new_momenta, names)
    p, g, new_p = (_flat(tensors, names) for tensors in (step.params, step.grads, step.new_params))
    return Joined(names, p, g, memory, new_p, shown)


def _flat(tensors: Arrays, names: list[str]) -> Array:
    return np.concatenate([tensors[name].astype(np.float64).ravel() for name in names])


def _after(law: Law | Shrink, t: Joined) -> Momentum:
    if t.new_m is not None:
        return Momentum(t.new_m, t.new_m, t.m.storage)
    return remembered(law, t.g, t.m) if isinstance(law, Law) else t.m


def _fault(step: Step, t: Joined, wrong: _Wrong) -> Fault:
    """A wrong element with its tensor, its index there and its inputs."""
    at = wrong.index
    name, index = _place(step, t.names, at)
    low, high = float(t.m.low[at]).hex(), float(t.m.high[at]).hex()
    judged = wrong.judgement
    return Fault(
        name, index, wrong.quantity, str(wrong.allowed), wrong.got.hex(), wrong.message,
        {"p": float(t.p[at]).hex(), "g": float(t.g[at]).hex(), "m": low if low == high else [low, high]},
        "" if judged is None else exact_text(judged.direction), "nan" if judged is None else judged.region,
    )  # fmt: skip


def _place(step: Step, names: list[str], index: int) -> tuple[str, tuple[int, ...]]:
    """The tensor and the index in it of an element of the joined tensors."""
    for name in names:
        shape, size = step.params[name].shape, step.params[name].size
        if index < size:
            return name, tuple(int(i) for i in np.unravel_index(index, shape))
        index -= size
    raise IndexError(index)


def _wrong(law: Law | Shrink, t: Joined) -> Iterator[_Wrong]:
    if isinstance(law, Shrink):
        return _shrunk(law, t.p, t.m, t.new_p, t.new_m)
    return _stepped(law, t.p, t.g, t.m, t.new_p, t.new_m)


def _stepped(law: Law, p: Array, g: Array, m: Momentum, new_p: Array, new_m: Array | None) -> Iterator[_Wrong]:
    for i in np.flatnonzero(~plainly_legal(law, p, g, m, new_p, new_m)).tolist():
        ends = (float(m.low[i]), float(m.high[i]))
        judged = judge(law, float(p[i]), float(g[i]), ends, m.storage, law.rate_at(i))
        if float(new_p[i]) not in judged.param:
            yield _Wrong(
                i, "param", judged.param, float(new_p[i]), _sentence(judged, float(p[i]), float(new_p[i])), judged
            )
        if new_m is not None and float(new_m[i]) not in judged.momentum:
            yield _Wrong(i, "momentum", judged.momentum, float(new_m[i]), _kept(new_m[i], m.low[i]), judged)


def _shrunk(law: Shrink, p: Array, m: Momentum, new_p: Array, new_m: Array | None) -> Iterator[_Wrong]:
    for i in np.flatnonzero(~plainly_shrunk(law, p, new_p)).tolist():
        allowed = judge_shrink(law, float(p[i]))
        if float(new_p[i]) not in allowed:
            yield _Wrong(
                i, "param", allowed, float(new_p[i]), "after a NaN gradient the parameter must shrink to its centre"
            )
    if new_m is not None:
        for i in np.flatnonzero(~((new_m == m.low) | (np.isnan(new_m) & np.isnan(m.low)))).tolist():
            kept = Allowed(((float(m.low[i]), float(m.high[i])),))
            yield _Wrong(i, "momentum", kept, float(new_m[i]), "after a NaN gradient the momentum must keep its bits")


def _sentence(judged: Judgement, p: float, got: float) -> str:
    """What is wrong with a parameter, in words."""
    if judged.region == "nonfinite":
        return "the parameter is not what a non-finite input must give"
    if judged.signs == (0,):
        return "c is exactly 0, so the parameter may only decay"
    if len(judged.signs) > 1:
        return "c is within rounding of 0: the parameter must be one of the three candidates, and is none of them"
    if got == p:
        return "the parameter did not move"
    moved, wanted = sign(p - got), judged.signs[0]
    return "the parameter moved the wrong way" if moved == -wanted else "the parameter moved by a wrong amount"


def _kept(got: float, before: float) -> str:
    return "the momentum was not written" if got == before else "the momentum is wrong"
