"""The judge of Muon: every tensor of a step against `law`, in each form that the port may still have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from signopt.conformance.oracle.formats import format_of
from signopt.conformance.oracle.momentum import Momentum
from signopt.conformance.oracle.muon.aligned import comparable, misaligned
from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.exact import remembered
from signopt.conformance.oracle.muon.habits import MuonHabits
from signopt.conformance.oracle.muon.law import Expected, Forms, Known, expect, repeated
from signopt.conformance.oracle.muon.nonfinite import finite_momentum_faults, not_finite_faults, spread_faults
from signopt.conformance.oracle.muon.tensor import Tensor, distant_fault, outside, plain_fault, rounded_otherwise
from signopt.conformance.oracle.muon.units import Precision
from signopt.conformance.oracle.step import Fault, Judged, Step

__all__ = ["MuonJudge"]

Array = np.ndarray[Any, Any]


@dataclass
class _Found:
    """What a step comes to in one form: faults, what is known of the momenta, and elements by what judged them."""

    faults: list[Fault] = field(default_factory=list)
    kept: dict[str, Known | None] = field(default_factory=dict)
    by: Counter[str] = field(default_factory=Counter)


class MuonJudge:
    """Judges the steps of one life of a port; between them it keeps what is known of hidden momenta."""

    def __init__(self, habits: MuonHabits) -> None:
        self._habits = habits
        self._hidden: dict[Forms, dict[str, Known | None]] = {}
        self._returned: Mapping[str, Momentum] = {}

    def __call__(self, step: Step) -> Judged:
        """Judge one step in every form that is left; forms in which it is not legal are dropped, if any is left."""
        found = {forms: self._in_form(forms, step) for forms in self._habits.learnt.forms}
        legal = tuple(forms for forms, of in found.items() if not of.faults)
        chosen = min(found.values(), key=lambda of: len(of.faults))
        if legal:
            self._habits.learnt.forms = legal
        self._hidden = {forms: of.kept for forms, of in found.items()}
        self._returned = _memories(step, chosen.kept)
        return Judged(chosen.faults, self._returned, chosen.by)

    def after(self, step: Step, count: int) -> Judged:
        """What ``count`` steps like this one, from zero, have made of the momenta; the parameters are not judged."""
        found = {forms: self._repeated(forms, step, count) for forms in self._habits.learnt.forms}
        chosen = min(found.values(), key=lambda of: len(of.faults))
        self._hidden = {forms: of.kept for forms, of in found.items()}
        self._returned = _memories(step, chosen.kept)
        return Judged(chosen.faults, self._returned)

    def _repeated(self, forms: Forms, step: Step, count: int) -> _Found:
        found = _Found()
        for name in step.params:
            tensor = self._tensor(forms, step, name)
            precision = self._habits.precision(tensor.storage, tensor.momentum)
            known = repeated(tensor.g, count, float(step.hyper["beta"]), forms.momentum, precision)
            found.kept[name] = known
            if tensor.new_m is not None:
                exact = known.value.floats()
                far = np.abs(tensor.new_m - exact)
                found.faults += outside(tensor, "momentum", tensor.new_m, exact, far, known.slack)
                found.kept[name] = Known.shown(tensor.new_m)
        return found

    def _in_form(self, forms: Forms, step: Step) -> _Found:
        found = _Found()
        with np.errstate(all="ignore"):
            for name, param in step.params.items():
                if name not in step.grads:
                    faults, found.kept[name] = self._left_alone(forms, step, name)
                    found.faults += faults
                    continue
                tensor = self._tensor(forms, step, name)
                faults, found.kept[name], ground = _judged(tensor, step.hyper, forms, self._habits)
                found.faults += faults
                if ground:
                    found.by[ground] += param.size
        return found

    def _left_alone(self, forms: Forms, step: Step, name: str) -> tuple[list[Fault], Known | None]:
        """A tensor without a gradient: parameter and momentum stay, bit for bit."""
        alone = replace(step, grads={name: np.zeros_like(step.params[name])})
        tensor = self._tensor(forms, alone, name)
        same = np.array_equal(tensor.new_p, tensor.p, equal_nan=True)
        kept = tensor.new_m is None or tensor.known is None or _is_kept(tensor.new_m, tensor.known)
        message = "a tensor without a gradient must stay as it is"
        faults = [] if same else [plain_fault(tensor, "param", 0, tensor.new_p, "as before", message)]
        if not kept and tensor.new_m is not None:
            faults.append(plain_fault(tensor, "momentum", 0, tensor.new_m, "as before", message))
        return faults, tensor.known if faults else _after(tensor, None) or tensor.known

    def _tensor(self, forms: Forms, step: Step, name: str) -> Tensor:
        memory, new = step.memory[name], None if step.new_momenta is None else step.new_momenta[name]
        carried = self._returned.get(name) is memory and forms in self._hidden
        known = self._hidden[forms][name] if carried else _known(memory)
        p, g, new_p = (arrays[name].astype(np.float64) for arrays in (step.params, step.grads, step.new_params))
        storage = format_of(step.params[name].dtype)
        shown = None if new is None else new.astype(np.float64)
        old = memory.low if memory.low is memory.high else None
        return Tensor(
            name, p, g, known, old, new_p, shown, storage, memory.storage if new is None else format_of(new.dtype)
        )


def _is_kept(shown: Array, known: Known) -> bool:
    """Whether a momentum is still the one that was shown, or one that it may have been if it was not."""
    if not known.slack.any():
        return np.array_equal(shown, known.value.floats())
    return bool(np.isfinite(shown).all()) and bool(
        (np.abs((Block.of(shown) - known.value).floats()) <= known.slack).all()
    )


def _known(memory: Momentum) -> Known | None:
    """What a memory says; None if it is not finite."""
    if not (np.isfinite(memory.low).all() and np.isfinite(memory.high).all()):
        return None
    middle = memory.low / 2 + memory.high / 2
    return Known(Block.of(middle), np.where(memory.known, 0.0, (memory.high - memory.low) * 0.51))


def _memories(step: Step, kept: Mapping[str, Known | None]) -> dict[str, Momentum]:
    """What is known of the momenta after the step: as shown, else between two ends."""
    if step.new_momenta is not None:
        return {name: Momentum.shown(m, format_of(m.dtype)) for name, m in step.new_momenta.items()}
    memories = {}
    for name, known in kept.items():
        storage, shape = step.memory[name].storage, step.params[name].shape
        middle = np.full(shape, np.nan) if known is None else known.value.floats()
        slack = 0.0 if known is None else known.slack + np.spacing(np.abs(middle))
        memories[name] = Momentum(middle - slack, middle + slack, storage)
    return memories


def _judged(
    tensor: Tensor, hyper: Mapping[str, Any], forms: Forms, habits: MuonHabits
) -> tuple[list[Fault], Known | None, str]:
    """The fewest faults of a tensor, whichever momentum u is made of, its momentum afterwards, and what judged it.

    Nothing is said to have judged what has to be NaN, or has no elements.
    """
    if not tensor.p.size:
        return [], Known.shown(np.zeros(tensor.p.shape)), ""
    known = tensor.known
    if known is None or not np.isfinite(tensor.g).all():
        precision = habits.precision(tensor.storage, tensor.momentum)
        faults = [*not_finite_faults(tensor, hyper), *finite_momentum_faults(tensor, hyper, forms, precision)]
        if habits.orthogonalizer is not None:
            faults = [fault for fault in faults if fault.quantity == "momentum"]
        return faults, _after(tensor, None), ""
    precision = habits.precision(tensor.storage, tensor.momentum)
    p = np.where(np.isfinite(tensor.p), tensor.p, 0.0)
    readings = _readings(tensor, known, hyper, forms, precision)
    for least in (True, False):
        tried: list[list[Fault]] = []
        for read in readings:
            expected = expect(p, tensor.g, known, hyper, forms, precision, read, least=least)
            tried.append(_faults(tensor, expected, hyper, forms, habits, precision))
            if not tried[-1]:
                return [], _after(tensor, expected), _ground(tensor, expected, hyper, forms, habits)
    return min(tried, key=len), _after(tensor, expected), _ground(tensor, expected, hyper, forms, habits)


def _ground(
    tensor: Tensor, expected: Expected, hyper: Mapping[str, Any], forms: Forms, habits: MuonHabits
) -> str:  # fmt: skip
    """What the parameter was judged by: a key of the rule's `grounds`."""
    if habits.orthogonalizer is not None:
        return "units" if comparable(tensor.p, expected, hyper, forms) else "nothing"
    if not np.isfinite(expected.param_norm):
        return "nothing"
    measured = forms.decay.form == "spectral-svd" and hyper["lr"] and hyper["weight_decay"]
    return "units" if measured and expected.enclosure.ground == "radius" else expected.enclosure.ground


def _readings(
    tensor: Tensor, known: Known, hyper: Mapping[str, Any], forms: Forms, precision: Precision
) -> tuple[Block | None, ...]:
    """The momenta of which u may be made: as computed, or as shown if the storage has rounded it."""
    if not precision.momentum_rounding or tensor.new_m is None or not np.isfinite(tensor.new_m).all():
        return (None,)
    exact = remembered(known.value, Block.of(tensor.g), float(hyper["beta"]), forms.momentum)
    return exact, Block.of(tensor.new_m)


def _faults(
    tensor: Tensor, expected: Expected, hyper: Mapping[str, Any], forms: Forms, habits: MuonHabits,
    precision: Precision,
) -> list[Fault]:  # fmt: skip
    """What is wrong with a tensor of which all but the parameter is finite."""
    finite = np.isfinite(tensor.p)
    faults = list(_momentum_faults(tensor, expected)) or _stored_momentum_faults(tensor, expected, precision)
    if not finite.all() and habits.orthogonalizer is None:
        others = forms.decay.form == "plain" or not hyper["weight_decay"]
        faults += spread_faults(tensor, finite, expected, others)
    elif habits.orthogonalizer is not None and finite.all():
        faults += misaligned(
            tensor.name, tensor.p, tensor.new_p, expected, hyper, forms, habits.orthogonalizer, precision
        )
    elif habits.orthogonalizer is None and not _zero_over_zero(tensor, expected, hyper):
        faults += list(_param_faults(tensor, expected)) or _stored_faults(tensor, expected, precision)
    return faults


def _zero_over_zero(tensor: Tensor, expected: Expected, hyper: Mapping[str, Any]) -> bool:
    """Whether u and ε are zero and the parameter is what the formula gives then: NaN all over."""
    return not hyper["eps"] and not expected.u.ints.any() and bool(np.isnan(tensor.new_p).all())


def _after(tensor: Tensor, expected: Expected | None) -> Known | None:
    if tensor.new_m is not None:
        return Known.shown(tensor.new_m) if np.isfinite(tensor.new_m).all() else None
    return None if expected is None else expected.momentum


def _momentum_faults(tensor: Tensor, expected: Expected) -> Iterator[Fault]:
    if tensor.new_m is None or not np.isfinite(expected.momentum.slack).all():
        return
    away = (Block.of(tensor.new_m) - expected.momentum.value).floats() if np.isfinite(tensor.new_m).all() else None
    exact = expected.momentum.value.floats()
    far = np.abs(tensor.new_m - exact if away is None else away)
    yield from outside(tensor, "momentum", tensor.new_m, exact, far, expected.momentum.slack)


def _param_faults(tensor: Tensor, expected: Expected) -> Iterator[Fault]:
    """Every element within its slack, and all of them in Frobenius norm; nothing if no bound holds."""
    if not np.isfinite(expected.param_norm):
        return
    exact = expected.param.floats()
    clean = np.isfinite(tensor.new_p).all()
    far = np.abs((Block.of(tensor.new_p) - expected.param).floats() if clean else tensor.new_p - exact)
    faults = list(outside(tensor, "param", tensor.new_p, exact, far, expected.param_slack))
    norm = float(np.linalg.norm(far))
    if not faults and not norm <= expected.param_norm:
        at = int(np.argmax(far))
        message = (
            f"the parameter is off by {norm:.3g} in Frobenius norm; legal rounding reaches {expected.param_norm:.3g}"
        )
        faults.append(distant_fault(tensor, "param", at, tensor.new_p, exact, expected.param_slack, message))
    yield from faults


def _stored_faults(tensor: Tensor, expected: Expected, precision: Precision) -> list[Fault]:
    """A parameter of 16 bits that is no single rounding to nearest of anything within the slack of the arithmetic."""
    if not precision.storage_rounding or not np.isfinite(expected.param_norm):
        return []
    exact, flushed = expected.param.floats(), precision.flush * precision.tiny(tensor.storage)
    return rounded_otherwise(tensor, "param", tensor.new_p, exact, expected.unstored + flushed, tensor.storage)


def _stored_momentum_faults(tensor: Tensor, expected: Expected, precision: Precision) -> list[Fault]:
    """The same of a momentum, in what it is kept in."""
    if tensor.new_m is None or not precision.momentum_rounding or not np.isfinite(expected.fresh).all():
        return []
    exact, flushed = expected.momentum.value.floats(), precision.flush * precision.tiny(tensor.momentum)
    return rounded_otherwise(tensor, "momentum", tensor.new_m, exact, expected.fresh + flushed, tensor.momentum)
