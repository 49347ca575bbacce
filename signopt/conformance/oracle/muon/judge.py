"""The judge of Muon: every tensor of a step against `law`, in each form that the port may still have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from signopt.conformance.oracle.formats import Format, format_of
from signopt.conformance.oracle.momentum import Momentum
from signopt.conformance.oracle.muon.aligned import misaligned
from signopt.conformance.oracle.muon.blocks import Block
from signopt.conformance.oracle.muon.exact import remembered
from signopt.conformance.oracle.muon.habits import MuonHabits
from signopt.conformance.oracle.muon.law import Expected, Forms, Known, expect
from signopt.conformance.oracle.muon.units import Precision
from signopt.conformance.oracle.step import Fault, Judged, Step

__all__ = ["MuonJudge"]

Array = np.ndarray[Any, Any]
MOST_FAULTS = 3
_ON_THE_WAY = 2.0**-23
"""Of a result: what passing through float32 may change before it is rounded to 16 bits."""


@dataclass(frozen=True)
class _Tensor:
    """One tensor of a step, in float64; ``new_m`` is None if the momentum is hidden."""

    name: str
    p: Array
    g: Array
    known: Known | None
    new_p: Array
    new_m: Array | None
    storage: Format
    momentum: Format


class MuonJudge:
    """Judges the steps of one life of a port; between them it keeps what is known of hidden momenta."""

    def __init__(self, habits: MuonHabits) -> None:
        self._habits = habits
        self._hidden: dict[Forms, dict[str, Known | None]] = {}
        self._returned: Mapping[str, Momentum] = {}

    def __call__(self, step: Step) -> Judged:
        """Judge one step in every form that is left; forms in which it is not legal are dropped, if any is left."""
        found = {forms: self._in_form(forms, step) for forms in self._habits.learnt.forms}
        legal = tuple(forms for forms, (faults, _) in found.items() if not faults)
        chosen = min(found, key=lambda forms: len(found[forms][0]))
        if legal:
            self._habits.learnt.forms = legal
        self._hidden = {forms: kept for forms, (_, kept) in found.items()}
        self._returned = _memories(step, found[chosen][1])
        return Judged(found[chosen][0], self._returned)

    def _in_form(self, forms: Forms, step: Step) -> tuple[list[Fault], dict[str, Known | None]]:
        faults: list[Fault] = []
        kept: dict[str, Known | None] = {}
        with np.errstate(all="ignore"):
            for name in step.params:
                if name not in step.grads:
                    found, kept[name] = self._left_alone(forms, step, name)
                    faults += found
                    continue
                tensor = self._tensor(forms, step, name)
                found, kept[name] = _judged(tensor, step.hyper, forms, self._habits)
                faults += found
        return faults, kept

    def _left_alone(self, forms: Forms, step: Step, name: str) -> tuple[list[Fault], Known | None]:
        """A tensor without a gradient: parameter and momentum stay, bit for bit."""
        alone = replace(step, grads={name: np.zeros_like(step.params[name])})
        tensor = self._tensor(forms, alone, name)
        same = np.array_equal(tensor.new_p, tensor.p, equal_nan=True)
        old = None if tensor.known is None else tensor.known.value.floats()
        kept = tensor.new_m is None or old is None or np.array_equal(tensor.new_m, old)
        message = "a tensor without a gradient must stay as it is"
        faults = [] if same else [_plain(tensor, "param", 0, tensor.new_p, "as before", message)]
        if not kept and tensor.new_m is not None:
            faults.append(_plain(tensor, "momentum", 0, tensor.new_m, "as before", message))
        return faults, tensor.known

    def _tensor(self, forms: Forms, step: Step, name: str) -> _Tensor:
        memory, new = step.memory[name], None if step.new_momenta is None else step.new_momenta[name]
        carried = self._returned.get(name) is memory and forms in self._hidden
        known = self._hidden[forms][name] if carried else _known(memory)
        p, g, new_p = (arrays[name].astype(np.float64) for arrays in (step.params, step.grads, step.new_params))
        storage = format_of(step.params[name].dtype)
        shown = None if new is None else new.astype(np.float64)
        return _Tensor(
            name, p, g, known, new_p, shown, storage, memory.storage if new is None else format_of(new.dtype)
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
    tensor: _Tensor, hyper: Mapping[str, Any], forms: Forms, habits: MuonHabits
) -> tuple[list[Fault], Known | None]:
    """The fewest faults of a tensor, whichever momentum u is made of, and what is known of its momentum afterwards."""
    if not tensor.p.size:
        return [], Known.shown(np.zeros(tensor.p.shape))
    known = tensor.known
    if known is None or not np.isfinite(tensor.g).all():
        faults = list(_not_finite(tensor, hyper))
        if habits.orthogonalizer is not None:
            faults = [fault for fault in faults if fault.quantity == "momentum"]
        return faults, _after(tensor, None)
    precision = habits.precision(tensor.storage, tensor.momentum)
    p = np.where(np.isfinite(tensor.p), tensor.p, 0.0)
    readings = _readings(tensor, known, hyper, forms, precision)
    for least in (True, False):
        tried: list[list[Fault]] = []
        for read in readings:
            expected = expect(p, tensor.g, known, hyper, forms, precision, read, least=least)
            tried.append(_faults(tensor, expected, hyper, forms, habits, precision))
            if not tried[-1]:
                return [], _after(tensor, expected)
    return min(tried, key=len), _after(tensor, expected)


def _readings(
    tensor: _Tensor, known: Known, hyper: Mapping[str, Any], forms: Forms, precision: Precision
) -> tuple[Block | None, ...]:
    """The momenta of which u may be made: as computed, or as shown if the storage has rounded it."""
    if not precision.momentum_rounding or tensor.new_m is None or not np.isfinite(tensor.new_m).all():
        return (None,)
    exact = remembered(known.value, Block.of(tensor.g), float(hyper["beta"]), forms.momentum)
    return exact, Block.of(tensor.new_m)


def _faults(
    tensor: _Tensor, expected: Expected, hyper: Mapping[str, Any], forms: Forms, habits: MuonHabits,
    precision: Precision,
) -> list[Fault]:  # fmt: skip
    """What is wrong with a tensor of which all but the parameter is finite."""
    finite = np.isfinite(tensor.p)
    faults = list(_momentum_faults(tensor, expected)) or _stored_momentum_faults(tensor, expected, precision)
    if not finite.all() and habits.orthogonalizer is None:
        others = forms.decay.form == "plain" or not hyper["weight_decay"]
        faults += _spread_faults(tensor, finite, expected, others)
    elif habits.orthogonalizer is not None and finite.all():
        faults += misaligned(
            tensor.name, tensor.p, tensor.new_p, expected, hyper, forms, habits.orthogonalizer, precision
        )
    elif habits.orthogonalizer is None and not _zero_over_zero(tensor, expected, hyper):
        faults += list(_param_faults(tensor, expected)) or _stored_faults(tensor, expected, precision)
    return faults


def _zero_over_zero(tensor: _Tensor, expected: Expected, hyper: Mapping[str, Any]) -> bool:
    """Whether u and ε are zero and the parameter is what the formula gives then: NaN all over."""
    return not hyper["eps"] and not expected.u.ints.any() and bool(np.isnan(tensor.new_p).all())


def _after(tensor: _Tensor, expected: Expected | None) -> Known | None:
    if tensor.new_m is not None:
        return Known.shown(tensor.new_m) if np.isfinite(tensor.new_m).all() else None
    return None if expected is None else expected.momentum


def _momentum_faults(tensor: _Tensor, expected: Expected) -> Iterator[Fault]:
    if tensor.new_m is None or not np.isfinite(expected.momentum.slack).all():
        return
    away = (Block.of(tensor.new_m) - expected.momentum.value).floats() if np.isfinite(tensor.new_m).all() else None
    exact = expected.momentum.value.floats()
    far = np.abs(tensor.new_m - exact if away is None else away)
    yield from _outside(tensor, "momentum", tensor.new_m, exact, far, expected.momentum.slack)


def _param_faults(tensor: _Tensor, expected: Expected) -> Iterator[Fault]:
    """Every element within its slack, and all of them in Frobenius norm; nothing if no bound holds."""
    if not np.isfinite(expected.param_norm):
        return
    exact = expected.param.floats()
    clean = np.isfinite(tensor.new_p).all()
    far = np.abs((Block.of(tensor.new_p) - expected.param).floats() if clean else tensor.new_p - exact)
    faults = list(_outside(tensor, "param", tensor.new_p, exact, far, expected.param_slack))
    norm = float(np.linalg.norm(far))
    if not faults and not norm <= expected.param_norm:
        at = int(np.argmax(far))
        message = (
            f"the parameter is off by {norm:.3g} in Frobenius norm; legal rounding reaches {expected.param_norm:.3g}"
        )
        faults.append(_fault(tensor, "param", at, tensor.new_p, exact, expected.param_slack, message))
    yield from faults


def _stored_faults(tensor: _Tensor, expected: Expected, precision: Precision) -> list[Fault]:
    """A parameter of 16 bits that is no single rounding to nearest of anything within the slack of the arithmetic."""
    if not precision.storage_rounding or not np.isfinite(expected.param_norm):
        return []
    exact, flushed = expected.param.floats(), precision.flush * precision.tiny(tensor.storage)
    return _rounded_otherwise(tensor, "param", tensor.new_p, exact, expected.unstored + flushed, tensor.storage)


def _stored_momentum_faults(tensor: _Tensor, expected: Expected, precision: Precision) -> list[Fault]:
    """The same of a momentum, in what it is kept in."""
    if tensor.new_m is None or not precision.momentum_rounding or not np.isfinite(expected.fresh).all():
        return []
    exact, flushed = expected.momentum.value.floats(), precision.flush * precision.tiny(tensor.momentum)
    return _rounded_otherwise(tensor, "momentum", tensor.new_m, exact, expected.fresh + flushed, tensor.momentum)


def _rounded_otherwise(
    tensor: _Tensor, quantity: str, got: Array, exact: Array, away: Array, storage: Format
) -> list[Fault]:
    away = away + _ON_THE_WAY * np.abs(exact)
    low, high = ((exact + side * away).astype(np.float32).astype(storage.dtype).astype(np.float64) for side in (-1, 1))
    outside = np.flatnonzero(~((low <= got) & (got <= high)).ravel())[:MOST_FAULTS]
    what = "parameter" if quantity == "param" else quantity
    message = f"the {what} is not the exact value rounded once to {storage.name}, to nearest"
    return [
        _plain(tensor, quantity, at, got, f"{float(low.flat[at]).hex()} … {float(high.flat[at]).hex()}", message)
        for at in outside.tolist()
    ]


def _spread_faults(tensor: _Tensor, finite: Array, expected: Expected, others: bool) -> Iterator[Fault]:
    """A parameter that is not finite stays so; with ``others``, those of its tensor go their own way."""
    exact = expected.param.floats()
    far = np.abs(tensor.new_p - exact)
    inside = far <= expected.param_slack + 4 * np.spacing(np.abs(exact))
    if others and np.isfinite(expected.param_norm) and not inside[finite].all():
        at = int(np.flatnonzero(finite.ravel() & ~inside.ravel())[0])
        message = "a parameter that is not finite changes others of its tensor"
        yield _fault(tensor, "param", at, tensor.new_p, exact, expected.param_slack, message)
    if np.isfinite(tensor.new_p[~finite]).any():
        at = int(np.flatnonzero(~finite.ravel() & np.isfinite(tensor.new_p).ravel())[0])
        yield _plain(tensor, "param", at, tensor.new_p, "not finite", "a parameter that is not finite became finite")


def _not_finite(tensor: _Tensor, hyper: Mapping[str, Any]) -> Iterator[Fault]:
    """NaN or Inf in the gradient or the momentum: all of the parameter is NaN, and the momentum not finite there."""
    bad = ~np.isfinite(tensor.g)
    if tensor.new_m is not None and np.isfinite(tensor.new_m[bad]).any():
        at = int(np.flatnonzero(bad.ravel() & np.isfinite(tensor.new_m).ravel())[0])
        message = "the gradient is not finite here, so the momentum must not be either"
        yield _plain(tensor, "momentum", at, tensor.new_m, "not finite", message)
    if hyper["lr"] and not np.isnan(tensor.new_p).all():
        at = int(np.flatnonzero(~np.isnan(tensor.new_p).ravel())[0])
        message = "the norm is NaN or infinite, so all of the parameter must become NaN"
        yield _plain(tensor, "param", at, tensor.new_p, "nan", message)


def _outside(tensor: _Tensor, quantity: str, got: Array, exact: Array, far: Array, slack: Array) -> Iterator[Fault]:
    """The first few elements that are further from the exact value than any legal evaluation."""
    for at in np.flatnonzero(~(far.ravel() <= slack.ravel()))[:MOST_FAULTS].tolist():
        off, legal = float(far.flat[at]), float(slack.flat[at])
        what = "parameter" if quantity == "param" else quantity
        message = f"the {what} is off by {off:.3g}; legal rounding reaches {legal:.3g}"
        yield _fault(tensor, quantity, at, got, exact, slack, message)


def _fault(tensor: _Tensor, quantity: str, at: int, got: Array, exact: Array, slack: Array, message: str) -> Fault:
    middle, legal = float(exact.flat[at]), float(slack.flat[at])
    return _plain(tensor, quantity, at, got, f"{(middle - legal).hex()} … {(middle + legal).hex()}", message)


def _plain(tensor: _Tensor, quantity: str, at: int, got: Array, allowed: str, message: str) -> Fault:
    m = np.nan if tensor.known is None else float(tensor.known.value.floats().flat[at])
    inputs = {"p": float(tensor.p.flat[at]).hex(), "g": float(tensor.g.flat[at]).hex(), "m": float(m).hex()}
    index = tuple(int(i) for i in np.unravel_index(at, tensor.p.shape))
    return Fault(tensor.name, index, quantity, allowed, float(got.flat[at]).hex(), message, inputs)
