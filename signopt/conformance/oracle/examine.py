"""One tensor after one step: the sieve first, then the judgement in fractions for what it left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from signopt.conformance.oracle.arithmetic import Array, sign
from signopt.conformance.oracle.judge import Allowed, Judgement, judge, judge_shrink
from signopt.conformance.oracle.law import Law, Shrink
from signopt.conformance.oracle.sieve import Momentum, plainly_legal, plainly_shrunk

__all__ = ["Fault", "examine"]

MOST_FAULTS = 3


@dataclass(frozen=True)
class Fault:
    """One element that is not legal. ``judgement`` is None after a NaN, where there is no direction."""

    index: int
    quantity: str
    allowed: Allowed
    got: float
    message: str
    judgement: Judgement | None = None


def examine(law: Law | Shrink, p: Array, g: Array, m: Momentum, new_p: Array, new_m: Array | None) -> list[Fault]:
    """The first few faults of flat float64 arrays under one law; empty where all is legal.

    The new momentum is None where it is hidden.
    """
    with np.errstate(all="ignore"):
        faults = _shrunk(law, p, m, new_p, new_m) if isinstance(law, Shrink) else _stepped(law, p, g, m, new_p, new_m)
        return list(islice(faults, MOST_FAULTS))


def _stepped(law: Law, p: Array, g: Array, m: Momentum, new_p: Array, new_m: Array | None) -> Iterator[Fault]:
    for i in np.flatnonzero(~plainly_legal(law, p, g, m, new_p, new_m)).tolist():
        ends = (float(m.low[i]), float(m.high[i]))
        judged = judge(law, float(p[i]), float(g[i]), ends, m.storage, law.rate_at(i))
        if float(new_p[i]) not in judged.param:
            yield Fault(
                i, "param", judged.param, float(new_p[i]), _sentence(judged, float(p[i]), float(new_p[i])), judged
            )
        if new_m is not None and float(new_m[i]) not in judged.momentum:
            yield Fault(i, "momentum", judged.momentum, float(new_m[i]), _kept(new_m[i], m.low[i]), judged)


def _shrunk(law: Shrink, p: Array, m: Momentum, new_p: Array, new_m: Array | None) -> Iterator[Fault]:
    for i in np.flatnonzero(~plainly_shrunk(law, p, new_p)).tolist():
        allowed = judge_shrink(law, float(p[i]))
        if float(new_p[i]) not in allowed:
            yield Fault(
                i, "param", allowed, float(new_p[i]), "after a NaN gradient the parameter must shrink to its centre"
            )
    if new_m is not None:
        for i in np.flatnonzero(~((new_m == m.low) | (np.isnan(new_m) & np.isnan(m.low)))).tolist():
            kept = Allowed(((float(m.low[i]), float(m.high[i])),))
            yield Fault(i, "momentum", kept, float(new_m[i]), "after a NaN gradient the momentum must stay bit for bit")


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
