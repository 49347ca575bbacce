"""What a port of Muon may do in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from signopt.conformance.oracle.arithmetic import COMPLEMENTS, DECAYS, FORMS, Order
from signopt.conformance.oracle.formats import FORMATS, Format, format_of
from signopt.conformance.oracle.habits import OptimizerHabits, names_of, one_of, whole
from signopt.conformance.oracle.muon.decay import Decay
from signopt.conformance.oracle.muon.law import Forms
from signopt.conformance.oracle.muon.units import Precision

__all__ = ["MUON_NAMES", "MuonHabits"]

MUON_NAMES = (
    "lr", "beta", "weight_decay", "nesterov", "ns_coefficients", "ns_steps", "eps", "adjust_lr_fn",
)  # fmt: skip
"""The hyperparameters, any of which a port may have ``fixed``."""
OTHER_TENSORS = ("vectors", "axes")


def _fixed(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"describe()[{key!r}] must be a list of names of hyperparameters")
    unknown = [str(name) for name in value if name not in MUON_NAMES]
    if unknown:
        raise ValueError(f"describe()[{key!r}] has {', '.join(unknown)}; known are {', '.join(MUON_NAMES)}")
    return tuple(dict.fromkeys(value))


def _others(key: str, value: Any) -> tuple[str, ...]:
    return names_of(key, value, OTHER_TENSORS) if value else ()


def _range_of(key: str, value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise ValueError(f"describe()[{key!r}] must be [lo, hi], the range of the singular values of X")
    low, high = (float(end) for end in value)
    if not 0 <= low <= high:
        raise ValueError(f"describe()[{key!r}] must be [lo, hi] with 0 <= lo <= hi; got {value!r}")
    return low, high


_precision = lru_cache(maxsize=256)(Precision)
"""One object for each precision, which keeps what is worked out from it."""


@dataclass
class Learnt:
    """The forms that a port may still have: every judged step leaves those under which it was legal."""

    forms: tuple[Forms, ...]


@dataclass(frozen=True)
class MuonHabits(OptimizerHabits):
    """The declarations of a port of Muon; every default is what a right port need not state.

    Attributes
    ----------
    momentum_form : {None, "ema", "sum"}
        β·m + (1−β)·g or β·m + g. None: either, but the same in all steps.
    eps_form : {None, "add", "max"}
        u/(‖u‖ + ε) or u/max(‖u‖, ε). None: either, but the same in all steps.
    ns_dtype : {None, "float64", "float32", "float16", "bfloat16"}
        In which the iteration is computed, if not in the dtype of the arithmetic.
    layout : {"out_in", "in_out"}
        Which axis of a matrix is that of the outputs, which the scale of the step depends on.
    range : {"plain", "scaled"}
        "scaled": the norm is right also if the sum of squares overflows or underflows.
    fixed : list of names
        Hyperparameters that cannot be set; they then have their defaults.
    other_rule : list of "vectors" and "axes"
        Tensors of fewer than two axes, or of more, are stepped by another rule, AdamW in most ports, and not judged.
    decay_form : {"plain", "spectral", "spectral-svd"}
        What λ multiplies: θ, or D = θ·x·xᵀ/(xᵀx) after ``rounds`` rounds of the power iteration, or σ₁·u·vᵀ.
    rounds : int, default 10
    orthogonalizer : [lo, hi]
        X is made in another way than by the polynomial of ``ns_coefficients`` (SVD, another preset): its singular
        vectors are those of u, its singular values in this range.
    """

    momentum_form: str | None = one_of(None, "ema", "sum")
    eps_form: str | None = one_of(None, "add", "max")
    ns_dtype: str | None = one_of(None, *FORMATS)
    layout: str = one_of("out_in", "in_out")
    range: str = one_of("plain", "scaled")
    hyper: str = one_of("double", "float32")
    decay: str | None = one_of(None, *DECAYS)
    form: str | None = one_of(None, *FORMS)
    complement: str = one_of(*COMPLEMENTS)
    fixed: tuple[str, ...] = field(default=(), metadata={"read": _fixed})
    other_rule: tuple[str, ...] = field(default=(), metadata={"read": _others})
    decay_form: str = one_of("plain", "spectral", "spectral-svd")
    rounds: int = field(default=10, metadata={"read": whole})
    orthogonalizer: tuple[float, float] | None = field(default=None, metadata={"read": _range_of})
    learnt: Learnt = field(
        default_factory=lambda: Learnt(()), compare=False, metadata={"read": lambda key, value: Learnt(())}
    )

    def __post_init__(self) -> None:
        momenta = (self.momentum_form,) if self.momentum_form else ("ema", "sum")
        epsilons = (self.eps_form,) if self.eps_form else ("add", "max")
        decay = Decay(self.decay_form, self.rounds)
        self.learnt.forms = tuple(Forms(m, e, self.layout, decay) for m in momenta for e in epsilons)

    def precision(self, storage: Format, momentum: Format) -> Precision:
        """The formats of a tensor."""
        compute = self.compute_format(storage)
        iteration = format_of(self.ns_dtype) if self.ns_dtype else compute
        return _precision(
            storage, momentum, compute, iteration, self.hyper == "float32", self.subnormals == "flush",
            self.range == "scaled",
        )  # fmt: skip

    def order(self) -> Order | None:
        """The order of evaluation for the strict profile; None if it is not declared."""
        if self.decay is None or self.form is None:
            return None
        return Order(decay=self.decay, form=self.form, complement=self.complement)
