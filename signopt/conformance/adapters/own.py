"""This library's own optimizers as ports, one for each rule and backend."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import signopt
from signopt._version import __version__
from signopt.backends import BACKENDS
from signopt.conformance.adapters.candidate import Candidate
from signopt.conformance.oracle.rules import OPTIMIZERS
from signopt.conformance.port import Arrays, Port
from signopt.optimizer import Optimizer
from signopt.rules import UPDATES

__all__ = ["OWN", "OwnPort"]

_OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    rule: getattr(signopt, rule.title()) for rule in OPTIMIZERS if rule in UPDATES
}
_CHOICES: Mapping[str, Mapping[str, Any]] = {
    "muon": {"momentum_form": "ema", "eps_form": "add", "range": "scaled"},
}
_ON_NUMPY = ("portable", "numpy", "numba")
_NEEDS: Mapping[str, tuple[str, ...]] = {"numba": ("numba",)}


class OwnPort:
    """One of this library's optimizers on NumPy arrays, under one of its backends."""

    def __init__(self, rule: str, backend: str) -> None:
        self._rule, self._backend = rule, backend

    def describe(self) -> Mapping[str, Any]:
        """The declarations: every dtype, NaN propagates, the canonical order, and what the rule leaves open."""
        return {
            "name": f"signopt/{self._backend}",
            "rule": self._rule,
            "version": __version__,
            "dtypes": ["float32", "float64", "float16", "bfloat16"],
            "decay": "bracket",
            "form": "mul-add",
            **_CHOICES.get(self._rule, {"nan": "propagate"}),
        }

    def init(self, params: Arrays, hyper: Mapping[str, Any], momentum: Arrays | None = None) -> None:
        """Make the optimizer on copies, and write the momentum into its live state."""
        arrays = {name: np.array(param) for name, param in params.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # zero matrices under Tiger are among the cases
            self._optimizer = _OPTIMIZERS[self._rule](arrays, backend=self._backend, **hyper)
        for name, values in (momentum or {}).items():
            self._optimizer.momentum[name][...] = values

    def configure(self, hyper: Mapping[str, Any]) -> None:
        """Set hyperparameters on the live optimizer; roles belong to its construction."""
        for name in hyper.keys() - {"roles"}:
            setattr(self._optimizer, name, hyper[name])

    def step(self, grads: Arrays) -> None:
        """One step, in place."""
        self._optimizer.step(grads)

    def params(self) -> Arrays:
        """The live parameters."""
        return self._optimizer.params

    def momentum(self) -> Arrays:
        """The live momentum."""
        return self._optimizer.momentum


def _candidate(rule: str, backend: str) -> Candidate:
    def build() -> Port:
        return OwnPort(rule, backend)

    return Candidate(f"signopt/{backend}", rule, "signopt", ("signopt", *_NEEDS.get(backend, ())), build)


OWN: tuple[Candidate, ...] = tuple(
    _candidate(rule, backend) for rule in _OPTIMIZERS for backend in BACKENDS if backend in _ON_NUMPY
)
"""Every sign rule under every backend that runs on NumPy arrays."""
